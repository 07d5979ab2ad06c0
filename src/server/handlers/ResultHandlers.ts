/** PerformanceService, FailureReportService and ProfilingService. */
import * as Effect from "effect/Effect"
import { FailureReportServiceDefinition } from "../../layers/wire/generated/failure_report.ts"
import { Performance, PerformanceServiceDefinition } from "../../layers/wire/generated/performance.ts"
import { ProfilingServiceDefinition } from "../../layers/wire/generated/profiling.ts"
import * as Messages from "../../layers/wire/Messages.ts"
import { PerformanceCursor, tokens } from "../../schema/Pagination.ts"
import { FailureReports } from "../../services/FailureReports.ts"
import { Performances } from "../../services/Performances.ts"
import { Profiling } from "../../services/Profiling.ts"
import { query, read, service, write } from "../Rpc.ts"

const performanceTokens = tokens("QueryPerformances", PerformanceCursor)

export const performanceHandlers = Effect.map(Performances, (performances) =>
  service(PerformanceServiceDefinition, {
    registerPerformance: write((request) => Effect.map(performances.register(request), Messages.performance)),
    queryPerformances: query({
      tokens: () => performanceTokens,
      page: (request, page) =>
        performances.query(request.filter ?? { computeTaskKey: "", computeTaskOutputIdentifier: "" }, page),
      encode: (performance) => Performance.encode(Messages.performance(performance)).finish(),
      place: (performance): PerformanceCursor => [
        performance.creationDate,
        performance.computeTaskKey,
        performance.computeTaskOutputIdentifier
      ]
    })
  })
)

export const failureReportHandlers = Effect.map(FailureReports, (reports) =>
  service(FailureReportServiceDefinition, {
    registerFailureReport: write((request) =>
      Effect.map(reports.register({ ...request, assetType: request.assetType as never }), Messages.failureReport)
    ),
    getFailureReport: read((request) => Effect.map(reports.get(request.assetKey), Messages.failureReport))
  })
)

export const profilingHandlers = Effect.map(Profiling, (profiling) =>
  service(ProfilingServiceDefinition, {
    registerProfilingStep: write((request) => Effect.as(profiling.register(request), {}))
  })
)
