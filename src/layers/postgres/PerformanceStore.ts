/** Performances on PostgreSQL. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { Performance } from "../../schema/Performance.ts"
import { fromMicros } from "../../schema/Timestamp.ts"
import { PerformanceStore } from "../../services/store/PerformanceStore.ts"
import { float4, timestamp } from "./Codecs.ts"
import { Conditions, pageOf, pageStatement } from "./Page.ts"
import { ofChannel, rowDecoder, sql } from "./Session.ts"

export const columns =
  "compute_task_key, output_identifier, value, creation_date, 150 + octet_length(output_identifier) AS size"

export const decode = rowDecoder(Performance, (row) => ({
  computeTaskKey: row.compute_task_key,
  computeTaskOutputIdentifier: row.output_identifier,
  performanceValue: row.value,
  creationDate: row.creation_date
}))

export const layer = Layer.effect(
  PerformanceStore,
  Effect.map(sql, ({ read, write }) =>
    PerformanceStore.of({
      ofTask: (channel, taskKey) =>
        Effect.flatMap(
          read(`SELECT ${columns} FROM performances WHERE ${ofChannel()} AND compute_task_key = $2`, [
            channel,
            taskKey
          ]),
          decode
        ),
      page: (channel, filter, request) => {
        const conditions = new Conditions()
          .add((c) => ofChannel("", c), channel)
          .add((task) => `compute_task_key = ${task}`, filter.computeTaskKey)
          .add((output) => `output_identifier = ${output}`, filter.computeTaskOutputIdentifier)
          .after(
            request,
            // The directions differ, so a row comparison cannot say it. The first condition is what the index starts from.
            (date, task, output) =>
              `creation_date >= ${date} AND (creation_date > ${date} OR compute_task_key < ${task}::uuid
                OR (compute_task_key = ${task}::uuid AND output_identifier > ${output}))`,
            ([date, task, output]) => [timestamp(fromMicros(date)), task, output]
          )
        const statement = pageStatement({
          ...conditions,
          select: columns,
          from: "performances",
          orderBy: "creation_date, compute_task_key DESC, output_identifier",
          limit: request.limit,
          maxBytes: request.maxBytes
        })
        return Effect.flatMap(read(...statement, { slow: true }), (rows) =>
          Effect.map(decode(rows), (assets) => pageOf(rows, assets, request))
        )
      },
      insert: (channel, performance) =>
        write(
          `INSERT INTO performances (channel, compute_task_key, output_identifier, value, creation_date)
           VALUES ($1, $2, $3, $4, $5)`,
          [
            channel,
            performance.computeTaskKey,
            performance.computeTaskOutputIdentifier,
            float4(performance.performanceValue),
            timestamp(performance.creationDate)
          ]
        )
    })
  )
)
