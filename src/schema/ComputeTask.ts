/** Compute tasks: the nodes of the graph, with what goes in and comes out. */
import * as Schema from "effect/Schema"
import type { AssetKind } from "./AssetKind.ts"
import type { DataManager } from "./DataManager.ts"
import type { DataSample } from "./DataSample.ts"
import { Key, KeyInput, OrganizationId } from "./Key.ts"
import type { Model } from "./Model.ts"
import type { FieldViolation } from "./OrchestratorError.ts"
import { type NewPermissions, Permission, Permissions, UncheckedPermissions } from "./Permission.ts"
import { TaskStatus } from "./TaskStatus.ts"
import { AnyText, entryProblems, IdentifierReference, Metadata, MetadataInput, nulProblem } from "./Text.ts"
import { Timestamp } from "./Timestamp.ts"
import * as Validation from "./Validation.ts"

/** An output of another task. */
export const ParentTaskOutputRef = Schema.Struct({ parentTaskKey: Key, outputIdentifier: Schema.String })
export interface ParentTaskOutputRef extends Schema.Schema.Type<typeof ParentTaskOutputRef> {}

/** What a task takes for one of its function's inputs: an asset by key, or an output of a parent. Exactly one is there. */
export const TaskInput = Schema.Struct({
  identifier: Schema.String,
  assetKey: Schema.optionalKey(Key),
  parentTaskOutput: Schema.optionalKey(ParentTaskOutputRef)
})
export interface TaskInput extends Schema.Schema.Type<typeof TaskInput> {}

export const TaskOutput = Schema.Struct({
  permissions: Permissions,
  /** Whether its models may be disabled once nothing needs them any more. */
  transient: Schema.Boolean
})
export interface TaskOutput extends Schema.Schema.Type<typeof TaskOutput> {}

export const ComputeTask = Schema.Struct({
  key: Key,
  owner: OrganizationId,
  computePlanKey: Key,
  functionKey: Key,
  /** 0 without parents, else one more than the highest of theirs. */
  rank: Schema.Int,
  status: TaskStatus,
  /** The organization that runs the task. */
  worker: OrganizationId,
  creationDate: Timestamp,
  logsPermission: Permission,
  metadata: Metadata,
  /** In the order given at registration. */
  inputs: Schema.Array(TaskInput),
  outputs: Schema.ReadonlyMap(Schema.String, TaskOutput)
})
export interface ComputeTask extends Schema.Schema.Type<typeof ComputeTask> {}

/** The tasks whose outputs this one takes, each once, in the order of its inputs. */
export const parentKeys = (task: { readonly inputs: ReadonlyArray<TaskInput> }): ReadonlyArray<Key> => {
  const keys = new Set<Key>()
  for (const input of task.inputs) {
    if (input.parentTaskOutput !== undefined) keys.add(input.parentTaskOutput.parentTaskKey)
  }
  return [...keys]
}

const NewTaskInput = Schema.Struct({
  identifier: IdentifierReference,
  assetKey: Schema.optionalKey(KeyInput),
  parentTaskOutput: Schema.optionalKey(
    Schema.Struct({ parentTaskKey: KeyInput, outputIdentifier: IdentifierReference })
  )
})

// The map of outputs is named as a whole in errors, so its own rule checks what is inside.
const NewTaskOutput = Schema.Struct({ permissions: Schema.optional(UncheckedPermissions), transient: Schema.Boolean })

const outputsProblem = (outputs: ReadonlyMap<string, typeof NewTaskOutput.Type>): string | undefined =>
  entryProblems(outputs, (identifier, { permissions }) => {
    const name = JSON.stringify(identifier)
    const problem = nulProblem(identifier)
    const idProblem = permissions?.authorizedIds.map(nulProblem).find((found) => found !== undefined)
    return [
      identifier === "" ? "an identifier cannot be blank" : undefined,
      problem && `an identifier is wrong: ${problem}`,
      permissions === undefined ? `${name} needs permissions` : undefined,
      idProblem && `an authorized id of ${name} ${idProblem}`
    ]
  })

const havePermissions = (
  outputs: ReadonlyMap<string, typeof NewTaskOutput.Type>
): outputs is ReadonlyMap<string, { readonly permissions: NewPermissions; readonly transient: boolean }> =>
  [...outputs.values()].every(({ permissions }) => permissions !== undefined)

export const NewComputeTask = Schema.Struct({
  key: KeyInput,
  functionKey: KeyInput,
  computePlanKey: KeyInput,
  /** May be empty when a data manager is among the inputs: its owner is the worker. */
  worker: AnyText,
  metadata: MetadataInput,
  inputs: Schema.Array(NewTaskInput),
  outputs: Schema.ReadonlyMap(Schema.String, NewTaskOutput)
    .check(Schema.makeFilter(outputsProblem))
    .pipe(Schema.refine(havePermissions))
})

/** A valid registration: every output has permissions. */
export interface NewComputeTask extends Schema.Schema.Type<typeof NewComputeTask> {}

/** A batch as a client sends it: parents may come after their children. */
export interface NewComputeTasksMessage {
  readonly tasks: ReadonlyArray<typeof NewComputeTask.Encoded>
}

const referenceViolations = ({ inputs }: typeof NewComputeTask.Encoded): ReadonlyArray<FieldViolation> =>
  inputs.flatMap((input, i) =>
    (input.assetKey === undefined) === (input.parentTaskOutput === undefined)
      ? [{ field: `inputs[${i}].ref`, description: "must be an asset_key or a parent_task_output" }]
      : []
  )

/** Checks all tasks of a batch (behaviour.md, section 2). */
export const validateNew = Validation.makeBatch("computetask", "tasks", NewComputeTask, referenceViolations)

/** The reason that a client gives for an action: any text. */
export const validateLog = Validation.make("computetask", Schema.Struct({ log: AnyText }))

/** That an output of a task holds this asset. `assetKey` of a performance is `<task key>|<output identifier>`. */
export interface ComputeTaskOutputAsset {
  readonly computeTaskKey: Key
  readonly computeTaskOutputIdentifier: string
  readonly assetKind: AssetKind
  readonly assetKey: string
}

/** One asset for one input of a task. */
export type ComputeTaskInputAsset =
  | { readonly identifier: string; readonly kind: "ASSET_MODEL"; readonly asset: Model }
  | { readonly identifier: string; readonly kind: "ASSET_DATA_MANAGER"; readonly asset: DataManager }
  | { readonly identifier: string; readonly kind: "ASSET_DATA_SAMPLE"; readonly asset: DataSample }
