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
    /**
     * The events at positions `after + 1` to `upTo`, in order: `limit` of them at most, and no more than fill
     * `maxBytes`, but one at least where there is one. With `afterId`: none, unless that is the event at `after`, so
     * that what is read goes on from there and is not of a log that took its place.
     */
    readonly read: (
      channel: ChannelName,
      after: number,
      upTo: number,
      limit: number,
      maxBytes: number,
      afterId?: string
    ) => Effect.Effect<ReadonlyArray<LoggedEvent>, ReadError>
    /** The last position of each of these channels; 0 for one without events. */
    readonly heads: (channels: ReadonlyArray<ChannelName>) => Effect.Effect<ReadonlyMap<ChannelName, number>, ReadError>
    /** The ids of the events at these positions, one a channel; none where there is no event. */
    readonly idsAt: (
      places: ReadonlyArray<readonly [channel: ChannelName, position: number]>
    ) => Effect.Effect<ReadonlyMap<ChannelName, string>, ReadError>
  }
>()("orchestrator/services/store/EventLog") {}
