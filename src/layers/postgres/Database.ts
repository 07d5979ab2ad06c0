/**
 * Connections and transactions on PostgreSQL. A write call takes two round trips: BEGIN with all that the service reads
 * together, then its writes, its events and COMMIT in one socket write. So the channel's lock, taken by the events, is
 * never held across a round trip, and everybody else waits for PostgreSQL alone.
 */
import type * as PgConnection from "@effect/sql-pg/PgConnection"
import * as PgPool from "@effect/sql-pg/PgPool"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import { ConnectionError, isSqlError, SqlError } from "effect/sql/SqlError"
import type { LoggedEvent, NewEvent } from "../../schema/Event.ts"
import type { ChannelName } from "../../schema/Key.ts"
import { Unavailable } from "../../schema/OrchestratorError.ts"
import type { Timestamp } from "../../schema/Timestamp.ts"
import { type Committed, Database, type PreparedEvent } from "../../services/store/Database.ts"
import { Contended, type ReadError, StoreUnfit, type WriteError } from "../../services/store/StoreError.ts"
import { UnitOfWork } from "../../services/store/UnitOfWork.ts"
import { childSpan, type SpanOptions, type Spans, Tracing } from "../../services/Tracing.ts"
import { timestamp } from "./Codecs.ts"
import { type ConnectionConfig, connectionConfig, type StatementLogging } from "./Connection.ts"
import * as Durability from "./Durability.ts"
import { schemaProblem } from "./Migrator.ts"
import { PoolMetrics } from "./PoolMetrics.ts"
import { Readers, type Row, Session, type Statement } from "./Session.ts"
import { isConnectionLoss, isFollowUp, reasonOf, translate } from "./SqlErrors.ts"

export interface Options extends ConnectionConfig, StatementLogging {
  /** Connections of this process: writers, readers, and one that listens. At least 3. */
  readonly poolSize: number
  /** After how long a read counts as never to be answered, and its connection as lost. Default: 35 s. */
  readonly readTimeout?: Duration.Duration
  /** Whether a channel's lock is free before the disk has the commit (Durability.ts). Default: no. */
  readonly earlyLockRelease?: boolean
}

/** Reads may share a connection: more statements at once than connections, each waiting for those before it. */
const readsPerConnection = 8

/** How the connections of a process are shared out: one in four reads, one listens. */
export const share = (poolSize: number): { readonly readers: number; readonly writers: number } => {
  const readers = Math.max(1, Math.floor(poolSize / 4))
  return { readers, writers: Math.max(1, poolSize - readers - 1) }
}

/** More than `statement_timeout`: PostgreSQL itself would have given up. TCP goes on for a quarter of an hour. */
const defaultReadTimeout = Duration.seconds(35)

/** After how long a connection counts as dead that answers nothing to whoever asks for a sign of life. */
const aliveTimeout = Duration.seconds(10)

const noAnswer = new SqlError({
  reason: new ConnectionError({
    cause: new Error("the database did not answer"),
    message: "the database did not answer",
    operation: "execute"
  })
})

/** How long a transaction that was interrupted may take to end in order, before its connection is closed instead. */
const rollbackGrace = Duration.millis(500)

const appendEvents = (columns: string) => `SELECT ${columns}
  FROM append_events($1, $2, $3::text[]::uuid[], $4::text[], $5::text[]::asset_kind[], $6::text[]::event_kind[],
                     $7::text[], $8::bytea[])`

const appended = "first_position, logged_at, previous_id"
const appendEventsLate = appendEvents(appended)
const appendEventsEarly = appendEvents(`${appended}, ${Durability.earlyCommit}`)

/** The stores' database: transactions on a pool of writers, everything else on a pool of readers. */
export const layer = (options: Options): Layer.Layer<Database | Readers, SqlError> =>
  Layer.effectContext(
    Effect.gen(function* () {
      const { readers, writers } = share(options.poolSize)
      const connection = yield* connectionConfig(options)
      const watch = watching(options.logStatements === true, yield* Tracing)
      const readerPool = yield* PgPool.make({
        ...connection,
        multiplex: true,
        multiplexConcurrency: readsPerConnection,
        maxConnections: readers
      })
      // With a concurrency of one a lease is exclusive, and its statements are pipelined all the same.
      const writerPool = yield* PgPool.make({
        ...connection,
        multiplex: true,
        multiplexConcurrency: 1,
        maxConnections: writers
      })
      const context = yield* Effect.context()
      const readersUse = new PoolMetrics("readers", context)
      const writersUse = new PoolMetrics("writers", context)
      // Pooled connections may have been lost unnoticed, all of them: as many tries find one that lives, or a new one.
      const lost = (error: SqlError) =>
        isConnectionLoss(error) && error.reason.operation !== "connect" && error !== noAnswer
      const readTimeout = options.readTimeout ?? defaultReadTimeout
      const retired = (reader: PgConnection.PgConnection) =>
        Effect.andThen(readerPool.invalidate(reader), Effect.fail(noAnswer))
      // Whoever waits less than that finds nothing out about a connection that is dead: somebody else must.
      const scope = yield* Effect.scope
      const asked = new WeakSet<PgConnection.PgConnection>()
      const checkAlive = (reader: PgConnection.PgConnection) =>
        Effect.suspend(() => {
          if (asked.has(reader)) return Effect.void
          asked.add(reader)
          const duration = Duration.min(readTimeout, aliveTimeout)
          const check = Effect.timeoutOrElse(reader.query("SELECT 1"), { duration, orElse: () => retired(reader) })
          return Effect.forkIn(
            Effect.ensuring(
              Effect.ignore(check),
              Effect.sync(() => asked.delete(reader))
            ),
            scope
          )
        })
      const early = options.earlyLockRelease === true
      const reading =
        (isDurable: boolean): Readers["Service"]["query"] =>
        (text, params) => {
          const ask = (reader: PgConnection.PgConnection) => {
            const answer = reader.query(text, params)
            if (!isDurable) return answer
            const both = [answer, reader.query(Durability.flush.sql, Durability.flush.params)] as const
            return Effect.map(Effect.all(both, { concurrency: "unbounded" }), ([result]) => result)
          }
          const once = watch(
            text,
            readersUse.during((begun) =>
              readerPool.use((reader) => {
                begun()
                return ask(reader).pipe(
                  Effect.timeoutOrElse({ duration: readTimeout, orElse: () => retired(reader) }),
                  Effect.onInterrupt(() => checkAlive(reader))
                )
              })
            )
          )
          return once.pipe(
            Effect.retry({ while: lost, times: readers + 1 }),
            Effect.catchIf(
              (error) => error === noAnswer,
              () => once
            ),
            Effect.map((result) => result.rows),
            Effect.mapError(translateRead)
          )
        }
      const query = reading(false)
      const database = Database.of({
        run: (channel, body, prepare, finish, stands = () => Effect.void) =>
          run(writerPool, writersUse, watch, early, channel, body, prepare, finish, stands),
        ping: schemaProblem((text) => query(text, [])).pipe(
          Effect.catch(({ cause }) => Effect.succeed(awayBecause(cause))),
          Effect.flatMap((problem) =>
            problem === undefined ? Effect.void : Effect.fail(new StoreUnfit({ message: problem }))
          )
        )
      })
      return Context.make(Database, database).pipe(
        Context.add(Readers, Readers.of({ query, queryDurable: early ? reading(true) : query }))
      )
    })
  )

const awayBecause = (cause: unknown): string =>
  `the database is out of reach${isSqlError(cause) ? `: ${reasonOf(cause).short}` : ""}`

/** Before the commit nothing stays of a transaction whose connection is lost: it may be run again. */
const translateInTransaction = (error: SqlError): ReadError =>
  isConnectionLoss(error) ? new Contended({ reason: "connection", cause: error }) : translateRead(error)

/** A statement that is logged before it runs, and has a span of its own where somebody traces; never its parameters. */
type Watch = <A, E>(text: string, statement: Effect.Effect<A, E>) => Effect.Effect<A, E>

const watching = (isLogged: boolean, spans: Spans | undefined): Watch => {
  const logged: Watch = (text, statement) => (isLogged ? Effect.andThen(Effect.logDebug(text), statement) : statement)
  if (spans === undefined) return logged
  return (text, statement) => childSpan(spans, statementSpan(text), logged(text, statement))
}

const statementSpan = (text: string): SpanOptions => ({
  name: text.trimStart().split(/\s/, 1)[0] ?? "",
  kind: "client",
  attributes: { "db.system.name": "postgresql", "db.query.text": text }
})

const translateRead = (error: SqlError): ReadError => translate(error) as ReadError

const run = <A, E, R, E2, B, E3>(
  pool: PgPool.PgPool,
  use: PoolMetrics,
  watch: Watch,
  early: boolean,
  channel: ChannelName,
  body: Effect.Effect<A, E, R>,
  prepare: (events: ReadonlyArray<NewEvent>) => Effect.Effect<ReadonlyArray<PreparedEvent>, E2>,
  finish: (value: A) => Effect.Effect<B, E3>,
  stands: (committed: Committed) => Effect.Effect<void>
): Effect.Effect<readonly [B, Committed], E | E2 | E3 | WriteError, Exclude<R, UnitOfWork>> =>
  Effect.scoped(
    Effect.gen(function* () {
      const connection = yield* Effect.mapError(use.leased(pool.get), translate)
      const transaction = new Transaction(connection, watch, early)
      const context = Context.make(Session, transaction).pipe(
        Context.add(UnitOfWork, UnitOfWork.of({ now: transaction.now, emit: transaction.emit }))
      )
      return yield* Effect.uninterruptibleMask((restore) =>
        restore(
          Effect.gen(function* () {
            const value = yield* Effect.provide(body, context)
            const prepared = yield* prepare(transaction.events)
            return [yield* finish(value), prepared] as const
          })
        ).pipe(
          Effect.flatMap(([answer, prepared]) =>
            Effect.flatMap(transaction.commit(channel, prepared), (committed) =>
              Effect.as(stands(committed), [answer, committed] as const)
            )
          ),
          Effect.onExit((exit) => (Exit.isSuccess(exit) ? Effect.void : transaction.abandon(pool)))
        )
      )
    })
  ) as Effect.Effect<readonly [B, Committed], E | E2 | E3 | WriteError, Exclude<R, UnitOfWork>>

/** One transaction on an exclusive connection. */
class Transaction {
  readonly events: Array<NewEvent> = []
  private readonly deferred: Array<Statement> = []
  private readonly connection: PgConnection.PgConnection
  private readonly watch: Watch
  private readonly early: boolean
  private begun = false
  private ended = false
  private time: Timestamp | undefined

  constructor(connection: PgConnection.PgConnection, watch: Watch, early: boolean) {
    this.connection = connection
    this.watch = watch
    this.early = early
  }

  private execute(text: string, params: ReadonlyArray<unknown>) {
    return this.watch(text, this.connection.query(text, params))
  }

  /** BEGIN goes out with the first statement; the pipeline keeps their order. */
  readonly query = (text: string, params: ReadonlyArray<unknown>): Effect.Effect<ReadonlyArray<Row>, ReadError> =>
    Effect.suspend(() => {
      const statement = Effect.map(this.execute(text, params), (result) => result.rows)
      if (this.begun) return Effect.mapError(statement, translateInTransaction)
      this.begun = true
      const begin = this.execute(beginning.sql, beginning.params)
      return Effect.mapError(
        Effect.map(Effect.all([begin, statement], { concurrency: "unbounded" }), ([, rows]) => rows),
        translateInTransaction
      )
    })

  readonly defer = (text: string, params: ReadonlyArray<unknown>): void => {
    this.deferred.push({ sql: text, params })
  }

  readonly emit = (events: Iterable<NewEvent>): Effect.Effect<void> =>
    Effect.sync(() => {
      for (const event of events) this.events.push(event)
    })

  readonly now: Effect.Effect<Timestamp, ReadError> = Effect.suspend(() =>
    this.time !== undefined
      ? Effect.succeed(this.time)
      : Effect.map(this.query("SELECT clock_timestamp() AS now", []), ([row]) => {
          this.time ??= row?.now as Timestamp
          return this.time
        })
  )

  /** Everything that was put down, the events, and COMMIT, in one socket write. */
  commit(channel: ChannelName, prepared: ReadonlyArray<PreparedEvent>): Effect.Effect<Committed, WriteError> {
    if (!this.begun && this.deferred.length === 0 && prepared.length === 0) return Effect.succeed([])
    return Effect.gen({ self: this }, function* () {
      const events = prepared.length === 0 ? [] : [append(channel, yield* this.now, prepared, this.early)]
      const begin = this.begun ? [] : [beginning]
      this.begun = true
      const { commit, flush, statements } = yield* this.pipeline(
        [...begin, ...this.deferred, ...events],
        this.early && events.length > 0
      )
      this.ended = commit !== undefined && Exit.isSuccess(commit)
      const failure = firstFailure(commit === undefined ? statements : [...statements, commit])
      if (failure !== undefined) {
        return yield* isConnectionLoss(failure) ? inDoubt(failure) : Effect.fail(translate(failure))
      }
      // PostgreSQL does not call it an error when a transaction is rolled back at its COMMIT.
      if (commandOf(commit) !== "COMMIT") return yield* Effect.die(new Error("a transaction was not committed"))
      const late = firstFailure(flush === undefined ? [] : [flush])
      if (late !== undefined) return yield* inDoubt(late)
      return committed(channel, prepared, statements[statements.length - 1])
    })
  }

  /**
   * Sends statements with COMMIT behind them, or ROLLBACK when one of them has failed, or could not even be sent.
   * Without an answer in time there is an error instead.
   */
  private pipeline(statements: ReadonlyArray<Statement>, isEarly: boolean): Effect.Effect<Pipelined> {
    return Effect.gen({ self: this }, function* () {
      const start = (sql: string, params: ReadonlyArray<unknown>) =>
        Effect.forkChild(this.execute(sql, params), { startImmediately: true })
      const fibers: Array<Fiber.Fiber<PgConnection.Result, SqlError>> = []
      for (const { params, sql } of statements) {
        fibers.push(yield* start(sql, params))
        if (isLarge(params)) yield* Effect.yieldNow
      }
      // Some may have been answered already, while others had their turn.
      const unsent = fibers.some((fiber) => hasFailed(fiber.pollUnsafe()))
      fibers.push(yield* start(unsent ? "ROLLBACK" : "COMMIT", []))
      if (isEarly) fibers.push(yield* start(Durability.flush.sql, Durability.flush.params))
      const exits = yield* allOf(fibers)
      if (exits === undefined) return { statements: [Exit.fail(noAnswer)], commit: undefined, flush: undefined }
      return {
        statements: exits.slice(0, statements.length),
        commit: exits[statements.length],
        flush: exits[statements.length + 1]
      }
    })
  }

  /** Ends a transaction that is not to be: in order if it can be done soon, else with its connection. */
  abandon(pool: PgPool.PgPool): Effect.Effect<void> {
    return Effect.suspend(() =>
      this.ended || !this.begun
        ? Effect.void
        : Effect.catchCause(
            Effect.asVoid(Effect.timeout(Effect.interruptible(this.connection.query("ROLLBACK")), rollbackGrace)),
            () => pool.invalidate(this.connection)
          )
    )
  }
}

/** Whether these take a while to be encoded, so that others should have their turn after it. */
const isLarge = (params: ReadonlyArray<unknown>): boolean =>
  params.some((value) => Array.isArray(value) && value.length >= 500)

/** How every transaction begins. */
export const beginning: Statement = { sql: "BEGIN ISOLATION LEVEL READ COMMITTED", params: [] }

/** Appends events as the last statement before COMMIT. `early`: that one does not wait for the disk. */
export const append = (
  channel: ChannelName,
  time: Timestamp,
  prepared: ReadonlyArray<PreparedEvent>,
  early = false
): Statement => ({
  sql: early ? appendEventsEarly : appendEventsLate,
  params: [
    channel,
    timestamp(time),
    prepared.map((one) => one.id),
    prepared.map((one) => one.assetKey),
    prepared.map((one) => one.event.asset.kind),
    prepared.map((one) => one.event.eventKind),
    prepared.some((one) => one.event.reason !== undefined) ? prepared.map((one) => one.event.reason ?? null) : "{}",
    prepared.map((one) => one.message)
  ]
})

/** How a commit's statements ended. */
interface Pipelined {
  readonly statements: ReadonlyArray<QueryExit>
  readonly commit: QueryExit | undefined
  /** Where the disk is waited for behind COMMIT. */
  readonly flush: QueryExit | undefined
}

type QueryExit = Exit.Exit<PgConnection.Result, SqlError>

const hasFailed = (exit: QueryExit | undefined): boolean => exit !== undefined && Exit.isFailure(exit)

const commandOf = (exit: QueryExit | undefined): string | undefined =>
  exit !== undefined && Exit.isSuccess(exit) ? exit.value.command : undefined

/**
 * How the statements of a commit ended. A network that died takes its time to say so: past the limit the commit is in
 * doubt. It does not listen to interruption, as nothing around a commit does.
 */
const allOf = (
  fibers: ReadonlyArray<Fiber.Fiber<PgConnection.Result, SqlError>>
): Effect.Effect<ReadonlyArray<QueryExit> | undefined> =>
  Effect.callback((resume) => {
    const timer = setTimeout(() => resume(Effect.succeed(undefined)), Duration.toMillis(defaultReadTimeout))
    let open = fibers.length
    for (const fiber of fibers) {
      fiber.addObserver(() => {
        open--
        if (open > 0) return
        clearTimeout(timer)
        resume(Effect.succeed(fibers.map((one) => one.pollUnsafe() as QueryExit)))
      })
    }
  })

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

const inDoubt = (cause: SqlError): Unavailable =>
  new Unavailable({
    message:
      "the connection to the database was lost during the commit: the call may have succeeded, make it again to find out",
    cause
  })

const committed = (
  channel: ChannelName,
  prepared: ReadonlyArray<PreparedEvent>,
  exit: QueryExit | undefined
): Committed => {
  if (prepared.length === 0 || exit === undefined || !Exit.isSuccess(exit)) return []
  const [row] = exit.value.rows
  const firstPosition = Number(row?.first_position)
  const loggedAt = row?.logged_at as Timestamp
  const events = prepared.map(
    (one, index): LoggedEvent => ({
      channel,
      position: firstPosition + index,
      id: one.id,
      timestamp: loggedAt,
      message: one.message
    })
  )
  return Object.assign(events, { previousId: row?.previous_id === null ? undefined : String(row?.previous_id) })
}
