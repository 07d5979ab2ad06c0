/**
 * The port of the event log: one for each channel, append only, positions 1, 2, 3, … in commit order. Only
 * transactions append to it (Database.ts); what one appended appears at once, in one piece.
 */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type * as Option from "effect/Option"
import type { EventFilter, LoggedEvent } from "../../schema/Event.ts"
import type { ChannelName } from "../../schema/Key.ts"
import type { EventCursor, Page, PageRequest } from "../../schema/Pagination.ts"
import type { ReadError } from "./StoreError.ts"

/** Which events are read of a log. */
export interface LogPiece {
  /** The position before the first. */
  readonly after: number
  /** With it there are none unless this is the event at `after`: what is read goes on from there, in the same log. */
  readonly afterId?: string | undefined
  /** The position of the last. */
  readonly upTo: number
  /** As many at most. */
  readonly limit: number
  /** No more than fill so many bytes, but one at least where there is one. */
  readonly maxBytes: number
}

/** The log of events: what transactions appended, at positions without gaps. */
export class EventLog extends Context.Service<
  EventLog,
  {
    /**
     * Events that fit the filter, by timestamp, then position, forwards or backwards. For events of this server that is
     * the order of positions; a log that was taken over from elsewhere may hold timestamps that go back.
     */
    readonly page: (
      channel: ChannelName,
      filter: EventFilter,
      descending: boolean,
      request: PageRequest<EventCursor>
    ) => Effect.Effect<Page<LoggedEvent>, ReadError>
    /** The position of the event with this id, if the channel has it. */
    readonly positionOf: (channel: ChannelName, id: string) => Effect.Effect<Option.Option<number>, ReadError>
    /** A piece of the log, in order. */
    readonly read: (channel: ChannelName, piece: LogPiece) => Effect.Effect<ReadonlyArray<LoggedEvent>, ReadError>
    /** The last position of each of these channels; 0 for one without events. */
    readonly heads: (channels: ReadonlyArray<ChannelName>) => Effect.Effect<ReadonlyMap<ChannelName, number>, ReadError>
    /** The ids of the events at these positions, one a channel; none where there is no event. */
    readonly idsAt: (
      places: ReadonlyArray<readonly [channel: ChannelName, position: number]>
    ) => Effect.Effect<ReadonlyMap<ChannelName, string>, ReadError>
  }
>()("orchestrator/services/store/EventLog") {}
