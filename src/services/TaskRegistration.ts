/**
 * How new tasks are made of what a client asks for and what the channel holds: the rules of `RegisterTasks`
 * (behaviour.md, section 4), for one task after another, parents first. Reads and writes nothing.
 */
import * as Effect from "effect/Effect"
import type { ComputePlan } from "../schema/ComputePlan.ts"
import {
  type ComputeTask,
  type NewComputeTask,
  type ParentTaskOutputRef,
  parentKeys,
  type TaskInput,
  type TaskOutput
} from "../schema/ComputeTask.ts"
import type { DataManager } from "../schema/DataManager.ts"
import type { DataSample } from "../schema/DataSample.ts"
import type { Function, FunctionInput, FunctionOutput } from "../schema/Function.ts"
import type { Key, OrganizationId } from "../schema/Key.ts"
import { isDisabled, type Model } from "../schema/Model.ts"
import { BadRequest, InvalidAsset, NotFound, PermissionDenied } from "../schema/OrchestratorError.ts"
import type { Organization } from "../schema/Organization.ts"
import * as Permission from "../schema/Permission.ts"
import type { TaskStatus } from "../schema/TaskStatus.ts"
import type { Timestamp } from "../schema/Timestamp.ts"
import { grants } from "./Grants.ts"
import { byKey } from "./Lookup.ts"
import type { ParentTask } from "./store/ComputeTaskStore.ts"

/** Everything of the channel that the batch names. What is missing does not exist. */
export interface Found {
  readonly functions: ReadonlyArray<Function>
  readonly parents: ReadonlyArray<ParentTask>
  readonly plans: ReadonlyArray<ComputePlan>
  readonly organizations: ReadonlyArray<Organization>
  readonly models: ReadonlyArray<Model>
  readonly managers: ReadonlyArray<DataManager>
  readonly samples: ReadonlyArray<DataSample>
  /** The models of the parents, in the order of their registration. */
  readonly parentModels: ReadonlyArray<{ readonly model: Model }>
  readonly time: Timestamp
}

type Refusal = InvalidAsset | BadRequest | NotFound | PermissionDenied

/** Tasks of the channel and of the batch so far, with what their functions declare. */
type Parents = Map<Key, ParentTask>

/** Makes the tasks of a sorted batch. The first that breaks a rule decides. */
export const registerAll = (
  sorted: ReadonlyArray<NewComputeTask>,
  found: Found,
  requester: OrganizationId
): Effect.Effect<ReadonlyArray<ComputeTask>, Refusal> =>
  Effect.gen(function* () {
    const channel = index(found, requester)
    const tasks: Array<ComputeTask> = []
    for (const asked of sorted) {
      const { fn, task } = yield* register(asked, channel, requester)
      channel.parents.set(task.key, { task, functionOutputs: fn.outputs })
      tasks.push(task)
    }
    return tasks
  })

const index = (found: Found, requester: OrganizationId) => {
  const parents: Parents = new Map(found.parents.map((parent) => [parent.task.key, parent]))
  const disabled = new Map<Key, Key>()
  for (const { model } of found.parentModels) {
    if (isDisabled(model) && !disabled.has(model.computeTaskKey)) disabled.set(model.computeTaskKey, model.key)
  }
  return {
    functions: byKey(found.functions),
    plans: byKey(found.plans),
    models: byKey(found.models),
    managers: byKey(found.managers),
    samples: byKey(found.samples),
    parents,
    /** The first disabled model of each parent that has one. */
    disabled,
    time: found.time,
    ...grants(found.organizations, requester)
  }
}
type Channel = ReturnType<typeof index>

const register = Effect.fnUntraced(function* (
  asked: NewComputeTask,
  channel: Channel,
  requester: OrganizationId
): Effect.fn.Return<{ readonly task: ComputeTask; readonly fn: Function }, Refusal> {
  const plan = channel.plans.get(asked.computePlanKey)
  if (plan === undefined) return yield* new NotFound({ asset: "computeplan", key: asked.computePlanKey })
  if (plan.owner !== requester) {
    return yield* new PermissionDenied({ message: "Cannot register tasks to a compute plan you don't own" })
  }
  const fn = channel.functions.get(asked.functionKey)
  if (fn === undefined) return yield* new NotFound({ asset: "function", key: asked.functionKey })
  if (!Permission.allows(fn.permissions.process, requester)) {
    return yield* new PermissionDenied({ message: `not authorized to process function "${fn.key}"` })
  }
  const parents = parentKeys(asked).map((key) => channel.parents.get(key) as ParentTask)
  yield* checkNoneDisabled(parents, channel)
  const outputPermissions = yield* grantOutputs(asked, channel)
  const { manager, worker } = yield* assignWorker(asked, fn, channel)
  const logsPermission = parents.reduce(
    (sum, parent) => Permission.union(sum, parent.task.logsPermission),
    Permission.privateTo(requester)
  )
  yield* checkInputs(asked, fn, channel, requester, worker)
  const outputs = yield* declaredOutputs(asked, fn, outputPermissions, requester)
  const task: ComputeTask = {
    key: asked.key,
    owner: requester,
    computePlanKey: asked.computePlanKey,
    functionKey: asked.functionKey,
    rank: parents.reduce((rank, parent) => Math.max(rank, parent.task.rank + 1), 0),
    status: firstStatus(fn, parents),
    worker,
    creationDate: channel.time,
    logsPermission: manager?.logsPermission ?? logsPermission,
    metadata: asked.metadata,
    inputs: asked.inputs as ReadonlyArray<TaskInput>,
    outputs
  }
  return { task, fn }
})

const checkNoneDisabled = (parents: ReadonlyArray<ParentTask>, channel: Channel): Effect.Effect<void, InvalidAsset> => {
  for (const { task } of parents) {
    const model = channel.disabled.get(task.key)
    if (task.status === "STATUS_DONE" && model !== undefined) {
      return Effect.fail(InvalidAsset.because(`Model "${model}" has been disabled`))
    }
  }
  return Effect.void
}

const grantOutputs = (
  asked: NewComputeTask,
  channel: Channel
): Effect.Effect<ReadonlyMap<string, Permission.Permission>, BadRequest> =>
  Effect.gen(function* () {
    const granted = new Map<string, Permission.Permission>()
    for (const [identifier, output] of asked.outputs) granted.set(identifier, yield* channel.grant(output.permissions))
    return granted
  })

/** The owner of the data manager input, else the worker that was asked for. */
const assignWorker = Effect.fnUntraced(function* (
  asked: NewComputeTask,
  fn: Function,
  channel: Channel
): Effect.fn.Return<
  { readonly worker: OrganizationId; readonly manager: DataManager | undefined },
  InvalidAsset | BadRequest | NotFound
> {
  let manager: DataManager | undefined
  for (const input of asked.inputs) {
    const declared = yield* declaredInput(fn, input.identifier)
    if (declared.kind !== "ASSET_DATA_MANAGER") continue
    manager = yield* managerOf(input, channel)
  }
  if (manager !== undefined && asked.worker !== "" && asked.worker !== manager.owner) {
    return yield* new BadRequest({
      message: `Specified worker "${asked.worker}" does not match data manager owner: "${manager.owner}"`
    })
  }
  if (manager === undefined && asked.worker === "") {
    return yield* new BadRequest({ message: "Worker cannot be inferred and must be explicitly set" })
  }
  const worker = manager?.owner ?? (asked.worker as OrganizationId)
  if (!channel.isRegistered(worker)) return yield* new NotFound({ asset: "organization", key: worker })
  return { worker, manager }
})

const declaredInput = (fn: Function, identifier: string): Effect.Effect<FunctionInput, InvalidAsset> => {
  const declared = fn.inputs.get(identifier)
  return declared === undefined
    ? Effect.fail(
        InvalidAsset.because(`unknown task input: this identifier is not declared by the Function: "${identifier}"`)
      )
    : Effect.succeed(declared)
}

const managerOf = (
  input: NewComputeTask["inputs"][number],
  channel: Channel
): Effect.Effect<DataManager, InvalidAsset | NotFound> => {
  if (input.assetKey === undefined) return Effect.fail(mustBeKey(input.identifier, "data manager"))
  const manager = channel.managers.get(input.assetKey)
  return manager === undefined
    ? Effect.fail(new NotFound({ asset: "datamanager", key: input.assetKey }))
    : Effect.succeed(manager)
}

const mustBeKey = (identifier: string, what: string): InvalidAsset =>
  InvalidAsset.because(`invalid task input "${identifier}": a ${what} must be named by its asset key`)

/** Every input is declared, there as often as it may be and must be, and open to the worker or the requester. */
const checkInputs = Effect.fnUntraced(function* (
  asked: NewComputeTask,
  fn: Function,
  channel: Channel,
  requester: OrganizationId,
  worker: OrganizationId
): Effect.fn.Return<void, InvalidAsset | NotFound | PermissionDenied> {
  const seen = new Set<string>()
  for (const input of asked.inputs) {
    const declared = yield* declaredInput(fn, input.identifier)
    if (seen.has(input.identifier) && !declared.multiple) {
      return yield* InvalidAsset.because(`duplicated task input: "${input.identifier}" takes one asset only`)
    }
    seen.add(input.identifier)
  }
  for (const [identifier, declared] of fn.inputs) {
    if (!declared.optional && !seen.has(identifier)) {
      return yield* InvalidAsset.because(
        `missing task input: this identifier is required by the Function: "${identifier}"`
      )
    }
  }
  for (const input of asked.inputs) {
    const declared = fn.inputs.get(input.identifier) as FunctionInput
    switch (declared.kind) {
      case "ASSET_MODEL":
        yield* checkModelInput(input, declared, channel, worker)
        break
      case "ASSET_DATA_MANAGER":
        yield* checkManagerInput(input, channel, requester)
        break
      case "ASSET_DATA_SAMPLE":
        if (input.assetKey === undefined) return yield* mustBeKey(input.identifier, "data sample")
    }
  }
  yield* checkSamples(asked, fn, channel)
})

const checkModelInput = (
  input: NewComputeTask["inputs"][number],
  declared: FunctionInput,
  channel: Channel,
  worker: OrganizationId
): Effect.Effect<void, InvalidAsset | NotFound | PermissionDenied> => {
  if (input.parentTaskOutput !== undefined)
    return checkParentOutput(input.identifier, input.parentTaskOutput, declared, channel, worker)
  const key = input.assetKey as Key
  const model = channel.models.get(key)
  if (model === undefined) return Effect.fail(new NotFound({ asset: "model", key }))
  return Permission.allows(model.permissions.process, worker)
    ? Effect.void
    : Effect.fail(new PermissionDenied({ message: `worker "${worker}" is not authorized to process model "${key}"` }))
}

const checkParentOutput = (
  identifier: string,
  ref: ParentTaskOutputRef,
  declared: FunctionInput,
  channel: Channel,
  worker: OrganizationId
): Effect.Effect<void, InvalidAsset | PermissionDenied> => {
  const parent = channel.parents.get(ref.parentTaskKey) as ParentTask
  const invalid = (why: string) =>
    Effect.fail(InvalidAsset.because(`invalid task input "${identifier}": parent task ${ref.parentTaskKey}: ${why}`))
  const output: FunctionOutput | undefined = parent.functionOutputs.get(ref.outputIdentifier)
  if (output === undefined) return invalid(`function output not found: "${ref.outputIdentifier}"`)
  if (output.kind !== declared.kind) return invalid(`mismatching kinds: an ${output.kind} for an ${declared.kind}`)
  if (output.multiple && !declared.multiple) return invalid("a multiple output needs a multiple input")
  const permissions = parent.task.outputs.get(ref.outputIdentifier)?.permissions
  return permissions !== undefined && Permission.allows(permissions.process, worker)
    ? Effect.void
    : Effect.fail(
        new PermissionDenied({
          message: `worker "${worker}" is not authorized to process output "${ref.outputIdentifier}" of task "${ref.parentTaskKey}"`
        })
      )
}

const checkManagerInput = (
  input: NewComputeTask["inputs"][number],
  channel: Channel,
  requester: OrganizationId
): Effect.Effect<void, InvalidAsset | NotFound | PermissionDenied> =>
  Effect.flatMap(managerOf(input, channel), (manager) =>
    Permission.allows(manager.permissions.process, requester)
      ? Effect.void
      : Effect.fail(new PermissionDenied({ message: `not authorized to process datamanager "${manager.key}"` }))
  )

/** Every sample is one of the data manager that the task names. */
const checkSamples = (asked: NewComputeTask, fn: Function, channel: Channel): Effect.Effect<void, InvalidAsset> => {
  const keysOf = (kind: FunctionInput["kind"]) =>
    asked.inputs.flatMap((input) =>
      fn.inputs.get(input.identifier)?.kind === kind && input.assetKey !== undefined ? [input.assetKey] : []
    )
  const [manager] = keysOf("ASSET_DATA_MANAGER")
  for (const key of keysOf("ASSET_DATA_SAMPLE")) {
    if (manager === undefined || channel.samples.get(key)?.dataManagerKeys.includes(manager) !== true) {
      return Effect.fail(InvalidAsset.because("datasamples do not share a common manager"))
    }
  }
  return Effect.void
}

/** Exactly the outputs that the function declares. A performance is public and not transient. */
const declaredOutputs = (
  asked: NewComputeTask,
  fn: Function,
  permissions: ReadonlyMap<string, Permission.Permission>,
  requester: OrganizationId
): Effect.Effect<ReadonlyMap<string, TaskOutput>, InvalidAsset> => {
  for (const identifier of fn.outputs.keys()) {
    if (!asked.outputs.has(identifier)) {
      return Effect.fail(
        InvalidAsset.because(`missing task output: this identifier is required by the Function: "${identifier}"`)
      )
    }
  }
  const outputs = new Map<string, TaskOutput>()
  for (const [identifier, output] of asked.outputs) {
    const declared = fn.outputs.get(identifier)
    const granted = permissions.get(identifier) ?? Permission.privateTo(requester)
    if (declared === undefined) {
      return Effect.fail(
        InvalidAsset.because(`unknown task output: this identifier is not declared by the Function: "${identifier}"`)
      )
    }
    if (declared.kind === "ASSET_PERFORMANCE" && (output.transient || !granted.public)) {
      return Effect.fail(
        InvalidAsset.because(`invalid task output "${identifier}": a performance must be public and not transient`)
      )
    }
    outputs.set(identifier, { permissions: Permission.forBoth(granted), transient: output.transient })
  }
  return Effect.succeed(outputs)
}

const firstStatus = (fn: Function, parents: ReadonlyArray<ParentTask>): TaskStatus => {
  if (parents.some(({ task }) => task.status === "STATUS_FAILED" || task.status === "STATUS_CANCELED")) {
    return "STATUS_CANCELED"
  }
  switch (fn.status) {
    case "FUNCTION_STATUS_WAITING":
      return "STATUS_WAITING_FOR_BUILDER_SLOT"
    case "FUNCTION_STATUS_BUILDING":
      return "STATUS_BUILDING"
    case "FUNCTION_STATUS_FAILED":
      return "STATUS_FAILED"
    case "FUNCTION_STATUS_CANCELED":
      return "STATUS_CANCELED"
    case "FUNCTION_STATUS_READY":
      return parents.every(({ task }) => task.status === "STATUS_DONE")
        ? "STATUS_WAITING_FOR_EXECUTOR_SLOT"
        : "STATUS_WAITING_FOR_PARENT_TASKS"
  }
}
