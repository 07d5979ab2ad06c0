/** What tables of assets have in common: a channel and a key, found, locked and paged in the same way. */
import * as Effect from "effect/Effect"
import type * as Option from "effect/Option"
import type { ChannelName, Key } from "../../schema/Key.ts"
import type { StoredDataInvalid } from "../../schema/OrchestratorError.ts"
import type { AssetCursor, Page, PageRequest } from "../../schema/Pagination.ts"
import { fromMicros } from "../../schema/Timestamp.ts"
import type { ReadError } from "../../services/store/StoreError.ts"
import type { UnitOfWork } from "../../services/store/UnitOfWork.ts"
import { timestamp } from "./Codecs.ts"
import { type Conditions, pageOf, pageStatement } from "./Page.ts"
import { first, ofChannel, type Row, type Sql } from "./Session.ts"

export interface AssetTable<A> {
  readonly find: (channel: ChannelName, key: Key) => Effect.Effect<Option.Option<A>, ReadError>
  /** Nobody else changes the row until the end of the transaction. */
  readonly lock: (channel: ChannelName, key: Key) => Effect.Effect<Option.Option<A>, ReadError, UnitOfWork>
  readonly many: (channel: ChannelName, keys: ReadonlyArray<Key>) => Effect.Effect<ReadonlyArray<A>, ReadError>
  /** Like `many`, locked in the order of the keys: for change, or shared with others who only want it to stay. */
  readonly lockMany: (
    channel: ChannelName,
    keys: ReadonlyArray<Key>,
    strength: "NO KEY UPDATE" | "SHARE"
  ) => Effect.Effect<ReadonlyArray<A>, ReadError, UnitOfWork>
  /** Which of these keys are in use, in whatever channel. */
  readonly taken: (keys: ReadonlyArray<Key>) => Effect.Effect<ReadonlySet<Key>, ReadError>
  readonly isTaken: (key: Key) => Effect.Effect<boolean, ReadError>
  /** By creation date, then key, of what fits the conditions. */
  readonly page: (conditions: Conditions, request: PageRequest<AssetCursor>) => Effect.Effect<Page<A>, ReadError>
}

export const assetTable = <A>(
  { locking, read }: Sql,
  table: string,
  columns: string,
  decode: (rows: ReadonlyArray<Row>) => Effect.Effect<ReadonlyArray<A>, StoredDataInvalid>
): AssetTable<A> => {
  const one = `SELECT ${columns} FROM ${table} WHERE channel = $1 AND key = $2`
  const several = `SELECT ${columns} FROM ${table} WHERE ${ofChannel()} AND key = ANY ($2::text[]::uuid[])`
  const none = Effect.succeed<ReadonlyArray<A>>([])
  return {
    find: (channel, key) => Effect.map(Effect.flatMap(read(one, [channel, key]), decode), first),
    lock: (channel, key) =>
      Effect.map(Effect.flatMap(locking(`${one} FOR NO KEY UPDATE`, [channel, key]), decode), first),
    many: (channel, keys) => (keys.length === 0 ? none : Effect.flatMap(read(several, [channel, keys]), decode)),
    lockMany: (channel, keys, strength) =>
      Effect.flatMap(locking(`${several} ORDER BY key FOR ${strength}`, [channel, keys]), decode),
    taken: (keys) =>
      Effect.map(
        read(`SELECT key FROM ${table} WHERE key = ANY ($1::text[]::uuid[])`, [keys]),
        (rows) => new Set(rows.map((row) => row.key as Key))
      ),
    isTaken: (key) => Effect.map(read(`SELECT FROM ${table} WHERE key = $1`, [key]), (rows) => rows.length > 0),
    page: (conditions, request) => {
      const after = conditions.after(
        request,
        (date, key) => `(creation_date, key) > (${date}, ${key}::uuid)`,
        ([date, key]) => [timestamp(fromMicros(date)), key]
      )
      const statement = pageStatement({
        select: columns,
        from: table,
        where: after.where,
        params: after.params,
        orderBy: "creation_date, key",
        limit: request.limit,
        maxBytes: request.maxBytes
      })
      return Effect.flatMap(read(...statement, { slow: true }), (rows) =>
        Effect.map(decode(rows), (assets) => pageOf(rows, assets, request))
      )
    }
  }
}
