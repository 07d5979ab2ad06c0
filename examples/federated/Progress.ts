/**
 * What became of a plan, told from nothing but the events of its channel; those of other plans are passed over.
 */
import { type ComputeTask, ComputeTaskStatus } from "../../src/layers/wire/generated/computetask.ts"
import { type Event, EventKind } from "../../src/layers/wire/generated/event.ts"
import { FunctionStatus } from "../../src/layers/wire/generated/function.ts"
import type { Plan } from "./Plan.ts"

/** A change worth telling: of a task, a function or the plan. */
export interface Change {
  readonly organization: string
  readonly what: string
  readonly now: string
}

/** `STATUS_WAITING_FOR_PARENT_TASKS` as people write it. */
const inWords = (status: string) =>
  status
    .replace(/^.*STATUS_/, "")
    .replaceAll("_", " ")
    .toLowerCase()

export const make = (plan: Plan) => {
  const statuses = new Map<string, ComputeTaskStatus>()
  const accuracies = new Map<string, number>()
  const failed = new Map<string, string>()
  /** What functions showed last. */
  const shown = new Map<string, string>()
  const functions = new Map<string, string>(Object.entries(plan.functions).map(([name, key]) => [key, name]))
  const transient = plan.tasks.filter(({ outputs }) => [...outputs.values()].some((output) => output.transient)).length
  let disabled = 0
  let problem: string | undefined

  const describe = (task: string) => {
    const step = plan.steps.get(task)
    return { organization: step?.organization ?? "", what: `round ${step?.round} ${step?.function}` }
  }

  const seeTask = ({ key, status }: ComputeTask, event: Event): Change => {
    statuses.set(key, status)
    const change = { ...describe(key), now: inWords(status) }
    if (status === ComputeTaskStatus.STATUS_FAILED) failed.set(key, `${change.what} of ${change.organization}`)
    // A task that fails later makes its plan fail, which another event tells.
    const isBornFailed = status === ComputeTaskStatus.STATUS_FAILED && event.eventKind === EventKind.EVENT_ASSET_CREATED
    if (isBornFailed || status === ComputeTaskStatus.STATUS_CANCELED) problem ??= `${change.what} is ${change.now}`
    return change
  }

  const seeFunction = (key: string, name: string, status: string): Change => {
    const what = `function ${name}`
    if (status === FunctionStatus.FUNCTION_STATUS_FAILED) failed.set(key, what)
    const now = shown.get(key) === status ? "image registered" : inWords(status)
    shown.set(key, status)
    return { organization: plan.owner, what, now }
  }

  /** Undefined: the event is not about this plan, or changes nothing that is shown. */
  const see = (event: Event): Change | undefined => {
    const { asset, eventKind } = event
    switch (asset?.$case) {
      case "computeTask":
        return asset.value.computePlanKey === plan.key ? seeTask(asset.value, event) : undefined
      case "function": {
        const { key, status } = asset.value
        const name = functions.get(key)
        return name === undefined ? undefined : seeFunction(key, name, status)
      }
      case "performance": {
        const { computeTaskKey, performanceValue } = asset.value
        if (!plan.steps.has(computeTaskKey)) return undefined
        accuracies.set(computeTaskKey, performanceValue)
        return { ...describe(computeTaskKey), now: `accuracy ${performanceValue.toFixed(3)}` }
      }
      case "model": {
        const { computeTaskKey } = asset.value
        if (!plan.steps.has(computeTaskKey) || eventKind !== EventKind.EVENT_ASSET_DISABLED) return undefined
        disabled++
        return { ...describe(computeTaskKey), now: "model disabled" }
      }
      case "computePlan": {
        const { cancelationDate, failureDate, key } = asset.value
        if (key !== plan.key) return undefined
        const now = cancelationDate !== undefined ? "canceled" : failureDate !== undefined ? "failed" : "registered"
        if (now !== "registered") problem ??= `the plan is ${now}`
        return { organization: plan.owner, what: "plan", now }
      }
      default:
        return undefined
    }
  }

  return {
    see,
    plan,
    statuses: statuses as ReadonlyMap<string, ComputeTaskStatus>,
    /** By the keys of the tests. */
    accuracies: accuracies as ReadonlyMap<string, number>,
    /** What failed, in words, by the keys of tasks and functions. */
    failed: failed as ReadonlyMap<string, string>,
    /** Why the plan will not be done any more. */
    problem: () => problem,
    /** All tasks are done, and the models that were for other tasks only are disabled. */
    isDone: () =>
      disabled === transient && plan.tasks.every(({ key }) => statuses.get(key) === ComputeTaskStatus.STATUS_DONE)
  }
}

export type Progress = ReturnType<typeof make>
