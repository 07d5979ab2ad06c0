/** All thirteen services of the contract. */
import * as Effect from "effect/Effect"
import { computePlanHandlers } from "./ComputePlanHandlers.ts"
import { computeTaskHandlers } from "./ComputeTaskHandlers.ts"
import { dataManagerHandlers, datasetHandlers } from "./DataManagerHandlers.ts"
import { dataSampleHandlers } from "./DataSampleHandlers.ts"
import { eventHandlers } from "./EventHandlers.ts"
import { functionHandlers } from "./FunctionHandlers.ts"
import { modelHandlers } from "./ModelHandlers.ts"
import { infoHandlers, organizationHandlers } from "./OrganizationHandlers.ts"
import { failureReportHandlers, performanceHandlers, profilingHandlers } from "./ResultHandlers.ts"

export const handlers = Effect.all([
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
