/**
 * Transactions as calls see them: a service's effect with all its writes and events, or nothing. This module makes
 * events ready, refuses those that no consumer could take, runs again what was lost to others, and publishes what was
 * committed, to the hub and to nobody else. How a transaction is carried out is the Database port's business.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as SecureRandom from "effect/crypto/SecureRandom"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as PubSub from "effect/PubSub"
import * as Random from "effect/Random"
import { assetKey, type NewEvent } from "../schema/Event.ts"
import type { ChannelName } from "../schema/Key.ts"
import {
  type Conflict,
  type Internal,
  InvalidAsset,
  ResourceExhausted,
  type StoredDataInvalid,
  Unavailable
} from "../schema/OrchestratorError.ts"
import * as Metrics from "./Metrics.ts"
import { RequestContext } from "./RequestContext.ts"
import { type Committed, Database, type PreparedEvent, type Snapshot } from "./store/Database.ts"
import { EventCodec } from "./store/EventCodec.ts"
import type { Contended } from "./store/StoreError.ts"
import { UnitOfWork } from "./store/UnitOfWork.ts"
import { childSpan, type SpanOptions, Tracing } from "./Tracing.ts"

/** What was committed by this process, transaction by transaction. It slides: whoever is slow reads the log instead. */
export class CommittedEvents extends Context.Service<CommittedEvents, PubSub.PubSub<Committed>>()(
  "orchestrator/services/CommittedEvents"
) {
  static readonly layer = Layer.effect(CommittedEvents, PubSub.sliding<Committed>(4096))
}

/** What the open transaction does once it is committed. */
class CommitHooks extends Context.Reference<(effect: Effect.Effect<void>) => void>(
  "orchestrator/services/CommitHooks",
  {
    defaultValue: () => () => {}
  }
) {}

/** Runs `effect` once the open transaction is committed, and only then: for what must count once, however often it is run. */
export const afterCommit = (effect: Effect.Effect<void>): Effect.Effect<void, never, UnitOfWork> =>
  Effect.flatMap(UnitOfWork, () => Effect.map(CommitHooks, (add) => add(effect)))

/** The bounds of every transaction. */
export interface TransactionOptions {
  /** How long a transaction that was lost to others is run again. */
  readonly retryBudget: Duration.Duration
  /** The largest event that consumers take, in bytes. */
  readonly maxEventSize: number
  /** All events of a transaction in bytes, at most: they are held until they are written. Left out: 256 MiB. */
  readonly maxEventsSize?: number
}

/** Room in every event for what a later change of state adds to its asset. */
const spareBytes = 1024

/** Events that are encoded without a break. */
const eventsPerTurn = 200

/** Waits between two runs: about 2 ms before the second, doubled each time, 250 ms at most, any share of it. */
const firstWait = 2
const longestWait = 250

/** Transactions as calls see them. */
export class Transaction extends Context.Service<
  Transaction,
  {
    /**
     * Runs a service's effect in one transaction of the caller's channel. Run again from the start when it is lost to a
     * concurrent one, until the retry budget is used up; then it fails with Unavailable. InvalidAsset when an event would be
     * larger than consumers take, ResourceExhausted when all of them together would be too large. `finish` makes the
     * answer of what the service gave, before the commit: when it fails, nothing stays. Without it the answer is what the
     * service gave.
     */
    readonly write: <A, E, R, B = A, E2 = never>(
      body: Effect.Effect<A, E, R>,
      finish?: (value: A) => Effect.Effect<B, E2>
    ) => Effect.Effect<
      // What is expected of the answer does not make it so.
      NoInfer<B>,
      | Exclude<E, Contended>
      | E2
      | InvalidAsset
      | ResourceExhausted
      | Conflict
      | Unavailable
      | Internal
      | StoredDataInvalid,
      Exclude<R, UnitOfWork> | RequestContext
    >
    /**
     * Runs a service's reads so that all of them see one state of the store. Run again from the start when the database is
     * lost on the way, until the retry budget is used up; then it fails with Unavailable.
     */
    readonly snapshot: <A, E, R>(
      body: Effect.Effect<A, E, R>
    ) => Effect.Effect<A, Exclude<E, Contended> | Unavailable | Internal | StoredDataInvalid, Exclude<R, Snapshot>>
    /**
     * Runs a service's reads, each on what is committed by then; what a read loses to concurrent transactions it cannot
     * mend: Unavailable.
     */
    readonly read: <A, E, R>(body: Effect.Effect<A, E, R>) => Effect.Effect<A, Exclude<E, Contended> | Unavailable, R>
  }
>()("orchestrator/services/Transaction") {
  static readonly layer = (options: TransactionOptions) =>
    Layer.effect(
      Transaction,
      Effect.gen(function* () {
        const database = yield* Database
        const codec = yield* EventCodec
        const committedEvents = yield* CommittedEvents
        const spans = yield* Tracing
        const maxEventsSize = options.maxEventsSize ?? 256 * 1024 * 1024
        const budget = Duration.toMillis(options.retryBudget)

        const prepare = (channel: ChannelName) => (events: ReadonlyArray<NewEvent>) =>
          Effect.gen(function* () {
            const prepared: Array<PreparedEvent> = []
            let total = 0
            for (const event of events) {
              // Many events take a while: others get their turn, and a call that was cancelled meanwhile ends here.
              if (prepared.length % eventsPerTurn === eventsPerTurn - 1) yield* Effect.yieldNow
              const id = SecureRandom.uuidV7Unsafe()
              const key = assetKey(event.asset)
              const message = codec.encode(channel, id, key, event)
              const size = message.length + codec.timestampSize
              if (event.bounded && size > options.maxEventSize - spareBytes) {
                return yield* tooLarge(key, size, options.maxEventSize)
              }
              total += size
              if (total > maxEventsSize) return yield* tooManyBytes(maxEventsSize)
              prepared.push({ event, id, assetKey: key, message })
            }
            return prepared
          })

        /** Runs it again while it is lost to others, until the retry budget is used up. */
        const again = <A, E, R>(
          attempt: () => Effect.Effect<A, E, R>
        ): Effect.Effect<A, Exclude<E, Contended> | Unavailable, R> =>
          Effect.gen(function* () {
            const started = yield* Clock.currentTimeMillis
            for (let run = 0; ; run++) {
              const once = attempt()
              const tried = yield* Effect.result(
                spans === undefined ? once : childSpan(spans, transactionSpan(run), once)
              )
              if (tried._tag === "Success") return tried.success
              const error = tried.failure
              if (!isContended(error)) return yield* Effect.fail(error as Exclude<E, Contended>)
              const wait = yield* Random.nextBetween(0, Math.min(longestWait, firstWait * 2 ** run))
              const spent = (yield* Clock.currentTimeMillis) - started
              if (spent + wait > budget) {
                const message =
                  error.reason === "connection"
                    ? "the database is out of reach, try again later"
                    : `lost to concurrent calls ${run + 1} times within ${Duration.format(options.retryBudget)}, try again later`
                return yield* new Unavailable({ message, cause: error })
              }
              yield* Metrics.transactionRetried(error.reason)
              yield* Effect.sleep(Duration.millis(wait))
            }
          })

        const write: Transaction["Service"]["write"] = <A, E, R, B = A, E2 = never>(
          body: Effect.Effect<A, E, R>,
          // Without it, B is A.
          finish: (value: A) => Effect.Effect<B, E2> = (value) => Effect.succeed(value as unknown as B)
        ) =>
          Effect.flatMap(RequestContext, ({ channel }) =>
            again(() => {
              const hooks: Array<Effect.Effect<void>> = []
              return database.run(channel, {
                body: Effect.provideService(body, CommitHooks, (hook) => hooks.push(hook)),
                prepare: prepare(channel),
                finish,
                onCommitted: (committed) =>
                  Effect.gen(function* () {
                    if (committed.events.length > 0) yield* PubSub.publish(committedEvents, committed)
                    yield* Metrics.eventsCommitted(committed.events.length)
                    for (const hook of hooks) yield* hook
                  })
              })
            })
          )

        const snapshot: Transaction["Service"]["snapshot"] = (body) => again(() => database.snapshot(body))

        const read: Transaction["Service"]["read"] = (body) =>
          Effect.mapError(body, (error) =>
            isContended(error)
              ? new Unavailable({ message: "lost to concurrent calls, try again later", cause: error })
              : (error as Exclude<typeof error, Contended>)
          )

        return Transaction.of({ write, snapshot, read })
      })
    )
}

/** One run of a transaction; those after the first are repetitions. */
const transactionSpan = (run: number): SpanOptions => ({
  name: "transaction",
  kind: "internal",
  attributes: { "substra.run": run + 1 }
})

const isContended = (error: unknown): error is Contended =>
  typeof error === "object" && error !== null && "_tag" in error && error._tag === "Contended"

const tooManyBytes = (bound: number): ResourceExhausted =>
  new ResourceExhausted({
    message: `the events of this call would have more than ${bound} bytes: register less at once, or what has shorter permissions and metadata`
  })

const tooLarge = (key: string, size: number, bound: number): InvalidAsset =>
  InvalidAsset.because(
    `the event about asset "${key}" would have ${size} bytes, consumers take ${bound} with ${spareBytes} to spare: use less metadata, fewer inputs and outputs, or shorter texts`
  )
