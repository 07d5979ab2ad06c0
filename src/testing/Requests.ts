/**
 * Valid requests with fresh keys, for the calls that register assets. A test names what matters to it; everything else
 * is filled in, but for what parameters ask for, and a task's worker. Assets may be named by key or by anything that has one.
 */
import { randomBytes, randomUUID } from "node:crypto"
import type { Addressable, AssetKind, NewPermissions } from "../layers/wire/generated/common.ts"
import type { NewComputePlan } from "../layers/wire/generated/computeplan.ts"
import type { ComputeTaskInput, NewComputeTask, NewComputeTaskOutput } from "../layers/wire/generated/computetask.ts"
import type { NewDataManager } from "../layers/wire/generated/datamanager.ts"
import type { NewDataSample } from "../layers/wire/generated/datasample.ts"
import type { NewFailureReport } from "../layers/wire/generated/failure_report.ts"
import type { FunctionInput, FunctionMessage, FunctionOutput, NewFunction } from "../layers/wire/generated/function.ts"
import type { NewModel } from "../layers/wire/generated/model.ts"
import type { NewPerformance } from "../layers/wire/generated/performance.ts"

/** An asset by its key, or by itself. */
export type Keyed = string | { readonly key: string }
/** The key of an asset that is named either way. */
export const keyOf = (asset: Keyed): string => (typeof asset === "string" ? asset : asset.key)

/** A fresh key. */
export const newKey = (): string => randomUUID()
/** Fresh keys in ascending order. */
export const newKeys = (count: number): Array<string> => Array.from({ length: count }, newKey).sort()
/** A checksum of nothing that there is: 64 hexadecimal characters. */
export const checksum = (): string => randomBytes(32).toString("hex")
/** An address that no other asset has. */
export const addressable = (): Addressable => ({
  checksum: checksum(),
  storageAddress: `https://storage.example.org/${newKey()}`
})

/** Permissions for all organizations. */
export const everybody: NewPermissions = { public: true, authorizedIds: [] }
/** Permissions for these. The owner, who is always among them, need not be named. */
export const only = (...authorizedIds: Array<string>): NewPermissions => ({ public: false, authorizedIds })

/** What goes in and out of a function: `{ inputs: { models: optional(many(model)) }, outputs: { out: model } }`. */
type Slot = FunctionInput & FunctionOutput
const slot = (kind: AssetKind): Slot => ({ kind, multiple: false, optional: false })
/** An input or output that is a model. */
export const model = slot("ASSET_MODEL")
/** An output that is a performance. */
export const performance = slot("ASSET_PERFORMANCE")
/** An input that is a data manager. */
export const dataManager = slot("ASSET_DATA_MANAGER")
/** An input that is a data sample. */
export const dataSample = slot("ASSET_DATA_SAMPLE")
/** The same, any number of times. */
export const many = (one: Slot): Slot => ({ ...one, multiple: true })
/** The same, or nothing. */
export const optional = (one: Slot): Slot => ({ ...one, optional: true })

/** An object with identifiers for names, or a map as the messages have it. */
type ByIdentifier<A> = Readonly<Record<string, A>> | ReadonlyMap<string, A>
const mapOf = <A>(values: ByIdentifier<A>): Map<string, A> =>
  new Map(values instanceof Map ? values : Object.entries(values))

/** What a test wants of a function: inputs and outputs by their identifiers. */
export interface FunctionFields extends Partial<Omit<NewFunction, "inputs" | "outputs">> {
  readonly inputs?: ByIdentifier<FunctionInput>
  readonly outputs?: ByIdentifier<FunctionOutput>
}
/**
 * Needs nothing. Filled in: takes any number of models as `models`, or none, gives one model as `out`, and is for
 * everybody.
 */
export const newFunction = ({
  inputs = { models: optional(many(model)) },
  outputs = { out: model },
  ...fields
}: FunctionFields = {}): NewFunction => ({
  key: newKey(),
  name: "function",
  description: addressable(),
  archive: addressable(),
  newPermissions: everybody,
  metadata: new Map(),
  inputs: mapOf(inputs),
  outputs: new Map(Array.from(mapOf(outputs), ([name, { kind, multiple }]) => [name, { kind, multiple }])),
  ...fields
})

/** Needs nothing. Filled in: no tag, no metadata. */
export const newPlan = (fields: Partial<NewComputePlan> = {}): NewComputePlan => ({
  key: newKey(),
  tag: "",
  name: "plan",
  metadata: new Map(),
  ...fields
})

/** Needs nothing. Filled in: everybody may use it, and read the logs of tasks on it. */
export const newDataManager = (fields: Partial<NewDataManager> = {}): NewDataManager => ({
  key: newKey(),
  name: "manager",
  newPermissions: everybody,
  description: addressable(),
  opener: addressable(),
  type: "",
  logsPermission: everybody,
  metadata: new Map(),
  ...fields
})

/** Needs its managers. The checksum is always a fresh one. */
export const newDataSample = (managers: ReadonlyArray<Keyed> = [], key = newKey()): NewDataSample => ({
  key,
  dataManagerKeys: managers.map(keyOf),
  testOnly: false,
  checksum: checksum()
})

/** An input that names an asset. */
export const asset = (identifier: string, named: Keyed): ComputeTaskInput => ({
  identifier,
  ref: { $case: "assetKey", value: keyOf(named) }
})

/** An input that is what another task makes. */
export const from = (identifier: string, parent: Keyed, outputIdentifier = "out"): ComputeTaskInput => ({
  identifier,
  ref: { $case: "parentTaskOutput", value: { parentTaskKey: keyOf(parent), outputIdentifier } }
})

/** What becomes of an output: for everybody and kept, unless said otherwise. */
export const output = (
  permissions: NewPermissions | undefined = everybody,
  transient = false
): NewComputeTaskOutput => ({
  permissions,
  transient
})

/** What a test wants of a task: outputs by their identifiers. */
export interface TaskFields extends Partial<Omit<NewComputeTask, "outputs">> {
  readonly outputs?: ByIdentifier<NewComputeTaskOutput>
  /** What becomes of each model, where `outputs` does not say it. */
  readonly models?: NewComputeTaskOutput
}
/**
 * Needs the function (as requested or registered: its outputs are looked at) and the plan; `inputs` for whatever the
 * function cannot do without; `worker`, unless a data manager is among the inputs. Filled in: every output of the function,
 * for everybody and kept.
 */
export const newTask = (
  fn: Pick<FunctionMessage, "key" | "outputs">,
  plan: Keyed,
  { models = output(), outputs, ...fields }: TaskFields = {}
): NewComputeTask => ({
  key: newKey(),
  functionKey: fn.key,
  computePlanKey: keyOf(plan),
  worker: "",
  metadata: new Map(),
  inputs: [],
  outputs: new Map(
    outputs === undefined
      ? [...fn.outputs].map(([identifier, { kind }]) => [identifier, kind === "ASSET_MODEL" ? models : output()])
      : mapOf(outputs)
  ),
  ...fields
})

/** Needs its task, which is EXECUTING then. Filled in: the output `out`, an address. */
export const newModel = (task: Keyed, identifier = "out", key = newKey()): NewModel => ({
  key,
  computeTaskKey: keyOf(task),
  computeTaskOutputIdentifier: identifier,
  address: addressable()
})

/** Needs its task, which is EXECUTING then. Filled in: 0.5, the output `out`. */
export const newPerformance = (task: Keyed, performanceValue = 0.5, identifier = "out"): NewPerformance => ({
  computeTaskKey: keyOf(task),
  computeTaskOutputIdentifier: identifier,
  performanceValue
})

/**
 * Needs what failed. Filled in: a task, by its execution. Of the build of a function with `FAILED_ASSET_FUNCTION` and
 * `ERROR_TYPE_BUILD`.
 */
export const newFailureReport = (failed: Keyed, fields: Partial<NewFailureReport> = {}): NewFailureReport => ({
  assetKey: keyOf(failed),
  assetType: "FAILED_ASSET_COMPUTE_TASK",
  errorType: "ERROR_TYPE_EXECUTION",
  logsAddress: addressable(),
  ...fields
})
