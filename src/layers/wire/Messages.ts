/**
 * Assets as messages of the contract. What differs from the schema is little: dates are two numbers, a reference of a
 * task's input is a oneof, fields that this server ignores are empty.
 */
import type { Addressable } from "../../schema/Addressable.ts"
import type { ComputePlan } from "../../schema/ComputePlan.ts"
import type { ComputeTask, ComputeTaskOutputAsset, TaskInput } from "../../schema/ComputeTask.ts"
import type { DataManager } from "../../schema/DataManager.ts"
import type { DataSample } from "../../schema/DataSample.ts"
import type { FailureReport } from "../../schema/FailureReport.ts"
import type { Function } from "../../schema/Function.ts"
import type { Model } from "../../schema/Model.ts"
import type { Organization } from "../../schema/Organization.ts"
import type { Performance } from "../../schema/Performance.ts"
import type { ProfilingStep } from "../../schema/ProfilingStep.ts"
import type { Timestamp } from "../../schema/Timestamp.ts"
import type * as Common from "./generated/common.ts"
import type * as PlanMessages from "./generated/computeplan.ts"
import type * as TaskMessages from "./generated/computetask.ts"
import type * as ManagerMessages from "./generated/datamanager.ts"
import type * as SampleMessages from "./generated/datasample.ts"
import type * as FailureMessages from "./generated/failure_report.ts"
import type * as FunctionMessages from "./generated/function.ts"
import type { Timestamp as TimestampMessage } from "./generated/google/protobuf/timestamp.ts"
import type * as ModelMessages from "./generated/model.ts"
import type * as OrganizationMessages from "./generated/organization.ts"
import type * as PerformanceMessages from "./generated/performance.ts"
import type * as ProfilingMessages from "./generated/profiling.ts"

/** The schema's values are read-only; generated types are not, though encoding changes nothing. */
type Mutable<T> = T extends string | number | boolean | bigint | undefined
  ? T
  : T extends ReadonlyMap<infer K, infer V>
    ? Map<K, Mutable<V>>
    : T extends ReadonlyArray<infer A>
      ? Array<Mutable<A>>
      : { -readonly [K in keyof T]: Mutable<T[K]> }
const mutable = <T>(value: T): Mutable<T> => value as Mutable<T>

export const timestamp = (time: Timestamp): TimestampMessage => {
  const seconds = Math.floor(time / 1_000_000)
  return { seconds: BigInt(seconds), nanos: (time - seconds * 1_000_000) * 1000 }
}

const optionalTimestamp = (time: Timestamp | undefined) => (time === undefined ? undefined : timestamp(time))

export const addressable = (address: Addressable): Common.Addressable => address

export const organization = (asset: Organization): OrganizationMessages.Organization => ({
  id: asset.id,
  creationDate: timestamp(asset.creationDate),
  address: asset.address
})

export const fn = (asset: Function): FunctionMessages.FunctionMessage => ({
  ...mutable(asset),
  creationDate: timestamp(asset.creationDate)
})

export const dataManager = (asset: DataManager): ManagerMessages.DataManager => ({
  ...mutable(asset),
  creationDate: timestamp(asset.creationDate),
  type: ""
})

export const dataSample = (asset: DataSample): SampleMessages.DataSample => ({
  ...mutable(asset),
  creationDate: timestamp(asset.creationDate),
  testOnly: false
})

/** A plan that was cancelled does not show that it failed too. */
export const computePlan = (asset: ComputePlan): PlanMessages.ComputePlan => ({
  ...mutable(asset),
  creationDate: timestamp(asset.creationDate),
  cancelationDate: optionalTimestamp(asset.cancelationDate),
  failureDate: asset.cancelationDate === undefined ? optionalTimestamp(asset.failureDate) : undefined
})

const taskInput = ({ assetKey, identifier, parentTaskOutput }: TaskInput): TaskMessages.ComputeTaskInput => ({
  identifier,
  ref:
    assetKey !== undefined
      ? { $case: "assetKey", value: assetKey }
      : parentTaskOutput && { $case: "parentTaskOutput", value: parentTaskOutput }
})

export const computeTask = (asset: ComputeTask): TaskMessages.ComputeTask => ({
  ...mutable(asset),
  creationDate: timestamp(asset.creationDate),
  inputs: asset.inputs.map(taskInput)
})

export const model = (asset: Model): ModelMessages.Model => ({
  ...mutable(asset),
  creationDate: timestamp(asset.creationDate),
  address: asset.address
})

/** Generated code leaves out what equals 0, and so would lose the sign of -0: as a 32-bit float this number is -0. */
const negativeZero = -Number.MIN_VALUE

export const performance = (asset: Performance): PerformanceMessages.Performance => ({
  ...asset,
  performanceValue: Object.is(asset.performanceValue, -0) ? negativeZero : asset.performanceValue,
  creationDate: timestamp(asset.creationDate)
})

export const failureReport = (asset: FailureReport): FailureMessages.FailureReport => ({
  ...asset,
  creationDate: timestamp(asset.creationDate),
  logsAddress: asset.logsAddress
})

export const outputAsset = (asset: ComputeTaskOutputAsset): TaskMessages.ComputeTaskOutputAsset => asset

export const profilingStep = (asset: ProfilingStep): ProfilingMessages.ProfilingStep => asset

/** A task's input as it came, in the form that the schema checks: one field for each way to refer. */
export const taskInputFields = ({ identifier, ref }: TaskMessages.ComputeTaskInput) => ({
  identifier,
  ...(ref?.$case === "assetKey" ? { assetKey: ref.value } : {}),
  ...(ref?.$case === "parentTaskOutput" ? { parentTaskOutput: ref.value } : {})
})
