/** Data managers on PostgreSQL. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import { DataManager } from "../../schema/DataManager.ts"
import type { Key } from "../../schema/Key.ts"
import { DataManagerStore } from "../../services/store/DataManagerStore.ts"
import { assetTable } from "./AssetTable.ts"
import { timestamp } from "./Codecs.ts"
import { Conditions } from "./Page.ts"
import { first, mapJson, ofChannel, rowDecoder, sql, toMap } from "./Session.ts"

export const columns =
  "key, owner, name, creation_date, description, opener, permissions, logs_permission, metadata, size"

export const decode = rowDecoder(DataManager, (row) => ({
  ...row,
  creationDate: row.creation_date,
  logsPermission: row.logs_permission,
  metadata: toMap(row.metadata)
}))

export const layer = Layer.effect(
  DataManagerStore,
  Effect.map(sql, (access) => {
    const table = assetTable(access, "data_managers", columns, decode)
    const { read, write } = access
    return DataManagerStore.of({
      find: table.find,
      findDataset: (channel, key) =>
        Effect.flatMap(
          read(
            `SELECT ${columns}, ARRAY(
                SELECT s.key FROM data_manager_samples ms
                  JOIN data_samples s ON s.channel = ms.channel AND s.key = ms.data_sample_key
                 WHERE ms.channel = m.channel AND ms.data_manager_key = m.key ORDER BY s.creation_date, s.key
              ) AS sample_keys
              FROM data_managers m WHERE channel = $1 AND key = $2`,
            [channel, key]
          ),
          (rows) =>
            Effect.map(decode(rows), (managers) =>
              Option.map(first(managers), (dataManager) => ({
                dataManager,
                dataSampleKeys: rows[0]?.sample_keys as ReadonlyArray<Key>
              }))
            )
        ),
      many: table.many,
      lock: table.lock,
      isTaken: table.isTaken,
      page: (channel, request) =>
        table.page(
          new Conditions().add((c) => ofChannel("", c), channel),
          request
        ),
      insert: (channel, manager) => {
        const metadata = mapJson(manager.metadata)
        const permissions = JSON.stringify(manager.permissions)
        const logsPermission = JSON.stringify(manager.logsPermission)
        return write(
          `INSERT INTO data_managers (channel, key, owner, name, creation_date, description, opener, permissions,
                                      logs_permission, metadata, size)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`,
          [
            channel,
            manager.key,
            manager.owner,
            manager.name,
            timestamp(manager.creationDate),
            JSON.stringify(manager.description),
            JSON.stringify(manager.opener),
            permissions,
            logsPermission,
            metadata,
            500 + permissions.length + logsPermission.length + metadata.length
          ]
        )
      },
      update: (channel, manager) =>
        write("UPDATE data_managers SET name = $3 WHERE channel = $1 AND key = $2", [
          channel,
          manager.key,
          manager.name
        ])
    })
  })
)
