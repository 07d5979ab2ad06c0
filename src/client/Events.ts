/**
 * The events of a channel as one stream that outlives connections. The place in the log is the id of the last event
 * that was given out: a subscription that breaks is opened again right after it, so nothing is lost or repeated.
 */
import type { NonEmptyArray } from "effect/Array"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Stream from "effect/Stream"
import type { Event } from "../layers/wire/generated/event.ts"
import type { CallOptions } from "./Calls.ts"
import type { ClientError } from "./ClientError.ts"
import type { Arrival } from "./Connection.ts"
import * as Retry from "./Retry.ts"

/** What a subscription brings, in its order. */
export type Signal =
  /** An event of the log. */
  | { readonly _tag: "Event"; readonly event: Event }
  /**
   * The subscription stands, and all that the channel held when it was opened has been given out: what comes from now
   * on comes as it happens. Told once for each time that the subscription is opened.
   */
  | { readonly _tag: "Live" }
  /**
   * The subscription broke, or could not be opened: it is tried again, after the last event that was given out. Told
   * for each attempt that fails.
   */
  | { readonly _tag: "Lost"; readonly error: ClientError }

export interface EventsApi {
  /**
   * Everything after the event with this id, from the channel's first when left out, then what comes, without end. Fails
   * with what cannot be mended by subscribing again: `NotFound` for an id that the channel does not have, for example.
   * Whoever may be restarted keeps the id of the last event that it has dealt with, together with what it did about it.
   */
  readonly events: (after?: string) => Stream.Stream<Event, ClientError>
  /** The same, told when it is live and when it was lost. */
  readonly subscription: (after?: string) => Stream.Stream<Signal, ClientError>
  /** The id of the channel's newest event, empty when it has none: where to subscribe for what is yet to come. */
  readonly newestEvent: (options?: CallOptions) => Effect.Effect<string, ClientError>
}

/** What one subscription brings. */
type Arrived = Arrival<Event>

interface Source {
  /** The channel's newest event, by one attempt of a few seconds. */
  readonly newestOnce: Effect.Effect<Event | undefined, ClientError>
  readonly newest: (options?: CallOptions) => Effect.Effect<Event | undefined, ClientError>
  /** One subscription, until it breaks. */
  readonly subscribe: (after: string) => Stream.Stream<Arrived, ClientError>
  /** Milliseconds in which a subscription must stand for the first time. */
  readonly retryFor: number
}

/** Where a subscriber stands, from one connection to the next. */
interface Place {
  last: string
  /** Whether the server has ever accepted a subscription. */
  stood: boolean
  /** Attempts that failed since the last one that the server accepted. */
  failures: number
}

const isLater = (event: Event, than: Event): boolean => {
  const [a, b] = [event.timestamp, than.timestamp]
  if (a === undefined || b === undefined) return false
  return a.seconds > b.seconds || (a.seconds === b.seconds && a.nanos > b.nanos)
}

/** Tells where `Live` stands among what arrives: behind the event that was the newest before the subscription. */
const signalsOf = (place: Place, head: Event | undefined): ((arrived: Arrived) => ReadonlyArray<Signal>) => {
  let isLive = false
  const live = (): ReadonlyArray<Signal> => {
    if (isLive) return []
    isLive = true
    return [{ _tag: "Live" }]
  }
  return (arrived) => {
    if (arrived._tag === "Accepted") {
      place.stood = true
      place.failures = 0
      return head === undefined || head.id === place.last ? live() : []
    }
    const event = arrived.message
    place.last = event.id
    if (event.id === head?.id) return [{ _tag: "Event", event }, ...live()]
    // Where the log was taken over from elsewhere, its newest event by time may stand before the subscriber's place.
    return head !== undefined && isLater(event, head)
      ? [...live(), { _tag: "Event", event }]
      : [{ _tag: "Event", event }]
  }
}

/** Whether a subscription may stand if it is opened again. */
const isLost = (error: ClientError): boolean => Retry.isTransient(error) || error._tag === "DeadlineExceeded"

export const make = (source: Source): EventsApi => {
  /** One subscription: it ends when it is lost, and is opened again by whoever asks for it again. */
  const once = (place: Place, giveUpAt: number): Stream.Stream<Signal, ClientError> =>
    Stream.unwrap(
      Effect.map(source.newestOnce, (head) => {
        const signals = signalsOf(place, head)
        // Batch by batch: who looks once for all that has come together would look for each.
        return source.subscribe(place.last).pipe(
          Stream.chunks,
          Stream.map((arrived) => arrived.flatMap(signals)),
          Stream.filter((batch): batch is NonEmptyArray<Signal> => batch.length > 0),
          Stream.flattenArray
        )
      })
    ).pipe(
      Stream.catch((error) =>
        Stream.unwrap(
          Effect.gen(function* () {
            const isHopeless = !place.stood && (yield* Clock.currentTimeMillis) >= giveUpAt
            if (!isLost(error) || isHopeless) return yield* error
            place.failures++
            const lost = Stream.make<[Signal]>({ _tag: "Lost", error })
            return Stream.concat(lost, Stream.fromEffectDrain(Retry.wait(place.failures)))
          })
        )
      )
    )

  const subscription = (after = ""): Stream.Stream<Signal, ClientError> =>
    Stream.unwrap(
      Effect.map(Clock.currentTimeMillis, (now) => {
        const place: Place = { last: after, stood: false, failures: 0 }
        return Stream.forever(Stream.suspend(() => once(place, now + source.retryFor)))
      })
    )

  return {
    subscription,
    events: (after) =>
      Stream.filterMap(subscription(after), (signal) =>
        signal._tag === "Event" ? Result.succeed(signal.event) : Result.failVoid
      ),
    newestEvent: (options) => Effect.map(source.newest(options), (event) => event?.id ?? "")
  }
}
