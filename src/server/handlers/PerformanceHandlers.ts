/** PerformanceService. */
import * as Effect from "effect/Effect"
import { Performance, PerformanceServiceDefinition } from "../../layers/wire/generated/performance.ts"
import * as Messages from "../../layers/wire/Messages.ts"
import { PerformanceCursor, tokens } from "../../schema/Pagination.ts"
import { Performances } from "../../services/Performances.ts"
import { query, service, write } from "../Rpc.ts"

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
