/**
 * The events of all channels, as an immutable value. A log is in order of positions and so of timestamps: it starts
 * empty and gives both itself. For filters it keeps what PostgreSQL keeps in columns.
 */
import * as HashMap from "effect/HashMap"
import * as Iterable from "effect/Iterable"
import * as Option from "effect/Option"
import type { AssetKind } from "../../schema/AssetKind.ts"
import type { EventFilter, EventKind, LoggedEvent } from "../../schema/Event.ts"
import type { ChannelName } from "../../schema/Key.ts"
import type { EventCursor, Page, PageRequest } from "../../schema/Pagination.ts"
import { fromMicros, type Timestamp } from "../../schema/Timestamp.ts"
import type { PreparedEvent } from "../../services/store/Database.ts"
import * as Sequence from "./Sequence.ts"
import * as Table from "./Table.ts"

interface Entry {
  readonly event: LoggedEvent
  readonly assetKey: string
  readonly assetKind: AssetKind
  readonly eventKind: EventKind
  readonly metadata: ReadonlyMap<string, string>
}

/** One channel's events: all of them, and those of each asset. */
interface Log {
  readonly entries: Sequence.Sequence<Entry>
  readonly byAsset: HashMap.HashMap<string, Sequence.Sequence<Entry>>
}

export interface Logs {
  readonly channels: HashMap.HashMap<ChannelName, Log>
  /** Every event by its id. */
  readonly byId: HashMap.HashMap<string, LoggedEvent>
}

export const empty: Logs = { channels: HashMap.empty(), byId: HashMap.empty() }

const noLog: Log = { entries: Sequence.empty, byAsset: HashMap.empty() }

const logOf = (logs: Logs, channel: ChannelName): Log =>
  Option.getOrElse(HashMap.get(logs.channels, channel), () => noLog)

const noMetadata: ReadonlyMap<string, string> = new Map()

/** The last position of a channel's log. */
export const head = (logs: Logs, channel: ChannelName): number => logOf(logs, channel).entries.length

/** The id of the event at this position. */
export const idAt = (logs: Logs, channel: ChannelName, position: number): string | undefined =>
  Sequence.at(logOf(logs, channel).entries, position - 1)?.event.id

/** Gives events the next positions and one timestamp: this one, or the log's last where that is later. */
export const append = (
  logs: Logs,
  channel: ChannelName,
  prepared: ReadonlyArray<PreparedEvent>,
  now: Timestamp
): readonly [Logs, ReadonlyArray<LoggedEvent>] => {
  if (prepared.length === 0) return [logs, []]
  const log = logOf(logs, channel)
  const last = Sequence.at(log.entries, log.entries.length - 1)?.event.timestamp ?? now
  const timestamp = fromMicros(Math.max(now, last))
  let { byAsset } = log
  let { byId } = logs
  const entries = prepared.map(({ assetKey, event, id, message }, index): Entry => {
    if (HashMap.has(byId, id)) throw new Error(`the id of event ${id} is in use`)
    const logged = { channel, position: log.entries.length + index + 1, id, timestamp, message }
    const entry: Entry = {
      event: logged,
      assetKey,
      assetKind: event.asset.kind,
      eventKind: event.eventKind,
      metadata: event.reason === undefined ? noMetadata : new Map([["reason", event.reason]])
    }
    byId = HashMap.set(byId, id, logged)
    byAsset = HashMap.set(byAsset, assetKey, Sequence.append(ofAsset(byAsset, assetKey), [entry]))
    return entry
  })
  const grown: Log = { entries: Sequence.append(log.entries, entries), byAsset }
  return [{ channels: HashMap.set(logs.channels, channel, grown), byId }, entries.map((entry) => entry.event)]
}

const ofAsset = (byAsset: Log["byAsset"], assetKey: string): Sequence.Sequence<Entry> =>
  Option.getOrElse(HashMap.get(byAsset, assetKey), () => Sequence.empty)

/** The position of the event with this id, if the channel has it. */
export const positionOf = (logs: Logs, channel: ChannelName, id: string): Option.Option<number> =>
  HashMap.get(logs.byId, id).pipe(
    Option.filter((event) => event.channel === channel),
    Option.map((event) => event.position)
  )

/** The first events at positions `after + 1` to `upTo`: as many as fill `maxBytes`, `limit` at most. */
export const read = (
  logs: Logs,
  channel: ChannelName,
  after: number,
  upTo: number,
  limit: number,
  maxBytes: number
): ReadonlyArray<LoggedEvent> => {
  const events: Array<LoggedEvent> = []
  let bytes = 0
  for (const { event } of Sequence.slice(logOf(logs, channel).entries, after, Math.min(upTo, after + limit))) {
    if (bytes >= maxBytes && events.length > 0) break
    events.push(event)
    bytes += event.message.length
  }
  return events
}

/** A page of the events that fit the filter, by timestamp, then position, forwards or backwards. */
export const page = (
  logs: Logs,
  channel: ChannelName,
  filter: EventFilter,
  descending: boolean,
  { cursor, limit }: PageRequest<EventCursor>
): Page<LoggedEvent> => {
  const log = logOf(logs, channel)
  const entries = filter.assetKey === undefined ? log.entries : ofAsset(log.byAsset, filter.assetKey)
  const { end, start } = filter
  let from = start === undefined ? 0 : Sequence.firstIndex(entries, ({ event }) => event.timestamp >= start)
  let to = end === undefined ? entries.length : Sequence.firstIndex(entries, ({ event }) => event.timestamp > end)
  if (Option.isSome(cursor)) {
    const place = cursor.value
    if (descending)
      to = Math.min(
        to,
        Sequence.firstIndex(entries, ({ event }) => compare(event, place) >= 0)
      )
    else
      from = Math.max(
        from,
        Sequence.firstIndex(entries, ({ event }) => compare(event, place) > 0)
      )
  }
  const fitting = Iterable.filter(between(entries, from, to, descending), (entry) => fits(entry, filter))
  const { hasMore, items } = Table.cut(fitting, limit)
  return { items: items.map((entry) => entry.event), hasMore }
}

const compare = (event: LoggedEvent, [timestamp, position]: EventCursor): number =>
  event.timestamp - timestamp || event.position - position

function* between(entries: Sequence.Sequence<Entry>, from: number, to: number, descending: boolean): Generator<Entry> {
  if (descending) for (let index = to - 1; index >= from; index--) yield entries.items[index] as Entry
  else for (let index = from; index < to; index++) yield entries.items[index] as Entry
}

const fits = (entry: Entry, { assetKind, eventKind, metadata }: EventFilter): boolean =>
  (assetKind === undefined || entry.assetKind === assetKind) &&
  (eventKind === undefined || entry.eventKind === eventKind) &&
  Array.from(metadata).every(([name, value]) => entry.metadata.get(name) === value)
