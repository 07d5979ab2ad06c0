/**
 * Connections and transactions on PostgreSQL. A write call takes two round trips: BEGIN with all that the service reads
 * together, then its writes, its events and COMMIT in one socket write. So the channel's lock, taken by the events, is
 * never held across a round trip, and everybody else waits for PostgreSQL alone.
 */
import type * as PgConnection from "@effect/sql-pg/PgConnection"
import * as PgPool from "@effect/sql-pg/PgPool"
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import { isSqlError, type SqlError } from "effect/sql/SqlError"
import type { NewEvent } from "../../schema/Event.ts"
import type { ChannelName } from "../../schema/Key.ts"
import { Unavailable } from "../../schema/OrchestratorError.ts"
import type { Timestamp } from "../../schema/Timestamp.ts"
import { type Committed, Database, type PreparedEvent, Snapshot, type Work } from "../../services/store/Database.ts"
import { Contended, type ReadError, StoreUnfit, type WriteError } from "../../services/store/StoreError.ts"
import { UnitOfWork, whileOpen } from "../../services/store/UnitOfWork.ts"
import { Tracing } from "../../services/Tracing.ts"
import { appendEvents, appendedEvents } from "./AppendEvents.ts"
import { type ConnectionConfig, connectionConfig, defaultAnswerTimeout, type StatementLogging } from "./Connection.ts"
import { Detached } from "./Detached.ts"
import * as Durability from "./Durability.ts"
import { schemaProblem } from "./Migrator.ts"
import { PoolMetrics } from "./PoolMetrics.ts"
import * as ReaderPool from "./ReaderPool.ts"
import { findSession, type Query, Readers, Session, type Statement } from "./Session.ts"
import { isConnectionLoss, isFollowUp, reasonOf, translate, translateRead } from "./SqlErrors.ts"
import { Unanswered } from "./Unanswered.ts"
import { type Watch, watching } from "./Watch.ts"

export interface Options extends ConnectionConfig, StatementLogging {
  /** Connections of this process: writers, readers, and one that listens. At least 3. */
  readonly poolSize: number
  /** After how long without an answer a connection counts as lost that statements wait for. Default: 35 s. */
  readonly answerTimeout?: Duration.Duration
  /** Whether a channel's lock is free before the disk has the commit (Durability.ts). Default: no. */
  readonly earlyLockRelease?: boolean
}

/** How the connections of a process are shared out: one in four reads, two where there are enough, and one listens. */
export const share = (poolSize: number): { readonly readers: number; readonly writers: number } => {
  const readers = Math.max(poolSize < 6 ? 1 : 2, Math.floor(poolSize / 4))
  return { readers, writers: Math.max(1, poolSize - readers - 1) }
}

/** How long a transaction that was interrupted may take to end in order, before its connection is closed instead. */
const rollbackGrace = Duration.millis(500)

/** The stores' database: transactions on a pool of writers, everything else on a pool of readers. */
export const layer = (options: Options): Layer.Layer<Database | Readers, SqlError> =>
  Layer.effectContext(
    Effect.gen(function* () {
      const { readers, writers } = share(options.poolSize)
      const connection = yield* connectionConfig(options)
      const watch = watching(options.logStatements === true, yield* Tracing)
      // With a concurrency of one a lease is exclusive, and its statements are pipelined all the same.
      const writerPool = yield* PgPool.make({
        ...connection,
        multiplex: true,
        multiplexConcurrency: 1,
        maxConnections: writers
      })
      const answerTimeout = options.answerTimeout ?? defaultAnswerTimeout
      const early = options.earlyLockRelease === true
      const readerPool = yield* ReaderPool.make({ connection, size: readers, answerTimeout, early, watch })
      const context = yield* Effect.context()
      const use = new PoolMetrics("writers", context)
      const unanswered = new WeakMap<PgConnection.PgConnection, Unanswered>()
      const unansweredOf = (writer: PgConnection.PgConnection) => {
        const known = unanswered.get(writer)
        if (known !== undefined) return known
        const made = new Unanswered(context, answerTimeout, writerPool.invalidate(writer))
        unanswered.set(writer, made)
        return made
      }
      const transactions: Writers = { pool: writerPool, readers: readerPool, use, watch, early, unansweredOf }
      const database = Database.of({
        run: (channel, work) => Effect.andThen(refuseNested(readerPool), run(transactions, channel, work)),
        snapshot: (body) => Effect.andThen(refuseNested(readerPool), snapshot(transactions, body)),
        ping: schemaProblem((text) => readerPool.query(text, [])).pipe(
          Effect.catch(({ cause }) => Effect.succeed(awayBecause(cause))),
          Effect.flatMap((problem) =>
            problem === undefined ? Effect.void : Effect.fail(new StoreUnfit({ message: problem }))
          )
        )
      })
      return Context.add(Context.make(Database, database), Readers, readerPool)
    })
  )

const awayBecause = (cause: unknown): string =>
  `the database is out of reach${isSqlError(cause) ? `: ${reasonOf(cause).short}` : ""}`

const refuseNested = (readers: Readers["Service"]): Effect.Effect<void> =>
  Effect.contextWith((context: Context.Context<never>) =>
    Option.isSome(findSession(readers, context))
      ? Effect.die(new Error("a transaction inside of another one would wait for its connection"))
      : Effect.void
  )

/** Before the commit nothing stays of a transaction whose connection is lost: it may be run again. */
const beforeCommit =
  <E>(translated: (error: SqlError) => E) =>
  (error: SqlError): E | Contended =>
    isConnectionLoss(error) ? new Contended({ reason: "connection", cause: error }) : translated(error)

/** What transactions run on. */
interface Writers {
  readonly pool: PgPool.PgPool
  readonly readers: Readers["Service"]
  readonly use: PoolMetrics
  readonly watch: Watch
  readonly early: boolean
  readonly unansweredOf: (connection: PgConnection.PgConnection) => Unanswered
}

const run = <A, E, R, E2, B, E3>(
  writers: Writers,
  channel: ChannelName,
  { body, finish, onCommitted, prepare }: Work<A, E, R, E2, B, E3>
): Effect.Effect<B, E | E2 | E3 | WriteError, Exclude<R, UnitOfWork>> =>
  Effect.scoped(
    Effect.gen(function* () {
      const connection = yield* Effect.mapError(writers.use.leased(writers.pool.get), translate)
      const transaction = new Transaction(writers, connection, beginning)
      const context: Context.Context<UnitOfWork> = Context.make(Session, transaction).pipe(
        Context.add(UnitOfWork, transaction.unit)
      )
      return yield* Effect.uninterruptibleMask((restore) =>
        Effect.gen(function* () {
          const value = yield* Effect.ensuring(Effect.provide(body, context), transaction.endOfBody)
          const prepared = yield* prepare(transaction.events)
          return [yield* finish(value), prepared] as const
        }).pipe(
          restore,
          Effect.flatMap(([answer, prepared]) =>
            Effect.as(Effect.flatMap(transaction.commit(channel, prepared), onCommitted), answer)
          ),
          Effect.onExit((exit) => (Exit.isSuccess(exit) ? Effect.void : transaction.abandon))
        )
      )
    })
  )

/** On a writer's connection, since those of readers are shared. */
const snapshot = <A, E, R>(
  writers: Writers,
  body: Effect.Effect<A, E, R>
): Effect.Effect<A, E | ReadError, Exclude<R, Snapshot>> =>
  Effect.scoped(
    Effect.gen(function* () {
      const connection = yield* Effect.mapError(writers.use.leased(writers.pool.get), translateRead)
      const transaction = new Transaction(writers, connection, beginningOfSnapshot)
      const context: Context.Context<Snapshot> = Context.add(Context.make(Session, transaction), Snapshot, {})
      return yield* Effect.provide(body, context).pipe(
        Effect.ensuring(transaction.endOfBody),
        Effect.ensuring(transaction.abandon)
      )
    })
  )

/** One transaction on an exclusive connection. */
class Transaction {
  readonly events: Array<NewEvent> = []
  readonly readers: Readers["Service"]
  /** Whether the body still runs. */
  isOpen = true
  private readonly deferred: Array<Statement> = []
  private readonly pool: PgPool.PgPool
  private readonly connection: PgConnection.PgConnection
  private readonly unanswered: Unanswered
  private readonly watch: Watch
  private readonly early: boolean
  private readonly beginning: Statement
  private begun = false
  private ended = false
  private time: Timestamp | undefined

  constructor(
    { early, pool, readers, unansweredOf, watch }: Writers,
    connection: PgConnection.PgConnection,
    beginning: Statement
  ) {
    this.pool = pool
    this.connection = connection
    this.readers = readers
    this.unanswered = unansweredOf(connection)
    this.watch = watch
    this.early = early
    this.beginning = beginning
  }

  /** Sends a statement at once. */
  private send(context: Context.Context<never>, { params, sql }: Statement): Detached<PgConnection.Result> {
    return new Detached(context, (lose) =>
      // Slow, all of them: any may wait for a lock.
      this.watch(sql, this.unanswered.counting(this.connection.query(sql, params), true, lose))
    )
  }

  /** A read of the body, while it runs. */
  readonly query: Query = (text, params) =>
    Effect.contextWith((context: Context.Context<never>) =>
      this.isOpen ? this.ask(context, text, params) : Effect.die(new Error("a transaction is read in after its end"))
    )

  /** BEGIN goes out with the first statement; the pipeline keeps their order. */
  private ask(context: Context.Context<never>, text: string, params: ReadonlyArray<unknown>): ReturnType<Query> {
    const begin = this.begun ? undefined : this.send(context, this.beginning)
    this.begun = true
    const statement = this.send(context, { sql: text, params })
    const answer = Effect.flatten(statement.await)
    return (begin === undefined ? answer : Effect.andThen(Effect.flatten(begin.await), answer)).pipe(
      Effect.map((result) => result.rows),
      Effect.mapError(beforeCommit(translateRead))
    )
  }

  readonly defer = (text: string, params: ReadonlyArray<unknown>): void => {
    this.deferred.push({ sql: text, params })
  }

  readonly endOfBody: Effect.Effect<void> = Effect.sync(() => {
    this.isOpen = false
  })

  /** What the body has of it, while it runs. */
  get unit(): UnitOfWork["Service"] {
    return whileOpen(() => this.isOpen, {
      now: this.now(this.query),
      emit: (events) => {
        for (const event of events) this.events.push(event)
      }
    })
  }

  private now(query: Query): Effect.Effect<Timestamp, ReadError> {
    return Effect.suspend(() =>
      this.time !== undefined
        ? Effect.succeed(this.time)
        : Effect.map(query("SELECT clock_timestamp() AS now", []), ([row]) => {
            this.time ??= row?.now as Timestamp
            return this.time
          })
    )
  }

  /** Everything that was put down, the events, and COMMIT, in one socket write. */
  commit(channel: ChannelName, prepared: ReadonlyArray<PreparedEvent>): Effect.Effect<Committed, WriteError> {
    if (!this.begun && this.deferred.length === 0 && prepared.length === 0) return Effect.succeed({ events: [] })
    return Effect.gen({ self: this }, function* () {
      const context = yield* Effect.context<never>()
      const now = this.now((text, params) => Effect.suspend(() => this.ask(context, text, params)))
      const events = prepared.length === 0 ? [] : [appendEvents(channel, yield* now, prepared, this.early)]
      const begin = this.begun ? [] : [this.beginning]
      this.begun = true
      const { commit, flush, sent, statements } = yield* this.pipeline(
        [...begin, ...this.deferred, ...events],
        this.early && events.length > 0
      )
      this.ended = Exit.isSuccess(commit)
      const failure = firstFailure([...statements, commit])
      if (failure !== undefined) {
        if (sent === "ROLLBACK") return yield* Effect.fail(beforeCommit(translate)(failure))
        return yield* isConnectionLoss(failure) ? inDoubt(failure) : Effect.fail(translate(failure))
      }
      // PostgreSQL does not call it an error when a transaction is rolled back at its COMMIT.
      if (Exit.isSuccess(commit) && commit.value.command !== "COMMIT") {
        return yield* Effect.die(firstDefect(statements) ?? new Error("a transaction was not committed"))
      }
      if (flush !== undefined && Exit.isFailure(flush)) return yield* inDoubt(Cause.squash(flush.cause))
      // What else went wrong on this side has nothing to say where PostgreSQL has done what was sent.
      const appended = statements.slice(statements.length - events.length)
      const lost = firstDefect([commit, ...appended])
      if (lost !== undefined) return yield* inDoubt(lost, "the answer to the commit was lost on its way")
      const [row] = appended.flatMap((exit) => (Exit.isSuccess(exit) ? exit.value.rows : []))
      return row === undefined ? { events: [] } : appendedEvents(channel, prepared, row)
    })
  }

  /**
   * Sends statements with COMMIT behind them, or ROLLBACK when one of them has failed, or could not even be sent.
   * Without an answer in time there is an error instead.
   */
  private pipeline(statements: ReadonlyArray<Statement>, isEarly: boolean): Effect.Effect<Pipelined> {
    return Effect.gen({ self: this }, function* () {
      const context = yield* Effect.context<never>()
      const queries: Array<Detached<PgConnection.Result>> = []
      for (const [i, statement] of statements.entries()) {
        queries.push(this.send(context, statement))
        // Not behind the last, which may hold the channel's lock until COMMIT.
        if (isLarge(statement.params) && i < statements.length - 1) yield* Effect.yieldNow
      }
      // Some may have been answered already, while others had their turn.
      const sent = queries.some((query) => hasFailed(query.poll())) ? "ROLLBACK" : "COMMIT"
      queries.push(this.send(context, { sql: sent, params: [] }))
      if (isEarly) queries.push(this.send(context, Durability.flush))
      const exits = yield* Effect.forEach(queries, (query) => query.await)
      return {
        sent,
        statements: exits.slice(0, statements.length),
        commit: exits[statements.length] as QueryExit,
        flush: exits[statements.length + 1]
      }
    })
  }

  /** Ends a transaction that is not to be: in order if it can be done soon, else with its connection. */
  readonly abandon: Effect.Effect<void> = Effect.gen({ self: this }, function* () {
    if (this.ended || !this.begun) return
    const ending = yield* Effect.forkChild(this.connection.query("ROLLBACK"), { startImmediately: true })
    // In two parts: an event loop that was late runs timers before it reads the answer that is there.
    const half = Effect.timeoutOption(Fiber.await(ending), Duration.divideUnsafe(rollbackGrace, 2))
    const soon = yield* half
    const ended = Option.isSome(soon) ? soon : yield* half
    if (Option.isNone(ended) || Exit.isFailure(ended.value)) yield* this.pool.invalidate(this.connection)
  })
}

/** Whether these take a while to be encoded, so that others should have their turn after it. */
const isLarge = (params: ReadonlyArray<unknown>): boolean =>
  params.some((value) => Array.isArray(value) && value.length >= 500)

/** How every transaction begins that writes. */
export const beginning: Statement = { sql: "BEGIN ISOLATION LEVEL READ COMMITTED", params: [] }

const beginningOfSnapshot: Statement = { sql: "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", params: [] }

/** How a commit's statements ended. */
interface Pipelined {
  /** What went out behind the statements. */
  readonly sent: "COMMIT" | "ROLLBACK"
  readonly statements: ReadonlyArray<QueryExit>
  readonly commit: QueryExit
  /** Where the disk is waited for behind COMMIT. */
  readonly flush: QueryExit | undefined
}

type QueryExit = Exit.Exit<PgConnection.Result, SqlError>

const hasFailed = (exit: QueryExit | undefined): boolean => exit !== undefined && Exit.isFailure(exit)

/** The error that made the others of its batch fail too. */
const firstFailure = (exits: ReadonlyArray<QueryExit>): SqlError | undefined => {
  let any: SqlError | undefined
  for (const exit of exits) {
    if (Exit.isSuccess(exit)) continue
    const error = exit.cause.reasons.find((reason) => reason._tag === "Fail")?.error
    if (error !== undefined && !isFollowUp(error)) return error
    any ??= error
  }
  return any
}

/** Why there is no answer to a statement that PostgreSQL has not refused: a log or a trace that broke. */
const firstDefect = (exits: ReadonlyArray<QueryExit>): unknown => {
  const failed = exits.find(Exit.isFailure)
  return failed && Cause.squash(failed.cause)
}

const inDoubt = (cause: unknown, what = "the connection to the database was lost during the commit"): Unavailable =>
  new Unavailable({ message: `${what}: the call may have succeeded, make it again to find out`, cause })
