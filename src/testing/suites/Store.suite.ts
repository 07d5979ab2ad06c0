/** Everything that a store must keep to, whatever it is made of. */
import type * as Layer from "effect/Layer"
import * as ComputePlanStore from "./ComputePlanStore.suite.ts"
import * as ComputeTaskLocks from "./ComputeTaskLocks.suite.ts"
import * as ComputeTaskStore from "./ComputeTaskStore.suite.ts"
import * as Database from "./Database.suite.ts"
import * as DataManagerStore from "./DataManagerStore.suite.ts"
import * as DataSampleStore from "./DataSampleStore.suite.ts"
import * as EventLog from "./EventLog.suite.ts"
import * as EventPages from "./EventPages.suite.ts"
import * as EventSignals from "./EventSignals.suite.ts"
import * as FailureReportStore from "./FailureReportStore.suite.ts"
import * as FunctionStore from "./FunctionStore.suite.ts"
import * as ModelStore from "./ModelStore.suite.ts"
import * as OrganizationStore from "./OrganizationStore.suite.ts"
import * as PerformanceStore from "./PerformanceStore.suite.ts"
import * as ProfilingStore from "./ProfilingStore.suite.ts"
import type { Store } from "./support.ts"

export const suite = <E>(name: string, store: Layer.Layer<Store, E>): void => {
  for (const port of [
    Database,
    OrganizationStore,
    FunctionStore,
    DataManagerStore,
    DataSampleStore,
    ComputePlanStore,
    ComputeTaskStore,
    ComputeTaskLocks,
    ModelStore,
    PerformanceStore,
    FailureReportStore,
    ProfilingStore,
    EventLog,
    EventPages,
    EventSignals
  ]) {
    port.suite(name, store)
  }
}
