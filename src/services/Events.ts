/** The log of events, for queries and subscribers (behaviour.md, section 5). */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import { AssetKind } from "../schema/AssetKind.ts"
import {
  type EventFilter,
  EventKind,
  type LoggedEvent,
  normalizeAssetKey,
  parseStartEventId,
  validateTimes
} from "../schema/Event.ts"
import type { InvalidAsset, NotFound, Unavailable } from "../schema/OrchestratorError.ts"
import { type EventCursor, emptyPage, type Page, type PageRequest } from "../schema/Pagination.ts"
import { EventHub, type Subscription } from "./EventHub.ts"
import { filterText, orNotFound } from "./Lookup.ts"
import { RequestContext } from "./RequestContext.ts"
import { EventLog } from "./store/EventLog.ts"
import type { ReadError } from "./store/StoreError.ts"

/** What a query may ask for; empty texts, unset kinds and times do not filter, unknown kinds find nothing. */
export interface EventQuery {
  /** Exactly this key, whatever the kind. */
  readonly assetKey: string
  /** `ASSET_COMPUTE_TASK`, `ASSET_UNKNOWN` for any. */
  readonly assetKind: string
  /** `EVENT_ASSET_CREATED`, `EVENT_UNKNOWN` for any. */
  readonly eventKind: string
  /** Pairs that the event's metadata contains, with their letter case. */
  readonly metadata: ReadonlyMap<string, string>
  /** Inclusive, as `end` is. */
  readonly start: { readonly seconds: bigint; readonly nanos: number } | undefined
  readonly end: { readonly seconds: bigint; readonly nanos: number } | undefined
}

/** The log of events, for queries and subscribers (behaviour.md, section 5). */
export class Events extends Context.Service<
  Events,
  {
    /** Events that fit the filter, by timestamp, then in the order of the log; all of it reversed when descending. */
    readonly query: (
      filter: EventQuery | undefined,
      descending: boolean,
      request: PageRequest<EventCursor>
    ) => Effect.Effect<Page<LoggedEvent>, InvalidAsset | ReadError, RequestContext>
    /** Everything of the channel after the event with this id, from the beginning when empty, then what comes. */
    readonly subscribe: (
      startEventId: string
    ) => Effect.Effect<Subscription, InvalidAsset | NotFound | Unavailable | ReadError, RequestContext | Scope.Scope>
  }
>()("orchestrator/services/Events") {
  static readonly layer = Layer.effect(
    Events,
    Effect.gen(function* () {
      const log = yield* EventLog
      const hub = yield* EventHub

      const query = Effect.fnUntraced(function* (
        asked: EventQuery | undefined,
        descending: boolean,
        request: PageRequest<EventCursor>
      ) {
        const { channel } = yield* RequestContext
        if (asked === undefined) return yield* log.page(channel, { metadata: new Map() }, descending, request)
        const times = yield* validateTimes({ start: asked.start, end: asked.end })
        const assetKey = yield* filterText("event", "filter.asset_key", asked.assetKey)
        for (const text of [...asked.metadata].flat()) yield* filterText("event", "filter.metadata", text)
        const assetKind = asked.assetKind === "ASSET_UNKNOWN" ? undefined : asked.assetKind
        const eventKind = asked.eventKind === "EVENT_UNKNOWN" ? undefined : asked.eventKind
        if (assetKind !== undefined && !isAssetKind(assetKind)) return emptyPage
        if (eventKind !== undefined && !isEventKind(eventKind)) return emptyPage
        const filter: EventFilter = {
          ...times,
          metadata: asked.metadata,
          ...(assetKey === undefined ? {} : { assetKey: normalizeAssetKey(assetKey) }),
          ...(assetKind === undefined ? {} : { assetKind }),
          ...(eventKind === undefined ? {} : { eventKind })
        }
        return yield* log.page(channel, filter, descending, request)
      })

      const subscribe = Effect.fnUntraced(function* (startEventId: string) {
        const { channel } = yield* RequestContext
        if (startEventId === "") return yield* hub.subscribe(channel, 0)
        const id = yield* parseStartEventId(startEventId)
        const position = yield* orNotFound("event", id, yield* log.positionOf(channel, id))
        return yield* hub.subscribe(channel, position, id)
      })

      return Events.of({ query, subscribe })
    })
  )
}

const isAssetKind = Schema.is(AssetKind)
const isEventKind = Schema.is(EventKind)
