/**
 * Valid assets with fresh random keys, owners and channels, so that no test sees what another one stored. What a test
 * does not name has a value that is told from any other one.
 */
import type { Addressable } from "../../schema/Addressable.ts"
import type { ComputePlan } from "../../schema/ComputePlan.ts"
import type { ComputeTask, TaskInput } from "../../schema/ComputeTask.ts"
import type { DataManager } from "../../schema/DataManager.ts"
import type { DataSample } from "../../schema/DataSample.ts"
import * as Event from "../../schema/Event.ts"
import type { FailureReport } from "../../schema/FailureReport.ts"
import type { Function } from "../../schema/Function.ts"
import type { ChannelName, Key, OrganizationId } from "../../schema/Key.ts"
import type { Model } from "../../schema/Model.ts"
import type { Organization } from "../../schema/Organization.ts"
import type { Performance } from "../../schema/Performance.ts"
import { forBoth, type Permission } from "../../schema/Permission.ts"
import type { ProfilingStep } from "../../schema/ProfilingStep.ts"
import { fromMicros, type Timestamp } from "../../schema/Timestamp.ts"

/** A fresh lower-case UUID. */
export const key = (): Key => crypto.randomUUID() as Key

/** Fresh keys in ascending order. */
export const keys = (count: number): Array<Key> => Array.from({ length: count }, key).sort()

export const channel = (): ChannelName => `channel-${key()}` as ChannelName

export const organizationId = (): OrganizationId => `Org-${key()}` as OrganizationId

/** A point in time, so many microseconds after one that is no whole millisecond. */
export const at = (micros: number): Timestamp => fromMicros(1_790_000_000_123_456 + micros)

export const address = (): Addressable => ({
  checksum: (key() + key()).replaceAll("-", ""),
  storageAddress: `https://backend.example/files/${key()}`
})

const permission = (): Permission => ({ public: false, authorizedIds: [organizationId(), organizationId()] })

const metadata = (): ReadonlyMap<string, string> =>
  new Map([
    ["__proto__", key()],
    ["a \"quoted\" 'name' \\", "ünïcode 🧪 {1,2}"]
  ])

export const organization = (fields: Partial<Organization> = {}): Organization => ({
  id: organizationId(),
  creationDate: at(0),
  address: "https://backend.example",
  ...fields
})

export const fn = (fields: Partial<Function> = {}): Function => ({
  key: key(),
  name: `function ${key()}`,
  description: address(),
  archive: address(),
  permissions: forBoth(permission()),
  owner: organizationId(),
  creationDate: at(0),
  metadata: metadata(),
  inputs: new Map([
    ["opener", { kind: "ASSET_DATA_MANAGER", multiple: false, optional: false }],
    ["samples", { kind: "ASSET_DATA_SAMPLE", multiple: true, optional: false }],
    ["models", { kind: "ASSET_MODEL", multiple: true, optional: true }]
  ]),
  outputs: new Map([
    ["model", { kind: "ASSET_MODEL", multiple: true }],
    ["score", { kind: "ASSET_PERFORMANCE", multiple: false }]
  ]),
  status: "FUNCTION_STATUS_WAITING",
  image: { checksum: "", storageAddress: "" },
  ...fields
})

export const dataManager = (fields: Partial<DataManager> = {}): DataManager => ({
  key: key(),
  name: `manager ${key()}`,
  owner: organizationId(),
  permissions: { process: permission(), download: permission() },
  description: address(),
  opener: address(),
  creationDate: at(0),
  logsPermission: permission(),
  metadata: metadata(),
  ...fields
})

export const dataSample = (fields: Partial<DataSample> = {}): DataSample => ({
  key: key(),
  dataManagerKeys: [],
  owner: organizationId(),
  checksum: address().checksum,
  creationDate: at(0),
  ...fields
})

export const computePlan = (fields: Partial<ComputePlan> = {}): ComputePlan => ({
  key: key(),
  owner: organizationId(),
  creationDate: at(0),
  tag: `tag ${key()}`,
  name: `plan ${key()}`,
  metadata: metadata(),
  ...fields
})

/** What every task belongs to. */
export interface TaskPlace {
  readonly worker: OrganizationId
  readonly computePlanKey: Key
  readonly functionKey: Key
}

export const computeTask = (place: TaskPlace, fields: Partial<ComputeTask> = {}): ComputeTask => ({
  key: key(),
  owner: organizationId(),
  rank: 0,
  status: "STATUS_WAITING_FOR_BUILDER_SLOT",
  creationDate: at(0),
  logsPermission: permission(),
  metadata: metadata(),
  inputs: [{ identifier: "opener", assetKey: key() }],
  outputs: new Map([
    ["model", { permissions: forBoth(permission()), transient: true }],
    ["score", { permissions: forBoth({ public: true, authorizedIds: [] }), transient: false }]
  ]),
  worker: place.worker,
  computePlanKey: place.computePlanKey,
  functionKey: place.functionKey,
  ...fields
})

/** Inputs that take an output of each of these tasks. */
export const fromParents = (...parents: ReadonlyArray<ComputeTask>): ReadonlyArray<TaskInput> =>
  parents.map((parent) => ({
    identifier: "models",
    parentTaskOutput: { parentTaskKey: parent.key, outputIdentifier: "model" }
  }))

export const model = (task: { readonly key: Key }, fields: Partial<Model> = {}): Model => ({
  key: key(),
  computeTaskKey: task.key,
  address: address(),
  permissions: forBoth(permission()),
  owner: organizationId(),
  creationDate: at(0),
  ...fields
})

export const performance = (task: { readonly key: Key }, fields: Partial<Performance> = {}): Performance => ({
  computeTaskKey: task.key,
  computeTaskOutputIdentifier: "score",
  performanceValue: 0.5,
  creationDate: at(0),
  ...fields
})

export const failureReport = (fields: Partial<FailureReport> = {}): FailureReport => ({
  assetKey: key(),
  assetType: "FAILED_ASSET_COMPUTE_TASK",
  errorType: "ERROR_TYPE_EXECUTION",
  logsAddress: address(),
  creationDate: at(0),
  owner: organizationId(),
  ...fields
})

export const profilingStep = (fields: Partial<ProfilingStep> = {}): ProfilingStep => ({
  assetKey: key(),
  step: `step ${key()}`,
  duration: 1500,
  ...fields
})

/** An event about an asset of its own. */
export const event = (asset: ComputePlan = computePlan()): Event.NewEvent =>
  Event.created({ kind: "ASSET_COMPUTE_PLAN", asset })
