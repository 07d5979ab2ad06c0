/** Models on PostgreSQL. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import { Model } from "../../schema/Model.ts"
import { ModelStore } from "../../services/store/ModelStore.ts"
import { assetTable } from "./AssetTable.ts"
import { timestamp } from "./Codecs.ts"
import { ofChannel, type Row, rowDecoder, sql } from "./Session.ts"

export const columns = "key, owner, compute_task_key, output_identifier, creation_date, address, permissions"

const fromRow = (row: Row) => ({
  key: row.key,
  owner: row.owner,
  computeTaskKey: row.compute_task_key,
  creationDate: row.creation_date,
  permissions: row.permissions,
  ...(row.address === null ? {} : { address: row.address })
})

export const decode = rowDecoder(Model, fromRow)

export const decodeOutput = rowDecoder(Schema.Struct({ model: Model, outputIdentifier: Schema.String }), (row) => ({
  model: fromRow(row),
  outputIdentifier: row.output_identifier
}))

export const layer = Layer.effect(
  ModelStore,
  Effect.map(sql, (access) => {
    const table = assetTable(access, "models", columns, decode)
    const { read, write } = access
    return ModelStore.of({
      find: table.find,
      many: table.many,
      ofTasks: (channel, taskKeys) =>
        taskKeys.length === 0
          ? Effect.succeed([])
          : Effect.flatMap(
              read(
                `SELECT ${columns} FROM models WHERE ${ofChannel()} AND compute_task_key = ANY ($2::text[]::uuid[])
                  ORDER BY compute_task_key, ordinal`,
                [channel, taskKeys]
              ),
              decodeOutput
            ),
      taken: table.taken,
      insert: (channel, models) => {
        const [oldest] = models
        if (oldest === undefined) return Effect.void
        return write(
          `INSERT INTO models (channel, key, owner, compute_task_key, output_identifier, ordinal, creation_date,
                               address, permissions)
           SELECT $1, m.key, m.owner, $2::uuid, m.output,
                  m.n + (SELECT coalesce(max(ordinal), 0) FROM models WHERE ${ofChannel()} AND compute_task_key = $2::uuid),
                  $3, m.address::jsonb, m.permissions::jsonb
             FROM unnest($4::text[]::uuid[], $5::text[], $6::text[], $7::text[], $8::text[]) WITH ORDINALITY
                  AS m (key, owner, output, address, permissions, n)
            ORDER BY m.key`,
          [
            channel,
            oldest.model.computeTaskKey,
            timestamp(oldest.model.creationDate),
            models.map(({ model }) => model.key),
            models.map(({ model }) => model.owner),
            models.map(({ outputIdentifier }) => outputIdentifier),
            models.map(({ model }) => JSON.stringify(model.address)),
            models.map(({ model }) => JSON.stringify(model.permissions))
          ]
        )
      },
      disable: (channel, keys) =>
        write(`UPDATE models SET address = NULL WHERE ${ofChannel()} AND key = ANY ($2::text[]::uuid[])`, [
          channel,
          keys
        ])
    })
  })
)
