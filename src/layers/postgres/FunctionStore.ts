/** Functions on PostgreSQL. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { Function } from "../../schema/Function.ts"
import { FunctionStore } from "../../services/store/FunctionStore.ts"
import { assetTable } from "./AssetTable.ts"
import { timestamp } from "./Codecs.ts"
import { Conditions } from "./Page.ts"
import { mapJson, ofChannel, rowDecoder, sql, toMap } from "./Session.ts"

export const columns =
  "key, owner, name, status, creation_date, description, archive, image, permissions, metadata, inputs, outputs, size"

export const decode = rowDecoder(Function, (row) => ({
  ...row,
  creationDate: row.creation_date,
  metadata: toMap(row.metadata),
  inputs: toMap(row.inputs),
  outputs: toMap(row.outputs)
}))

export const layer = Layer.effect(
  FunctionStore,
  Effect.map(sql, (access) => {
    const table = assetTable(access, "functions", columns, decode)
    const { write } = access
    return FunctionStore.of({
      find: table.find,
      lock: table.lock,
      share: (channel, keys) => table.lockMany(channel, keys, "SHARE"),
      isTaken: table.isTaken,
      page: (channel, filter, request) =>
        table.page(
          new Conditions()
            .add((c) => ofChannel("", c), channel)
            .add(
              (plan) =>
                `key IN (SELECT function_key FROM compute_tasks WHERE ${ofChannel()} AND compute_plan_key = ${plan}::uuid)`,
              filter.computePlanKey
            ),
          request
        ),
      insert: (channel, fn) => {
        const maps = [mapJson(fn.metadata), mapJson(fn.inputs), mapJson(fn.outputs)]
        const description = JSON.stringify(fn.description)
        const archive = JSON.stringify(fn.archive)
        const permissions = JSON.stringify(fn.permissions)
        const texts = [fn.name, description, archive, permissions, ...maps]
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
            description,
            archive,
            JSON.stringify(fn.image),
            permissions,
            ...maps,
            texts.reduce((sum, text) => sum + text.length, 100)
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
  })
)
