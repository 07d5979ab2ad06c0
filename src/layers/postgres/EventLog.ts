/** The event log on PostgreSQL. It is written by `append_events`, in transactions (Database.ts). */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type { LoggedEvent } from "../../schema/Event.ts"
import type { ChannelName } from "../../schema/Key.ts"
import { StoredDataInvalid } from "../../schema/OrchestratorError.ts"
import { fromMicros, type Timestamp } from "../../schema/Timestamp.ts"
import { EventLog } from "../../services/store/EventLog.ts"
import { int8, timestamp } from "./Codecs.ts"
import { Conditions, pageOf, pageStatement } from "./Page.ts"
import { mapJson, ofChannel, Readers, type Row, sql } from "./Session.ts"

const columns = `position, id, "timestamp", message`

/** Rows as events. By hand: a schema takes a quarter of the time of a replay. */
const decode = (
  channel: ChannelName,
  rows: ReadonlyArray<Row>
): Effect.Effect<ReadonlyArray<LoggedEvent>, StoredDataInvalid> =>
  Effect.suspend(() => {
    const events: Array<LoggedEvent> = []
    for (const { id, message, position, timestamp } of rows) {
      if (typeof id !== "string" || !(message instanceof Uint8Array) || !Number.isSafeInteger(timestamp)) {
        return Effect.fail(
          new StoredDataInvalid({ cause: new Error(`no event at position ${position} of ${channel}`) })
        )
      }
      events.push({ channel, position: Number(position), id, timestamp: timestamp as Timestamp, message })
    }
    return Effect.succeed(events)
  })

export const layer = Layer.effect(
  EventLog,
  Effect.map(Effect.all([sql, Readers]), ([{ read }, { query }]) =>
    EventLog.of({
      page: (channel, filter, descending, request) => {
        const conditions = new Conditions()
          .add((c) => ofChannel("", c), channel)
          .add((key) => `asset_key = ${key}`, filter.assetKey)
          .add((kind) => `asset_kind = ${kind}`, filter.assetKind)
          .add((kind) => `event_kind = ${kind}`, filter.eventKind)
          .add((pairs) => `metadata @> ${pairs}`, filter.metadata.size === 0 ? undefined : mapJson(filter.metadata))
          .add((start) => `"timestamp" >= ${start}`, filter.start === undefined ? undefined : timestamp(filter.start))
          .add((end) => `"timestamp" <= ${end}`, filter.end === undefined ? undefined : timestamp(filter.end))
          .after(
            request,
            (time, position) => `("timestamp", position) ${descending ? "<" : ">"} (${time}, ${position})`,
            ([time, position]) => [timestamp(fromMicros(time)), int8(position)]
          )
        const order = descending ? "DESC" : "ASC"
        const statement = pageStatement({
          ...conditions,
          select: `${columns}, 64 + octet_length(message) AS size`,
          from: "events",
          orderBy: `"timestamp" ${order}, position ${order}`,
          limit: request.limit,
          maxBytes: request.maxBytes
        })
        return Effect.flatMap(query(...statement, { durable: true, slow: true }), (rows) =>
          Effect.map(decode(channel, rows), (events) => pageOf(rows, events, request))
        )
      },
      positionOf: (channel, id) =>
        Effect.map(read("SELECT position FROM events WHERE id = $1 AND channel = $2", [id, channel]), (rows) =>
          Option.map(Option.fromUndefinedOr(rows[0]), (row) => Number(row.position))
        ),
      read: (channel, { after, afterId, limit, maxBytes, upTo }) =>
        Effect.flatMap(
          read(
            `SELECT ${columns} FROM (
               SELECT ${columns}, sum(octet_length(message)) OVER (ORDER BY position) - octet_length(message) AS before
                 FROM events WHERE ${ofChannel()} AND position > $2 AND position <= $3
                  AND ($6::uuid IS NULL OR EXISTS (
                    SELECT FROM events p WHERE ${ofChannel("p.")} AND p.position = $2 AND p.id = $6::uuid))
                ORDER BY position LIMIT $4
             ) e WHERE before < $5 ORDER BY position`,
            [channel, int8(after), int8(upTo), limit, int8(maxBytes), afterId ?? null]
          ),
          (rows) => decode(channel, rows)
        ),
      heads: (channels) =>
        channels.length === 0
          ? Effect.succeed(new Map())
          : Effect.map(
              query(
                `SELECT c.name, coalesce((SELECT e.position FROM events e WHERE e.channel = c.name
                                           ORDER BY e.position DESC LIMIT 1), 0) AS head
                   FROM unnest($1::text[]) AS c (name)`,
                [channels],
                { durable: true }
              ),
              (rows) => new Map(rows.map((row) => [row.name as ChannelName, Number(row.head)]))
            ),
      idsAt: (places) =>
        places.length === 0
          ? Effect.succeed(new Map())
          : Effect.map(
              read(
                `SELECT e.channel, e.id FROM unnest($1::text[], $2::text[]::bigint[]) AS p (channel, position)
                   JOIN events e ON e.channel = p.channel AND e.position = p.position`,
                [places.map(([channel]) => channel), places.map(([, position]) => String(position))]
              ),
              (rows) => new Map(rows.map((row) => [row.channel as ChannelName, String(row.id)]))
            )
    })
  )
)
