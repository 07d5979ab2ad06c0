/** FailureReportService. */
import * as Effect from "effect/Effect"
import { FailureReportServiceDefinition } from "../../layers/wire/generated/failure_report.ts"
import * as Messages from "../../layers/wire/Messages.ts"
import { FailureReports } from "../../services/FailureReports.ts"
import { read, service, write } from "../Rpc.ts"

export const failureReportHandlers = Effect.map(FailureReports, (reports) =>
  service(FailureReportServiceDefinition, {
    registerFailureReport: write((request) => Effect.map(reports.register(request), Messages.failureReport)),
    getFailureReport: read((request) => Effect.map(reports.get(request.assetKey), Messages.failureReport))
  })
)
