/**
 * A channel's log held against the rules of the statuses, event by event: what each says must follow from those before
 * it, since every one that a call saw the effect of comes before its own. Knows nothing of how the services do it.
 */
import type { ComputeTask } from "../../src/layers/wire/generated/computetask.ts"
import type { FunctionMessage } from "../../src/layers/wire/generated/function.ts"
import { functionTransitions } from "../../src/schema/FunctionStatus.ts"
import type { Transitions } from "../../src/schema/StateMachine.ts"
import { taskTransitions } from "../../src/schema/TaskStatus.ts"
import type { Entry } from "./Log.ts"

interface Task {
  readonly asset: ComputeTask
  readonly parents: ReadonlyArray<string>
  /** Whether it failed after its registration. */
  readonly hasFailed: boolean
}

const parentsOf = (task: ComputeTask): ReadonlyArray<string> => [
  ...new Set(task.inputs.flatMap(({ ref }) => (ref?.$case === "parentTaskOutput" ? [ref.value.parentTaskKey] : [])))
]

const leads = <S extends string>(machine: Transitions<string, S>, from: string, to: string): boolean =>
  Object.values(machine).some((transition) => transition.from.includes(from as S) && transition.to === to)

/** The statuses that tasks of a function in this status may have before they are built. */
const unbuilt: Record<string, ReadonlyArray<string>> = {
  FUNCTION_STATUS_WAITING: ["STATUS_WAITING_FOR_BUILDER_SLOT"],
  FUNCTION_STATUS_BUILDING: ["STATUS_BUILDING"]
}
const notBuiltYet = ["STATUS_WAITING_FOR_BUILDER_SLOT", "STATUS_BUILDING"]

class Replay {
  readonly found: Array<string> = []
  private readonly functions = new Map<string, FunctionMessage>()
  private readonly tasks = new Map<string, Task>()
  private readonly plans = new Map<string, { readonly terminated: boolean }>()
  private position = 0
  private timestamp = 0
  private readonly ids = new Set<string>()

  private refuse(what: string): void {
    this.found.push(`${this.position}: ${what}`)
  }

  private areDone(parents: ReadonlyArray<string>): boolean {
    return parents.every((key) => this.tasks.get(key)?.asset.status === "STATUS_DONE")
  }

  next({ asset, event, position, timestamp }: Entry): void {
    if (position !== this.position + 1) this.refuse(`followed by ${position}`)
    this.position = position
    if (timestamp < this.timestamp) this.refuse("the timestamp goes back")
    this.timestamp = timestamp
    if (this.ids.has(event.id)) this.refuse("the id is another event's")
    this.ids.add(event.id)
    const isNew = event.eventKind === "EVENT_ASSET_CREATED"
    switch (asset.$case) {
      case "function":
        this.onFunction(asset.value, isNew)
        break
      case "computeTask":
        this.onTask(asset.value, isNew)
        break
      case "computePlan":
        this.onPlan(asset.value.key, asset.value.cancelationDate ?? asset.value.failureDate, isNew)
        break
      case "model":
      case "performance":
        if (isNew) this.onOutput(asset.value.computeTaskKey)
        break
      case "failureReport":
        this.onReport(asset.value.assetKey)
    }
  }

  private onFunction(fn: FunctionMessage, isNew: boolean): void {
    const before = this.functions.get(fn.key)
    this.functions.set(fn.key, fn)
    if (isNew !== (before === undefined)) this.refuse(`function ${fn.key} is created twice, or never`)
    if (before === undefined) {
      if (fn.status !== "FUNCTION_STATUS_WAITING") this.refuse(`function ${fn.key} starts as ${fn.status}`)
    } else if (fn.status !== before.status && !leads(functionTransitions, before.status, fn.status)) {
      this.refuse(`function ${fn.key} goes from ${before.status} to ${fn.status}`)
    }
  }

  private onTask(task: ComputeTask, isNew: boolean): void {
    const before = this.tasks.get(task.key)
    const hasFailed = before !== undefined && task.status === "STATUS_FAILED"
    this.tasks.set(task.key, { asset: task, parents: parentsOf(task), hasFailed })
    if (isNew !== (before === undefined)) this.refuse(`task ${task.key} is created twice, or never`)
    if (before === undefined) {
      const expected = this.firstStatus(task)
      if (task.status !== expected) this.refuse(`task ${task.key} starts as ${task.status}, not as ${expected}`)
      return
    }
    const from = before.asset.status
    if (!leads(taskTransitions, from, task.status)) this.refuse(`task ${task.key} goes from ${from} to ${task.status}`)
    const waits = task.status === "STATUS_WAITING_FOR_PARENT_TASKS"
    if ((waits || task.status === "STATUS_WAITING_FOR_EXECUTOR_SLOT") && waits === this.areDone(before.parents)) {
      this.refuse(`task ${task.key} becomes ${task.status} against its parents`)
    }
    if (from === "STATUS_BUILDING" && (waits || task.status === "STATUS_WAITING_FOR_EXECUTOR_SLOT")) {
      const fn = this.functions.get(task.functionKey)?.status
      if (fn !== "FUNCTION_STATUS_READY") this.refuse(`task ${task.key} is built, its function ${fn}`)
    }
  }

  private firstStatus(task: ComputeTask): string {
    const parents = parentsOf(task)
    const statuses = parents.map((key) => this.tasks.get(key)?.asset.status)
    if (statuses.includes("STATUS_FAILED") || statuses.includes("STATUS_CANCELED")) return "STATUS_CANCELED"
    const status = this.functions.get(task.functionKey)?.status
    if (status !== "FUNCTION_STATUS_READY") {
      return status === "FUNCTION_STATUS_WAITING"
        ? "STATUS_WAITING_FOR_BUILDER_SLOT"
        : `STATUS_${status?.slice("FUNCTION_STATUS_".length)}`
    }
    return this.areDone(parents) ? "STATUS_WAITING_FOR_EXECUTOR_SLOT" : "STATUS_WAITING_FOR_PARENT_TASKS"
  }

  private onPlan(key: string, end: unknown, isNew: boolean): void {
    if (isNew !== !this.plans.has(key)) this.refuse(`plan ${key} is created twice, or never`)
    const terminated = end !== undefined
    if (!terminated && this.plans.get(key)?.terminated) this.refuse(`plan ${key} comes back to life`)
    this.plans.set(key, { terminated })
  }

  private onOutput(taskKey: string): void {
    const status = this.tasks.get(taskKey)?.asset.status
    if (status !== "STATUS_EXECUTING") this.refuse(`task ${taskKey} gets an output as ${status}`)
  }

  private onReport(key: string): void {
    const statuses = [this.tasks.get(key)?.asset.status, this.functions.get(key)?.status]
    if (!statuses.some((status) => status?.endsWith("_FAILED"))) this.refuse(`a report on ${key}, which did not fail`)
  }

  /** What may not be true once no transaction is open. */
  end(): void {
    for (const [key, { asset, hasFailed, parents }] of this.tasks) {
      if (asset.status === "STATUS_WAITING_FOR_PARENT_TASKS" && this.areDone(parents)) {
        this.refuse(`task ${key} waits for ever`)
      }
      const fn = this.functions.get(asset.functionKey)?.status ?? ""
      if (notBuiltYet.includes(asset.status) && unbuilt[fn]?.includes(asset.status) !== true) {
        this.refuse(`task ${key} is ${asset.status} for ever, its function ${fn}`)
      }
      if (hasFailed && this.plans.get(asset.computePlanKey)?.terminated !== true) {
        this.refuse(`plan ${asset.computePlanKey} goes on, its task ${key} has failed`)
      }
    }
  }
}

/** Everything in a log that breaks a rule, by position; the last ones are of its end. */
export const violations = (log: ReadonlyArray<Entry>): ReadonlyArray<string> => {
  const replay = new Replay()
  for (const entry of log) replay.next(entry)
  replay.end()
  return replay.found
}
