/** Signals between servers by LISTEN and NOTIFY: one connection that listens, and notes sent by a reader. */
import * as PgConnection from "@effect/sql-pg/PgConnection"
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { isSqlError } from "effect/sql/SqlError"
import { ChannelName } from "../../schema/Key.ts"
import { EventSignals, type Signal } from "../../services/store/EventSignals.ts"
import { type ConnectionConfig, connectionConfig } from "./Connection.ts"
import { schemaProblem } from "./Migrator.ts"
import { Readers } from "./Session.ts"
import { isConnectionLoss, reasonOf } from "./SqlErrors.ts"

const notifyChannel = "orchestrator_events"

/** PostgreSQL takes less than 8,000 bytes: what does not fit becomes an empty text, which means all channels. */
const maxPayload = 7_900

const Payload = Schema.fromJsonString(Schema.Array(Schema.Tuple([ChannelName, Schema.Int])))
const decodePayload = Schema.decodeUnknownOption(Payload)

const payloadOf = (signal: Signal): string => {
  const text = signal === "all" ? "" : JSON.stringify(signal)
  return Buffer.byteLength(text) > maxPayload ? "" : text
}

const signalOf = (payload: string): Signal =>
  payload === "" ? "all" : Option.getOrElse(decodePayload(payload), () => "all")

/** Tries again for ever: 100 ms after the first loss, 5 s at most. */
const reconnect = Schedule.min([Schedule.exponential(Duration.millis(100)), Schedule.spaced(Duration.seconds(5))])

/** A connection that only listens does not notice its loss: it is asked for a sign of life this often. */
const checkInterval = Duration.seconds(5)
/** An answer that takes longer is none. */
const answerTimeout = Duration.seconds(5)
const checkLimit = Duration.sum(checkInterval, answerTimeout)

const closed = "the connection was closed"

export const layer = (config: ConnectionConfig) =>
  Layer.effect(
    EventSignals,
    Effect.gen(function* () {
      const readers = yield* Readers
      const base = yield* connectionConfig(config)
      const told = new Set<string>()
      // The server's one connection that is always open: also a server that nobody calls tells of the loss, and of each
      // reason once: what broke the connection is seldom what keeps the next from being made.
      const lost = <E>(cause: Cause.Cause<E>) =>
        Effect.suspend(() => {
          const error = Cause.squash(cause)
          const why = isSqlError(error) ? reasonOf(error).short : error === closed ? closed : "it does not answer"
          if (told.has(why) || Cause.hasInterruptsOnly(cause)) return Effect.failCause(cause)
          told.add(why)
          return Effect.andThen(
            Effect.logWarning(`the database is out of reach, it is tried again: ${why}`),
            Effect.failCause(cause)
          )
        })
      const found = Effect.suspend(() => {
        if (told.size === 0) return Effect.void
        told.clear()
        return Effect.logInfo("the database is within reach again")
      })
      // Nor does a server that nobody calls notice that its tables are gone, or not its own any more.
      let known: string | undefined
      const look = Effect.fnUntraced(function* (connection: PgConnection.PgConnection) {
        const problem = yield* schemaProblem((text) => Effect.map(connection.query(text), ({ rows }) => rows)).pipe(
          // The connection is well: nothing else that it is for needs the schema.
          Effect.catchIf(
            (error) => !isConnectionLoss(error),
            (error) => Effect.succeed(`the database's schema cannot be looked at: ${reasonOf(error).short}`)
          )
        )
        if (problem === known) return
        known = problem
        yield* problem === undefined
          ? Effect.logInfo("the database's schema is right again")
          : Effect.logWarning(problem)
      })
      // A look that waits for a lock is to say so before it counts as no answer.
      const listening = { ...base, startupParameters: { ...base.startupParameters, lock_timeout: "1s" } }
      const listen = Stream.unwrap(
        Effect.gen(function* () {
          const connection = yield* Effect.flatMap(PgConnection.make(listening), (made) => made.pin)
          const queue = yield* Effect.timeout(connection.listen(notifyChannel), answerTimeout)
          yield* found
          const check = Effect.timeout(Effect.delay(look(connection), checkInterval), checkLimit)
          // What happened while nobody listened is found by looking at all channels; so is what became of the database.
          const all = Stream.succeed<Signal>("all")
          return Stream.concat(
            all,
            Stream.map(Stream.fromQueue(queue), ({ payload }) => signalOf(payload))
          ).pipe(
            Stream.interruptWhen(Effect.forever(check)),
            Stream.catchCause((cause) => Stream.concat(all, Stream.failCause(cause)))
          )
        })
      )
      return EventSignals.of({
        send: (signal) => Effect.asVoid(readers.query("SELECT pg_notify($1, $2)", [notifyChannel, payloadOf(signal)])),
        received: Stream.concat(listen, Stream.fail(closed)).pipe(
          Stream.catchCause((cause) => Stream.fromEffect(lost(cause))),
          Stream.retry(reconnect),
          Stream.orDie
        )
      })
    })
  )
