/** Functions on PostgreSQL. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { Function } from "../../schema/Function.ts"
import { fromMicros } from "../../schema/Timestamp.ts"
import { FunctionStore } from "../../services/store/FunctionStore.ts"
import { Conditions, pageOf, pageStatement } from "./Page.ts"
import { first, mapJson, rowDecoder, sql, toMap } from "./Session.ts"
import { timestamp } from "./Types.ts"

const columns =
  "key, owner, name, status, creation_date, description, archive, image, permissions, metadata, inputs, outputs, size"

const decode = rowDecoder(Function, (row) => ({
  ...row,
  creationDate: row.creation_date,
  metadata: toMap(row.metadata),
  inputs: toMap(row.inputs),
  outputs: toMap(row.outputs)
}))

export const layer = Layer.effect(
  FunctionStore,
  Effect.map(sql, ({ locking, read, write }) =>
    FunctionStore.of({
      find: (channel, key) =>
        Effect.map(
          Effect.flatMap(
            read(`SELECT ${columns} FROM functions WHERE channel = $1 AND key = $2`, [channel, key]),
            decode
          ),
          first
        ),
      lock: (channel, key) =>
        Effect.map(
          Effect.flatMap(
            locking(`SELECT ${columns} FROM functions WHERE channel = $1 AND key = $2 FOR NO KEY UPDATE`, [
              channel,
              key
            ]),
            decode
          ),
          first
        ),
      share: (channel, keys) =>
        Effect.flatMap(
          locking(
            `SELECT ${columns} FROM functions WHERE channel = $1 AND key = ANY ($2::text[]::uuid[]) ORDER BY key FOR SHARE`,
            [channel, keys]
          ),
          decode
        ),
      isTaken: (key) => Effect.map(read("SELECT FROM functions WHERE key = $1", [key]), (rows) => rows.length > 0),
      page: (channel, filter, request) => {
        const conditions = new Conditions()
          .add((c) => `channel = ${c}`, channel)
          .add(
            (plan) =>
              `key IN (SELECT function_key FROM compute_tasks WHERE channel = $1 AND compute_plan_key = ${plan}::uuid)`,
            filter.computePlanKey
          )
          .after(
            request,
            (date, key) => `(creation_date, key) > (${date}, ${key}::uuid)`,
            ([date, key]) => [timestamp(fromMicros(date)), key]
          )
        const statement = pageStatement({
          ...conditions,
          select: columns,
          from: "functions",
          orderBy: "creation_date, key",
          limit: request.limit,
          maxBytes: request.maxBytes
        })
        return Effect.flatMap(read(...statement), (rows) =>
          Effect.map(decode(rows), (assets) => pageOf(rows, assets, request))
        )
      },
      insert: (channel, fn) => {
        const maps = [mapJson(fn.metadata), mapJson(fn.inputs), mapJson(fn.outputs)]
        const permissions = JSON.stringify(fn.permissions)
        return write(
          `INSERT INTO functions (channel, key, owner, name, status, creation_date, description, archive, image,
                                  permissions, metadata, inputs, outputs, size)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)`,
          [
            channel,
            fn.key,
            fn.owner,
            fn.name,
            fn.status,
            timestamp(fn.creationDate),
            JSON.stringify(fn.description),
            JSON.stringify(fn.archive),
            JSON.stringify(fn.image),
            permissions,
            ...maps,
            1000 + permissions.length + maps.reduce((sum, text) => sum + text.length, 0)
          ]
        )
      },
      update: (channel, fn) =>
        write("UPDATE functions SET name = $3, image = $4, status = $5 WHERE channel = $1 AND key = $2", [
          channel,
          fn.key,
          fn.name,
          JSON.stringify(fn.image),
          fn.status
        ])
    })
  )
)
