/**
 * Every port of a store: what a DBAL provides. Each module here says what its port promises, and the suites of
 * `substra-orchestrator/testing/suites` hold a store against all of it. CONTRIBUTING.md has the rules of the write path.
 */
import type { ComputePlanStore } from "./ComputePlanStore.ts"
import type { ComputeTaskStore } from "./ComputeTaskStore.ts"
import type { Database } from "./Database.ts"
import type { DataManagerStore } from "./DataManagerStore.ts"
import type { DataSampleStore } from "./DataSampleStore.ts"
import type { EventLog } from "./EventLog.ts"
import type { EventSignals } from "./EventSignals.ts"
import type { FailureReportStore } from "./FailureReportStore.ts"
import type { FunctionStore } from "./FunctionStore.ts"
import type { ModelStore } from "./ModelStore.ts"
import type { OrganizationStore } from "./OrganizationStore.ts"
import type { PerformanceStore } from "./PerformanceStore.ts"
import type { ProfilingStore } from "./ProfilingStore.ts"

export type Store =
  | Database
  | OrganizationStore
  | FunctionStore
  | DataManagerStore
  | DataSampleStore
  | ComputePlanStore
  | ComputeTaskStore
  | ModelStore
  | PerformanceStore
  | FailureReportStore
  | ProfilingStore
  | EventLog
  | EventSignals
