/**
 * The port of transactions: one run of one transaction. Retries, the encoding of events and their publication are the
 * business of services/Transaction.ts.
 */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type { LoggedEvent, NewEvent } from "../../schema/Event.ts"
import type { ChannelName } from "../../schema/Key.ts"
import type { ReadError, StoreUnfit, WriteError } from "./StoreError.ts"
import type { UnitOfWork } from "./UnitOfWork.ts"

/** An event ready for the log: its id and message are fixed, its timestamp and position are the log's to give. */
export interface PreparedEvent {
  readonly event: NewEvent
  readonly id: string
  readonly assetKey: string
  readonly message: Uint8Array
}

/** What one transaction left in the log. */
export interface Committed {
  /** In order, at dense positions; none when the transaction made no event. */
  readonly events: ReadonlyArray<LoggedEvent>
  /**
   * The id of the event before the first, where there is one, from a store that may lose what it has committed, as in a
   * failover.
   */
  readonly previousId?: string | undefined
}

/** What one transaction does, and who hears that it stands. */
export interface Work<A, E, R, E2, B, E3> {
  /** The service's reads and writes. */
  readonly body: Effect.Effect<A, E, R>
  /** Makes the events of `body` ready for the log. */
  readonly prepare: (events: ReadonlyArray<NewEvent>) => Effect.Effect<ReadonlyArray<PreparedEvent>, E2>
  /** Makes the answer. */
  readonly finish: (value: A) => Effect.Effect<B, E3>
  /** Hears of what was committed, once: delivery, metrics and whoever waits for the commit hang on it. */
  readonly onCommitted: (committed: Committed) => Effect.Effect<void>
}

/**
 * That all reads see one state of the store: there in the body of `Database.snapshot`, and asked for by what reads twice
 * and must not be answered by two states.
 */
export class Snapshot extends Context.Service<Snapshot, Record<never, never>>()(
  "orchestrator/services/store/Snapshot"
) {}

/** Transactions: all writes and events of a call, or nothing. */
export class Database extends Context.Service<
  Database,
  {
    /**
     * Runs `body` in one transaction of this channel. When it succeeds, `prepare` makes its events ready, `finish` the
     * answer, then writes and events are committed together: events get the channel's next positions, in order, and one
     * timestamp, the transaction's or the log's last where that is later. When one of the three fails, or is
     * interrupted, nothing stays. From the moment that the commit is sent on, it cannot be interrupted, and
     * `onCommitted` hears of what was committed, also when nobody waits for the answer any more.
     *
     * What `body` has left behind, such as a fiber, is in no transaction any more: it reads what is committed, and its
     * locks and writes are defects. So is a transaction inside of another one of the same store, which would wait for it.
     *
     * Fails with `Contended` when it lost to a concurrent transaction: nothing stays, and it may be run again. Fails
     * with `Unavailable` when the store is out of reach or the answer to the commit was lost: then the transaction may
     * stand, and it must not be run again.
     */
    readonly run: <A, E, R, E2, B, E3>(
      channel: ChannelName,
      work: Work<A, E, R, E2, B, E3>
    ) => Effect.Effect<B, E | E2 | E3 | WriteError, Exclude<R, UnitOfWork>>
    /**
     * Runs `body` so that all its reads see one state of the store, none older than its begin. It waits for no lock, and
     * nobody waits for it. What it has left behind reads what is committed; inside of a transaction it is a defect, as a
     * transaction inside of it is. Fails with `Contended` when the store was lost on the way: it may be run again.
     */
    readonly snapshot: <A, E, R>(body: Effect.Effect<A, E, R>) => Effect.Effect<A, E | ReadError, Exclude<R, Snapshot>>
    /** Succeeds when the store answers and fits this program: for readiness probes. */
    readonly ping: Effect.Effect<void, StoreUnfit>
  }
>()("orchestrator/services/store/Database") {}
