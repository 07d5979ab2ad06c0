/** Failure reports on PostgreSQL. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { FailureReport } from "../../schema/FailureReport.ts"
import { FailureReportStore } from "../../services/store/FailureReportStore.ts"
import { timestamp } from "./Codecs.ts"
import { first, ofChannel, rowDecoder, sql } from "./Session.ts"

export const decode = rowDecoder(FailureReport, (row) => ({
  assetKey: row.asset_key,
  assetType: row.asset_type,
  errorType: row.error_type,
  ...(row.logs_address === null ? {} : { logsAddress: row.logs_address }),
  creationDate: row.creation_date,
  owner: row.owner
}))

export const layer = Layer.effect(
  FailureReportStore,
  Effect.map(sql, ({ read, write }) =>
    FailureReportStore.of({
      find: (channel, assetKey) =>
        Effect.map(
          Effect.flatMap(
            read(
              `SELECT asset_key, asset_type, error_type, logs_address, creation_date, owner FROM failure_reports
                WHERE ${ofChannel()} AND asset_key = $2 ORDER BY creation_date, asset_type LIMIT 1`,
              [channel, assetKey]
            ),
            decode
          ),
          first
        ),
      insert: (channel, report) =>
        write(
          `INSERT INTO failure_reports (channel, asset_key, asset_type, error_type, logs_address, owner, creation_date)
           VALUES ($1, $2, $3, $4, $5, $6, $7)`,
          [
            channel,
            report.assetKey,
            report.assetType,
            report.errorType,
            report.logsAddress === undefined ? null : JSON.stringify(report.logsAddress),
            report.owner,
            timestamp(report.creationDate)
          ]
        )
    })
  )
)
