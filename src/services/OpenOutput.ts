/** What must hold before anything is registered for an output of a task, model or performance (behaviour.md, section 4). */
import * as Effect from "effect/Effect"
import type { OutputKind } from "../schema/AssetKind.ts"
import type { FunctionOutput } from "../schema/Function.ts"
import type { OrganizationId } from "../schema/Key.ts"
import { BadRequest, IncompatibleKind, MissingTaskOutput, PermissionDenied } from "../schema/OrchestratorError.ts"
import type { TaskWithFunction } from "./store/ComputeTaskStore.ts"

export type OutputRefusal = PermissionDenied | BadRequest | MissingTaskOutput | IncompatibleKind

const words: { readonly [K in OutputKind]: string } = { ASSET_MODEL: "model", ASSET_PERFORMANCE: "performance" }

/** The output as the function declares it, when the requester is executing the task and the kind is the declared one. */
export const openOutput = (
  { functionOutputs, task }: TaskWithFunction,
  identifier: string,
  kind: OutputKind,
  requester: OrganizationId
): Effect.Effect<FunctionOutput, OutputRefusal> => {
  const what = words[kind]
  if (task.worker !== requester) {
    return Effect.fail(new PermissionDenied({ message: `only "${task.worker}" worker can register ${what}` }))
  }
  if (task.status !== "STATUS_EXECUTING") {
    return Effect.fail(new BadRequest({ message: `cannot register ${what} for task with status "${task.status}"` }))
  }
  const declared = functionOutputs.get(identifier)
  if (declared === undefined) return Effect.fail(new MissingTaskOutput({ taskKey: task.key, identifier }))
  return declared.kind === kind
    ? Effect.succeed(declared)
    : Effect.fail(new IncompatibleKind({ taskKey: task.key, identifier, expected: declared.kind, received: kind }))
}
