/** The whole store on PostgreSQL: every port but the codec of events, which belongs to the contract (layers/wire). */
import * as Effect from "effect/Effect"
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
import { type DatabaseUnusable, unusable } from "./Migrator.ts"
import * as ModelStore from "./ModelStore.ts"
import * as OrganizationStore from "./OrganizationStore.ts"
import * as PerformanceStore from "./PerformanceStore.ts"
import * as ProfilingStore from "./ProfilingStore.ts"
import * as Statistics from "./Statistics.ts"

/** The database must have been migrated (Migrator.ts). */
export const layer = (options: Database.Options): Layer.Layer<Store, DatabaseUnusable> =>
  Layer.mergeAll(
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
    EventSignals.layer(options),
    Statistics.layer
  ).pipe(
    Layer.provideMerge(Database.layer(options)),
    Layer.catch((error) => Layer.effectContext(Effect.fail(unusable(error))))
  )
