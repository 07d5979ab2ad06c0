/**
 * The whole store in memory: complete, and gone with its layer. For tests, and for programs that need no more; each
 * build of the layer is a store of its own.
 */
import * as Layer from "effect/Layer"
import type { Store } from "../../services/store/Store.ts"
import * as ComputePlanStore from "./ComputePlanStore.ts"
import * as ComputeTaskStore from "./ComputeTaskStore.ts"
import * as Database from "./Database.ts"
import * as DataManagerStore from "./DataManagerStore.ts"
import * as DataSampleStore from "./DataSampleStore.ts"
import * as EventLog from "./EventLog.ts"
import * as EventSignals from "./EventSignals.ts"
import * as FailureReportStore from "./FailureReportStore.ts"
import * as FunctionStore from "./FunctionStore.ts"
import { Memory } from "./Memory.ts"
import * as ModelStore from "./ModelStore.ts"
import * as OrganizationStore from "./OrganizationStore.ts"
import * as PerformanceStore from "./PerformanceStore.ts"
import * as ProfilingStore from "./ProfilingStore.ts"

export const layer: Layer.Layer<Store> = Layer.mergeAll(
  Database.layer,
  OrganizationStore.layer,
  FunctionStore.layer,
  DataManagerStore.layer,
  DataSampleStore.layer,
  ComputePlanStore.layer,
  ComputeTaskStore.layer,
  ModelStore.layer,
  PerformanceStore.layer,
  FailureReportStore.layer,
  ProfilingStore.layer,
  EventLog.layer,
  EventSignals.layer
).pipe(Layer.provide(Memory.layer))
