/**
 * Which transient outputs nobody needs any more: once all tasks that take a model have ended, the organization that
 * made it tells the orchestrator to take its address away, and may remove the file.
 */
import { type ComputeTask, ComputeTaskStatus } from "../../src/layers/wire/generated/computetask.ts"

export interface Output {
  readonly task: string
  readonly identifier: string
}

const finalStatuses: ReadonlySet<ComputeTaskStatus> = new Set([
  ComputeTaskStatus.STATUS_DONE,
  ComputeTaskStatus.STATUS_FAILED,
  ComputeTaskStatus.STATUS_CANCELED
])

const parentsOf = ({ inputs }: ComputeTask): ReadonlyArray<string> =>
  inputs.flatMap(({ ref }) => (ref?.$case === "parentTaskOutput" ? [ref.value.parentTaskKey] : []))

/** Shown every task of a plan after each change, it answers the outputs of one worker that this change made useless. */
export const tracker = (worker: string) => {
  const tasks = new Map<string, ComputeTask>()
  const children = new Map<string, Set<string>>()

  return (task: ComputeTask): ReadonlyArray<Output> => {
    tasks.set(task.key, task)
    const parents = new Set(parentsOf(task))
    for (const parent of parents) children.set(parent, (children.get(parent) ?? new Set()).add(task.key))
    if (!finalStatuses.has(task.status)) return []
    const hasEnded = (key: string) => finalStatuses.has(tasks.get(key)?.status ?? ComputeTaskStatus.STATUS_UNKNOWN)
    return [...parents]
      .flatMap((parent) => tasks.get(parent) ?? [])
      .filter(({ status, worker: by }) => by === worker && status === ComputeTaskStatus.STATUS_DONE)
      .filter((parent) => [...(children.get(parent.key) ?? [])].every(hasEnded))
      .flatMap((parent) =>
        [...parent.outputs]
          .filter(([, { transient }]) => transient)
          .map(([identifier]) => ({ task: parent.key, identifier }))
      )
  }
}
