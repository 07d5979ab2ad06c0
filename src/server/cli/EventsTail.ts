/** Prints the log of a channel, from an event on, and what comes after it; straight from the database. */
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type * as Redacted from "effect/Redacted"
import * as Migrator from "../../layers/postgres/Migrator.ts"
import * as PostgresStore from "../../layers/postgres/PostgresStore.ts"
import * as EventCodec from "../../layers/wire/EventCodec.ts"
import { Event } from "../../layers/wire/generated/event.ts"
import { jsonOf } from "../../layers/wire/Json.ts"
import type { ChannelName } from "../../schema/Key.ts"
import { EventHub } from "../../services/EventHub.ts"
import { orNotFound, requiredKey } from "../../services/Lookup.ts"
import { EventLog } from "../../services/store/EventLog.ts"
import { CommittedEvents } from "../../services/Transaction.ts"

export interface TailOptions {
  readonly url: Redacted.Redacted
  /** Whether the servers of the database have it: then what is printed is waited for until it is durable. */
  readonly earlyLockRelease: boolean
  readonly channel: ChannelName
  /** The id of the event after which to begin; none begins with the first. */
  readonly after: Option.Option<string>
  readonly json: boolean
  /** Whether to wait for what comes. */
  readonly follow: boolean
}

const dateOf = (event: Event): string => {
  const { nanos, seconds } = event.timestamp ?? { seconds: 0n, nanos: 0 }
  const iso = new Date(Number(seconds) * 1000).toISOString().slice(0, 19)
  return `${iso}.${String(Math.floor(nanos / 1000)).padStart(6, "0")}Z`
}

/** A client's text: on one line, and nothing that a terminal would obey. */
const printable = (text: string): string =>
  text.replace(/[\p{Cc}\u2028\u2029]/gu, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`)

const line = (event: Event): string => {
  const status = event.asset !== undefined && "status" in event.asset.value ? ` ${event.asset.value.status}` : ""
  const reason = event.metadata.get("reason")
  return `${dateOf(event)} ${event.id} ${event.eventKind} ${event.assetKind} ${event.assetKey}${status}${
    reason === undefined ? "" : ` (${printable(reason)})`
  }`
}

export const tail = (options: TailOptions) =>
  Effect.gen(function* () {
    const { knownSchema, needsNewer, schema } = yield* Migrator.inspect({ url: options.url })
    if (schema < knownSchema || needsNewer !== undefined) {
      const message =
        needsNewer ?? `the database's schema is ${schema} of ${knownSchema}: run migrate, or start a server`
      return yield* new Migrator.DatabaseUnusable({ message })
    }
    const log = yield* EventLog
    const hub = yield* EventHub
    const start = yield* Option.match(options.after, {
      onNone: () => Effect.succeed(0),
      onSome: (id) =>
        requiredKey("event", "--after", id).pipe(
          Effect.flatMap((key) => log.positionOf(options.channel, key)),
          Effect.flatMap((position) => orNotFound("event", id, position))
        )
    })
    const head = (yield* log.heads([options.channel])).get(options.channel) ?? 0
    if (head === 0) yield* Console.error(`channel "${options.channel}" has no events`)
    const end = options.follow ? Number.POSITIVE_INFINITY : head
    const subscription = yield* hub.subscribe(options.channel, start)
    let position = start
    let last = Option.getOrUndefined(options.after)
    const goOn = Effect.suspend(() => (last === undefined ? Effect.void : Console.error(`go on with --after ${last}`)))
    while (position < end) {
      for (const { frame, position: at } of yield* Effect.tapError(subscription.take, () => goOn)) {
        if (at > end) break
        const event = Event.decode(EventCodec.messageOf(frame))
        yield* Console.log(options.json ? jsonOf(event) : line(event))
        position = at
        last = event.id
      }
    }
  }).pipe(
    Effect.scoped,
    Effect.provide(
      EventHub.layer({ ring: { maxEvents: 1000, maxBytes: 16 * 1024 * 1024 }, batchSize: 500 }).pipe(
        Layer.provideMerge(Layer.mergeAll(CommittedEvents.layer, EventCodec.layer)),
        Layer.provideMerge(
          PostgresStore.layer({ url: options.url, poolSize: 3, earlyLockRelease: options.earlyLockRelease })
        )
      )
    )
  )
