/** Data samples on PostgreSQL. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { DataSample } from "../../schema/DataSample.ts"
import type { Key } from "../../schema/Key.ts"
import { fromMicros } from "../../schema/Timestamp.ts"
import { DataSampleStore } from "../../services/store/DataSampleStore.ts"
import { assetTable } from "./AssetTable.ts"
import { timestamp } from "./Codecs.ts"
import { Conditions } from "./Page.ts"
import { ofChannel, rowDecoder, sql } from "./Session.ts"

export const columns = "key, owner, checksum, creation_date, data_manager_keys, size"

export const decode = rowDecoder(DataSample, (row) => ({
  ...row,
  creationDate: row.creation_date,
  dataManagerKeys: row.data_manager_keys
}))

/** Keys as the text of an array: a list of lists goes as one parameter, an array of such texts. */
const keysText = (keys: ReadonlyArray<Key>): string => `{${keys.join(",")}}`

const keySize = 38

export const layer = Layer.effect(
  DataSampleStore,
  Effect.map(sql, (access) => {
    const table = assetTable(access, "data_samples", columns, decode)
    const { write } = access
    return DataSampleStore.of({
      find: table.find,
      many: table.many,
      lock: (channel, keys) => table.lockMany(channel, keys, "NO KEY UPDATE"),
      taken: table.taken,
      page: (channel, filter, request) =>
        table.page(
          new Conditions()
            .add((c) => ofChannel("", c), channel)
            .add((keys) => `key = ANY (${keys}::text[]::uuid[])`, filter.keys),
          request
        ),
      insert: (channel, samples) => {
        const links = samples.flatMap((sample) =>
          sample.dataManagerKeys.map((manager) => [manager, sample.key] as const)
        )
        const rows = write(
          `INSERT INTO data_samples (channel, key, owner, checksum, creation_date, data_manager_keys, size)
           SELECT $1, key, owner, checksum, $2, managers::uuid[], size
             FROM unnest($3::text[]::uuid[], $4::text[], $5::text[], $6::text[], $7::int[])
                  AS s (key, owner, checksum, managers, size)
            ORDER BY key`,
          [
            channel,
            timestamp(samples[0]?.creationDate ?? fromMicros(0)),
            samples.map((sample) => sample.key),
            samples.map((sample) => sample.owner),
            samples.map((sample) => sample.checksum),
            samples.map((sample) => keysText(sample.dataManagerKeys)),
            samples.map((sample) => 150 + keySize * sample.dataManagerKeys.length)
          ]
        )
        return samples.length === 0
          ? Effect.void
          : links.length === 0
            ? rows
            : Effect.andThen(
                rows,
                write(linkSamples, [channel, links.map(([manager]) => manager), links.map(([, sample]) => sample)])
              )
      },
      update: (channel, samples) => {
        const links = samples.flatMap((sample) =>
          sample.dataManagerKeys.map((manager) => [manager, sample.key] as const)
        )
        if (links.length === 0) return Effect.void
        return Effect.andThen(
          write(
            `UPDATE data_samples s SET data_manager_keys = n.managers::uuid[], size = n.size
               FROM unnest($2::text[]::uuid[], $3::text[], $4::int[]) AS n (key, managers, size)
              WHERE ${ofChannel("s.")} AND s.key = n.key`,
            [
              channel,
              samples.map((sample) => sample.key),
              samples.map((sample) => keysText(sample.dataManagerKeys)),
              samples.map((sample) => 150 + keySize * sample.dataManagerKeys.length)
            ]
          ),
          write(linkSamples, [channel, links.map(([manager]) => manager), links.map(([, sample]) => sample)])
        )
      }
    })
  })
)

const linkSamples = `INSERT INTO data_manager_samples (channel, data_manager_key, data_sample_key)
  SELECT $1, manager, sample FROM unnest($2::text[]::uuid[], $3::text[]::uuid[]) AS l (manager, sample)
   ORDER BY manager, sample
  ON CONFLICT DO NOTHING`
