/**
 * How new tasks are made of what a client asks for and what the channel holds: the rules of `RegisterTasks`
 * (behaviour.md, section 4), from the keys of the batch on, for one task after another, parents first. Reads and writes
 * nothing.
 */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
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
import { BadRequest, Conflict, InvalidAsset, NotFound, PermissionDenied } from "../schema/OrchestratorError.ts"
import type { Organization } from "../schema/Organization.ts"
import * as Permission from "../schema/Permission.ts"
import * as TaskGraph from "../schema/TaskGraph.ts"
import type { TaskStatus } from "../schema/TaskStatus.ts"
import type { Timestamp } from "../schema/Timestamp.ts"
import { grants } from "./Grants.ts"
import { byKey } from "./Lookup.ts"
import type { TaskWithFunction } from "./store/ComputeTaskStore.ts"

/** Every asset that a batch names, each once. Parents are those outside of the batch. */
export const namesOf = (tasks: ReadonlyArray<NewComputeTask>) => {
  const own = new Set(tasks.map((task) => task.key))
  const inputs = tasks.flatMap((task) => task.inputs)
  return {
    tasks: [...own],
    functions: [...new Set(tasks.map((task) => task.functionKey))],
    plans: [...new Set(tasks.map((task) => task.computePlanKey))],
    parents: [...new Set(tasks.flatMap(parentKeys))].filter((key) => !own.has(key)),
    assets: [...new Set(inputs.flatMap((input) => input.assetKey ?? []))]
  }
}

/** Everything of the channel that the batch names. What is missing does not exist. */
export interface Found {
  readonly functions: ReadonlyArray<Function>
  readonly parents: ReadonlyArray<TaskWithFunction>
  /** Keys of the batch that are in use, in whatever channel. */
  readonly taken: ReadonlySet<Key>
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
type Parents = Map<Key, TaskWithFunction>

/** Makes the tasks of a batch, parents first. The first that breaks a rule decides. */
export const registerAll = (
  batch: ReadonlyArray<NewComputeTask>,
  found: Found,
  requester: OrganizationId
): Effect.Effect<ReadonlyArray<ComputeTask>, Conflict | Refusal> =>
  Effect.gen(function* () {
    yield* checkKeys(batch, found.taken)
    const registered = new Set(found.parents.map(({ task }) => task.key))
    const sorted = yield* sortTasks(batch, (key) => registered.has(key))
    const known = index(found, requester)
    const tasks: Array<ComputeTask> = []
    for (const asked of sorted) {
      const { fn, task } = yield* register(asked, known, requester)
      known.parents.set(task.key, { task, functionOutputs: fn.outputs })
      tasks.push(task)
    }
    return tasks
  })

/** No key is in use, or twice in the batch; the first task whose key is decides. */
const checkKeys = (tasks: ReadonlyArray<NewComputeTask>, taken: ReadonlySet<Key>): Effect.Effect<void, Conflict> => {
  const seen = new Set<Key>()
  for (const { key } of tasks) {
    if (taken.has(key) || seen.has(key)) return Effect.fail(Conflict.exists("computetask", key))
    seen.add(key)
  }
  return Effect.void
}

const sortTasks = (
  tasks: ReadonlyArray<NewComputeTask>,
  isRegistered: (key: Key) => boolean
): Effect.Effect<ReadonlyArray<NewComputeTask>, InvalidAsset> => {
  const nodes = tasks.map((task) => ({ key: task.key, parents: parentKeys(task), task }))
  return Effect.fromResult(
    Result.mapBoth(TaskGraph.sort(nodes, isRegistered), {
      onSuccess: (sorted) => sorted.map((node) => node.task),
      onFailure: (unsorted) =>
        InvalidAsset.because(
          `cyclic dependency in compute plan graph or unknown task parent, unsorted_tasks_count: ${unsorted}`
        )
    })
  )
}

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
type Known = ReturnType<typeof index>

const register = Effect.fnUntraced(function* (
  asked: NewComputeTask,
  known: Known,
  requester: OrganizationId
): Effect.fn.Return<{ readonly task: ComputeTask; readonly fn: Function }, Refusal> {
  const plan = known.plans.get(asked.computePlanKey)
  if (plan === undefined) return yield* new NotFound({ asset: "computeplan", key: asked.computePlanKey })
  if (plan.owner !== requester) {
    return yield* new PermissionDenied({ message: "Cannot register tasks to a compute plan you don't own" })
  }
  const fn = known.functions.get(asked.functionKey)
  if (fn === undefined) return yield* new NotFound({ asset: "function", key: asked.functionKey })
  if (!Permission.allows(fn.permissions.process, requester)) {
    return yield* new PermissionDenied({ message: `not authorized to process function "${fn.key}"` })
  }
  const parents = parentKeys(asked).map((key) => known.parents.get(key) as TaskWithFunction)
  yield* checkNoneDisabled(parents, known)
  const outputs = yield* grantOutputs(asked, known)
  const { manager, worker } = yield* assignWorker(asked, fn, known)
  const logsPermission = parents.reduce(
    (sum, parent) => Permission.union(sum, parent.task.logsPermission),
    Permission.privateTo(requester)
  )
  yield* checkInputs(asked, fn, known, { manager, requester, worker })
  yield* checkOutputs(outputs, fn)
  const task: ComputeTask = {
    key: asked.key,
    owner: requester,
    computePlanKey: asked.computePlanKey,
    functionKey: asked.functionKey,
    rank: parents.reduce((rank, parent) => Math.max(rank, parent.task.rank + 1), 0),
    status: firstStatus(fn, parents),
    worker,
    creationDate: known.time,
    logsPermission: manager?.logsPermission ?? logsPermission,
    metadata: asked.metadata,
    inputs: asked.inputs as ReadonlyArray<TaskInput>,
    outputs
  }
  return { task, fn }
})

const checkNoneDisabled = (
  parents: ReadonlyArray<TaskWithFunction>,
  known: Known
): Effect.Effect<void, InvalidAsset> => {
  for (const { task } of parents) {
    const model = known.disabled.get(task.key)
    if (task.status === "STATUS_DONE" && model !== undefined) {
      return Effect.fail(InvalidAsset.because(`Model "${model}" has been disabled`))
    }
  }
  return Effect.void
}

const grantOutputs = (
  asked: NewComputeTask,
  known: Known
): Effect.Effect<ReadonlyMap<string, TaskOutput>, BadRequest> =>
  Effect.gen(function* () {
    const outputs = new Map<string, TaskOutput>()
    for (const [identifier, { permissions, transient }] of asked.outputs) {
      outputs.set(identifier, { permissions: Permission.forBoth(yield* known.grant(permissions)), transient })
    }
    return outputs
  })

/** The owner of the data manager input, else the worker that was asked for. Every input must be declared. */
const assignWorker = Effect.fnUntraced(function* (
  asked: NewComputeTask,
  fn: Function,
  known: Known
): Effect.fn.Return<
  { readonly worker: OrganizationId; readonly manager: DataManager | undefined },
  InvalidAsset | BadRequest | NotFound
> {
  let manager: DataManager | undefined
  for (const input of asked.inputs) {
    const declared = yield* declaredInput(fn, input.identifier)
    if (declared.kind !== "ASSET_DATA_MANAGER") continue
    manager = yield* managerOf(input, known)
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
  if (!known.isRegistered(worker)) return yield* new NotFound({ asset: "organization", key: worker })
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
  known: Known
): Effect.Effect<DataManager, InvalidAsset | NotFound> => {
  if (input.assetKey === undefined) return Effect.fail(mustBeKey(input.identifier, "data manager"))
  const manager = known.managers.get(input.assetKey)
  return manager === undefined
    ? Effect.fail(new NotFound({ asset: "datamanager", key: input.assetKey }))
    : Effect.succeed(manager)
}

const mustBeKey = (identifier: string, what: string): InvalidAsset =>
  InvalidAsset.because(`invalid task input "${identifier}": a ${what} must be named by its asset key`)

interface Parties {
  readonly requester: OrganizationId
  readonly worker: OrganizationId
  /** The data manager among the inputs. */
  readonly manager: DataManager | undefined
}

/** Every input, declared as it is, is there as often as it may be and must be, and open to the worker or the requester. */
const checkInputs = Effect.fnUntraced(function* (
  asked: NewComputeTask,
  fn: Function,
  known: Known,
  { manager, requester, worker }: Parties
): Effect.fn.Return<void, InvalidAsset | NotFound | PermissionDenied> {
  const seen = new Set<string>()
  for (const { identifier } of asked.inputs) {
    if (seen.has(identifier) && fn.inputs.get(identifier)?.multiple === false) {
      return yield* InvalidAsset.because(`duplicated task input: "${identifier}" takes one asset only`)
    }
    seen.add(identifier)
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
        yield* checkModelInput(input, declared, known, worker)
        break
      case "ASSET_DATA_MANAGER":
        if (manager !== undefined && !Permission.allows(manager.permissions.process, requester)) {
          return yield* new PermissionDenied({ message: `not authorized to process datamanager "${manager.key}"` })
        }
        break
      case "ASSET_DATA_SAMPLE":
        if (input.assetKey === undefined) return yield* mustBeKey(input.identifier, "data sample")
    }
  }
  yield* checkSamples(asked, fn, known)
})

const checkModelInput = (
  input: NewComputeTask["inputs"][number],
  declared: FunctionInput,
  known: Known,
  worker: OrganizationId
): Effect.Effect<void, InvalidAsset | NotFound | PermissionDenied> => {
  if (input.parentTaskOutput !== undefined)
    return checkParentOutput(input.identifier, input.parentTaskOutput, declared, known, worker)
  const key = input.assetKey as Key
  const model = known.models.get(key)
  if (model === undefined) return Effect.fail(new NotFound({ asset: "model", key }))
  return Permission.allows(model.permissions.process, worker)
    ? Effect.void
    : Effect.fail(new PermissionDenied({ message: `worker "${worker}" is not authorized to process model "${key}"` }))
}

const checkParentOutput = (
  identifier: string,
  ref: ParentTaskOutputRef,
  declared: FunctionInput,
  known: Known,
  worker: OrganizationId
): Effect.Effect<void, InvalidAsset | PermissionDenied> => {
  const parent = known.parents.get(ref.parentTaskKey) as TaskWithFunction
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

/** Every sample is one of the data manager that the task names. */
const checkSamples = (asked: NewComputeTask, fn: Function, known: Known): Effect.Effect<void, InvalidAsset> => {
  const keysOf = (kind: FunctionInput["kind"]) =>
    asked.inputs.flatMap((input) =>
      fn.inputs.get(input.identifier)?.kind === kind && input.assetKey !== undefined ? [input.assetKey] : []
    )
  const [manager] = keysOf("ASSET_DATA_MANAGER")
  for (const key of keysOf("ASSET_DATA_SAMPLE")) {
    if (manager === undefined || known.samples.get(key)?.dataManagerKeys.includes(manager) !== true) {
      return Effect.fail(InvalidAsset.because("datasamples do not share a common manager"))
    }
  }
  return Effect.void
}

/** Exactly the outputs that the function declares. A performance is public and not transient. */
const checkOutputs = (outputs: ReadonlyMap<string, TaskOutput>, fn: Function): Effect.Effect<void, InvalidAsset> => {
  for (const identifier of fn.outputs.keys()) {
    if (!outputs.has(identifier)) {
      return Effect.fail(
        InvalidAsset.because(`missing task output: this identifier is required by the Function: "${identifier}"`)
      )
    }
  }
  for (const [identifier, { permissions, transient }] of outputs) {
    const declared = fn.outputs.get(identifier)
    if (declared === undefined) {
      return Effect.fail(
        InvalidAsset.because(`unknown task output: this identifier is not declared by the Function: "${identifier}"`)
      )
    }
    if (declared.kind === "ASSET_PERFORMANCE" && (transient || !permissions.process.public)) {
      return Effect.fail(
        InvalidAsset.because(`invalid task output "${identifier}": a performance must be public and not transient`)
      )
    }
  }
  return Effect.void
}

const firstStatus = (fn: Function, parents: ReadonlyArray<TaskWithFunction>): TaskStatus => {
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
