/**
 * How long the orchestrator takes to go on: from the moment when the last parent of a task is DONE to the moment when
 * the organization that works on it learns that it may start.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { type ComputeTask, ComputeTaskStatus } from "../../src/layers/wire/generated/computetask.ts"

/** Milliseconds. */
export interface Times {
  readonly median: number
  readonly max: number
}

const timesOf = (values: ReadonlyArray<number>): Times => {
  const sorted = values.toSorted((a, b) => a - b)
  const at = (index: number) => sorted[Math.floor(index)] ?? 0
  const middle = (sorted.length - 1) / 2
  return { median: (at(middle) + at(middle + 0.5)) / 2, max: at(sorted.length - 1) }
}

const make = () => {
  /** When DONE was sent, and when it was answered, by task. */
  const sent = new Map<string, number>()
  const answered = new Map<string, number>()
  const waiting = new Set<string>()
  /** When a task's worker learned that it may start. */
  const ready: Array<{ readonly parents: ReadonlyArray<string>; readonly at: number }> = []

  const since = (moments: ReadonlyMap<string, number>) =>
    timesOf(
      ready.map(({ at, parents }) => {
        // An event may be here before the answer to the call that made it.
        return Math.max(0, at - Math.max(...parents.map((parent) => moments.get(parent) ?? 0)))
      })
    )

  return {
    sent: (task: string) => sent.set(task, performance.now()),
    answered: (task: string) => answered.set(task, performance.now()),
    /** Every change of a task, as its worker learns of it. */
    see: ({ inputs, key, status }: ComputeTask) => {
      if (status === ComputeTaskStatus.STATUS_WAITING_FOR_PARENT_TASKS) waiting.add(key)
      // One that did not wait for its parents waited for its function's image.
      if (status !== ComputeTaskStatus.STATUS_WAITING_FOR_EXECUTOR_SLOT || !waiting.has(key)) return
      const parents = inputs.flatMap(({ ref }) => (ref?.$case === "parentTaskOutput" ? [ref.value.parentTaskKey] : []))
      ready.push({ parents, at: performance.now() })
    },
    summary: () => ({ tasks: ready.length, sinceAnswered: since(answered), sinceSent: since(sent) })
  }
}

export class Scheduling extends Context.Service<Scheduling, ReturnType<typeof make>>()(
  "orchestrator/examples/Scheduling"
) {
  static readonly layer = Layer.effect(Scheduling, Effect.sync(make))
}
