/**
 * `substra-orchestrator/testing/suites`: what every store keeps to, as vitest suites: `Store.suite("mine", layer)` in a test
 * file of yours. Needs vitest and @effect/vitest.
 */
export * as ComputePlanStore from "../testing/suites/ComputePlanStore.suite.ts"
export * as ComputeTaskLocks from "../testing/suites/ComputeTaskLocks.suite.ts"
export * as ComputeTaskStore from "../testing/suites/ComputeTaskStore.suite.ts"
export * as Database from "../testing/suites/Database.suite.ts"
export * as DataManagerStore from "../testing/suites/DataManagerStore.suite.ts"
export * as DataSampleStore from "../testing/suites/DataSampleStore.suite.ts"
export * as EventLog from "../testing/suites/EventLog.suite.ts"
export * as EventPages from "../testing/suites/EventPages.suite.ts"
export * as EventSignals from "../testing/suites/EventSignals.suite.ts"
export * as FailureReportStore from "../testing/suites/FailureReportStore.suite.ts"
export * as FunctionStore from "../testing/suites/FunctionStore.suite.ts"
export * as ModelStore from "../testing/suites/ModelStore.suite.ts"
export * as OrganizationStore from "../testing/suites/OrganizationStore.suite.ts"
export * as PerformanceStore from "../testing/suites/PerformanceStore.suite.ts"
export * as ProfilingStore from "../testing/suites/ProfilingStore.suite.ts"
export * as Store from "../testing/suites/Store.suite.ts"
