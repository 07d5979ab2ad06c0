/**
 * What the store holds, as one immutable value: a table for each kind of assets and a log for each channel. A new state
 * shares with the one before whatever did not change.
 */
import * as HashMap from "effect/HashMap"
import * as HashSet from "effect/HashSet"
import type { ComputePlan } from "../../schema/ComputePlan.ts"
import { type ComputeTask, parentKeys } from "../../schema/ComputeTask.ts"
import type { DataManager } from "../../schema/DataManager.ts"
import type { DataSample } from "../../schema/DataSample.ts"
import type { FailureReport } from "../../schema/FailureReport.ts"
import type { Function } from "../../schema/Function.ts"
import type { ChannelName, Key } from "../../schema/Key.ts"
import type { AssetName } from "../../schema/OrchestratorError.ts"
import type { Organization } from "../../schema/Organization.ts"
import type { AssetCursor, PerformanceCursor } from "../../schema/Pagination.ts"
import { keyOf, type Performance } from "../../schema/Performance.ts"
import type { TaskStatus } from "../../schema/TaskStatus.ts"
import type { Timestamp } from "../../schema/Timestamp.ts"
import type { OutputModel } from "../../services/store/ModelStore.ts"
import * as Logs from "./EventLogs.ts"
import * as Table from "./Table.ts"
import type * as Tree from "./Tree.ts"

/** A model with its number in the order of registration. */
export interface StoredModel extends OutputModel {
  readonly ordinal: number
}

export type TaskIndex = "parent" | "plan" | "planStatus" | "function" | "functionStatus" | "worker" | "status"

export interface State {
  readonly organizations: Table.Table<Organization, AssetCursor, never>
  readonly functions: Table.Table<Function, AssetCursor, never>
  /** The functions that the tasks of each plan use, in the order of functions. */
  readonly functionsOfPlans: HashMap.HashMap<Key, Tree.Tree<AssetCursor, Key>>
  readonly dataManagers: Table.Table<DataManager, AssetCursor, never>
  readonly dataSamples: Table.Table<DataSample, AssetCursor, "manager">
  readonly computePlans: Table.Table<ComputePlan, AssetCursor, "owner">
  readonly computeTasks: Table.Table<ComputeTask, AssetCursor, TaskIndex>
  readonly models: Table.Table<StoredModel, number, "task">
  readonly performances: Table.Table<Performance, PerformanceCursor, "task">
  readonly failureReports: Table.Table<FailureReport, AssetCursor, "asset">
  /** By channel, asset and name. */
  readonly profilingSteps: HashSet.HashSet<string>
  readonly logs: Logs.Logs
}

/** The group of the index `planStatus` or `functionStatus`. */
export const withStatus = (key: Key, status: TaskStatus): string => `${key} ${status}`

const compareTexts = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)

/** By creation date, then key. */
export const compareAssets: Tree.Compare<AssetCursor> = (a, b) => a[0] - b[0] || compareTexts(a[1], b[1])

/** By creation date, then task key backwards, then output identifier. */
const comparePerformances: Tree.Compare<PerformanceCursor> = (a, b) =>
  a[0] - b[0] || compareTexts(b[1], a[1]) || compareTexts(a[2], b[2])

/** Where an asset with a key stands among others. */
export const placeOf = (asset: { readonly creationDate: Timestamp; readonly key: Key }): AssetCursor => [
  asset.creationDate,
  asset.key
]

/** The table of assets whose keys are unique over all channels. */
const keyed = <A extends { readonly creationDate: Timestamp; readonly key: Key }, Index extends string>(
  name: AssetName,
  groups: Table.Groups<A, Index>
): Table.Table<A, AssetCursor, Index> =>
  Table.empty({ name, uniqueIn: "store", identity: ({ key }) => key, place: placeOf, compare: compareAssets, groups })

/** A report's identity: a task and a function may share a key. */
const reportId = ({ assetKey, assetType }: FailureReport): string => `${assetKey}|${assetType}`

export const empty: State = {
  organizations: Table.empty({
    name: "organization",
    uniqueIn: "channel",
    identity: ({ id }) => id,
    place: ({ creationDate, id }): AssetCursor => [creationDate, id],
    compare: compareAssets,
    groups: {}
  }),
  functions: keyed("function", {}),
  functionsOfPlans: HashMap.empty(),
  dataManagers: keyed("datamanager", {}),
  dataSamples: keyed("datasample", { manager: (sample: DataSample) => sample.dataManagerKeys }),
  computePlans: keyed("computeplan", { owner: (plan: ComputePlan) => [plan.owner] }),
  computeTasks: keyed<ComputeTask, TaskIndex>("computetask", {
    parent: parentKeys,
    plan: (task) => [task.computePlanKey],
    planStatus: (task) => [withStatus(task.computePlanKey, task.status)],
    function: (task) => [task.functionKey],
    functionStatus: (task) => [withStatus(task.functionKey, task.status)],
    worker: (task) => [task.worker],
    status: (task) => [task.status]
  }),
  models: Table.empty({
    name: "model",
    uniqueIn: "store",
    identity: ({ model }) => model.key,
    place: ({ ordinal }) => ordinal,
    compare: (a, b) => a - b,
    groups: { task: ({ model }) => [model.computeTaskKey] }
  }),
  performances: Table.empty({
    name: "performance",
    uniqueIn: "channel",
    identity: (performance) => keyOf(performance.computeTaskKey, performance.computeTaskOutputIdentifier),
    place: (performance): PerformanceCursor => [
      performance.creationDate,
      performance.computeTaskKey,
      performance.computeTaskOutputIdentifier
    ],
    compare: comparePerformances,
    groups: { task: (performance) => [performance.computeTaskKey] }
  }),
  failureReports: Table.empty({
    name: "failurereport",
    uniqueIn: "channel",
    identity: reportId,
    place: (report): AssetCursor => [report.creationDate, reportId(report)],
    compare: compareAssets,
    groups: { asset: (report) => [report.assetKey] }
  }),
  profilingSteps: HashSet.empty(),
  logs: Logs.empty
}

/** The tasks of a function in these statuses, in the order of tasks. */
export const tasksOfFunction = (
  state: State,
  channel: ChannelName,
  functionKey: Key,
  statuses: ReadonlyArray<TaskStatus>
): ReadonlyArray<ComputeTask> =>
  Array.from(new Set(statuses))
    .flatMap((status) => {
      const group = withStatus(functionKey, status)
      return Array.from(Table.list(state.computeTasks, channel, { index: "functionStatus", group }))
    })
    .sort((a, b) => compareAssets(placeOf(a), placeOf(b)))
