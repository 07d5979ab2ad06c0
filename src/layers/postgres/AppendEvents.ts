/**
 * The events of a transaction on their way into the log: the last statement before COMMIT, since it takes the channel's
 * lock. What it does is a function of the database's (migrations/0002_events_chained.ts).
 */
import type { LoggedEvent } from "../../schema/Event.ts"
import type { ChannelName } from "../../schema/Key.ts"
import type { Timestamp } from "../../schema/Timestamp.ts"
import type { Committed, PreparedEvent } from "../../services/store/Database.ts"
import { timestamp } from "./Codecs.ts"
import * as Durability from "./Durability.ts"
import type { Row, Statement } from "./Session.ts"

const statement = (columns: string) => `SELECT ${columns}
  FROM append_events($1, $2, $3::text[]::uuid[], $4::text[], $5::text[]::asset_kind[], $6::text[]::event_kind[],
                     $7::text[], $8::bytea[])`

const appended = "first_position, logged_at, previous_id"
const late = statement(appended)
const early = statement(`${appended}, ${Durability.earlyCommit}`)

/** Appends events as the last statement before COMMIT. `isEarly`: that one does not wait for the disk. */
export const appendEvents = (
  channel: ChannelName,
  time: Timestamp,
  prepared: ReadonlyArray<PreparedEvent>,
  isEarly = false
): Statement => ({
  sql: isEarly ? early : late,
  params: [
    channel,
    timestamp(time),
    prepared.map((one) => one.id),
    prepared.map((one) => one.assetKey),
    prepared.map((one) => one.event.asset.kind),
    prepared.map((one) => one.event.eventKind),
    prepared.some((one) => one.event.reason !== undefined) ? prepared.map((one) => one.event.reason ?? null) : "{}",
    prepared.map((one) => one.message)
  ]
})

/** What is in the log, by the row that the statement has answered. */
export const appendedEvents = (channel: ChannelName, prepared: ReadonlyArray<PreparedEvent>, row: Row): Committed => {
  const firstPosition = Number(row.first_position)
  const loggedAt = row.logged_at as Timestamp
  const events = prepared.map(
    (one, index): LoggedEvent => ({
      channel,
      position: firstPosition + index,
      id: one.id,
      timestamp: loggedAt,
      message: one.message
    })
  )
  return { events, previousId: row.previous_id === null ? undefined : String(row.previous_id) }
}
