/** All thirteen services of the contract. */
import * as Effect from "effect/Effect"
import { computePlanHandlers } from "./ComputePlanHandlers.ts"
import { computeTaskHandlers } from "./ComputeTaskHandlers.ts"
import { dataManagerHandlers } from "./DataManagerHandlers.ts"
import { dataSampleHandlers } from "./DataSampleHandlers.ts"
import { datasetHandlers } from "./DatasetHandlers.ts"
import { eventHandlers } from "./EventHandlers.ts"
import { failureReportHandlers } from "./FailureReportHandlers.ts"
import { functionHandlers } from "./FunctionHandlers.ts"
import { infoHandlers } from "./InfoHandlers.ts"
import { modelHandlers } from "./ModelHandlers.ts"
import { organizationHandlers } from "./OrganizationHandlers.ts"
import { performanceHandlers } from "./PerformanceHandlers.ts"
import { profilingHandlers } from "./ProfilingHandlers.ts"

export const contractServices = Effect.all([
  organizationHandlers,
  functionHandlers,
  dataManagerHandlers,
  dataSampleHandlers,
  datasetHandlers,
  computePlanHandlers,
  computeTaskHandlers,
  modelHandlers,
  performanceHandlers,
  failureReportHandlers,
  profilingHandlers,
  eventHandlers,
  infoHandlers
])
