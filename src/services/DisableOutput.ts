/**
 * `DisableOutput`: the models of a transient output that nobody needs any more lose their addresses (behaviour.md,
 * section 4, compute task).
 */
import * as Effect from "effect/Effect"
import type { ComputeTask } from "../schema/ComputeTask.ts"
import * as Event from "../schema/Event.ts"
import type { Key } from "../schema/Key.ts"
import { isDisabled, type Model } from "../schema/Model.ts"
import { CannotDisableOutput, PermissionDenied } from "../schema/OrchestratorError.ts"
import { isFinal, type TaskStatus } from "../schema/TaskStatus.ts"
import { orNotFound, requiredKey } from "./Lookup.ts"
import { RequestContext } from "./RequestContext.ts"
import { ComputeTaskStore } from "./store/ComputeTaskStore.ts"
import { ModelStore, type OutputModel } from "./store/ModelStore.ts"
import { emitEvents, readTogether } from "./store/UnitOfWork.ts"

/** The call, on the stores that it needs. */
export const disableOutput = Effect.gen(function* () {
  const store = yield* ComputeTaskStore
  const models = yield* ModelStore
  return Effect.fnUntraced(function* (text: string, identifier: string) {
    const { channel, requester } = yield* RequestContext
    const key = yield* requiredKey("computetask", "compute_task_key", text)
    const found = yield* readTogether({
      task: store.lockWithChildren(channel, key),
      models: models.ofTasks(channel, [key])
    })
    const { childStatuses, functionOutputs, task } = yield* orNotFound("computetask", key, found.task)
    if (task.worker !== requester) {
      return yield* new PermissionDenied({ message: "only the worker can disable a task output" })
    }
    const held = found.models.filter((one) => isOutput(one, key, identifier)).map(({ model }) => model)
    const refusal = whyNotDisabled(task, identifier, functionOutputs.get(identifier)?.kind, held, childStatuses)
    if (refusal !== undefined) return yield* new CannotDisableOutput({ message: refusal })
    yield* models.disable(
      channel,
      held.map((model) => model.key)
    )
    yield* emitEvents(held.map(({ address: _, ...asset }) => Event.disabled({ kind: "ASSET_MODEL", asset })))
  })
})

/** Whether a model was registered for this output of this task. */
export const isOutput = ({ model, outputIdentifier }: OutputModel, taskKey: Key, identifier: string): boolean =>
  model.computeTaskKey === taskKey && outputIdentifier === identifier

/** Why an output cannot be disabled, if it cannot; the first reason in the order of the rules. */
const whyNotDisabled = (
  task: ComputeTask,
  identifier: string,
  kind: string | undefined,
  held: ReadonlyArray<Model>,
  childStatuses: ReadonlyArray<TaskStatus>
): string | undefined => {
  const output = task.outputs.get(identifier)
  if (!isFinal(task.status)) return `task "${task.key}" is not in a final status: "${task.status}"`
  if (output === undefined) return `task "${task.key}" has no output named "${identifier}"`
  if (!output.transient) return `output "${identifier}" is not transient`
  if (kind !== "ASSET_MODEL") return `output "${identifier}" holds no model`
  if (held.length === 0) return `nothing is registered for output "${identifier}"`
  if (childStatuses.length === 0) return `task "${task.key}" has no child`
  if (!childStatuses.every(isFinal)) return `a child of task "${task.key}" is not in a final status`
  if (held.every(isDisabled)) return `output "${identifier}" is disabled already`
  return undefined
}
