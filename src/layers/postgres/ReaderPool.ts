/**
 * The connections that reads share, outside of transactions. One connection answers its statements in their order, so a
 * slow one holds up those behind it: what may take long is kept off the first connection, and what is quick goes where
 * nothing slow is under way. So no page that a client asks for keeps event streams, probes or other calls waiting.
 */
import type * as PgConnection from "@effect/sql-pg/PgConnection"
import * as PgPool from "@effect/sql-pg/PgPool"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Scope from "effect/Scope"
import type { SqlError } from "effect/sql/SqlError"
import { noAnswer } from "./Connection.ts"
import * as Durability from "./Durability.ts"
import { PoolMetrics } from "./PoolMetrics.ts"
import type { Readers, ReadOptions } from "./Session.ts"
import { isConnectionLoss, translateRead } from "./SqlErrors.ts"
import type { Watch } from "./Watch.ts"

export interface ReaderPoolOptions {
  readonly connection: PgConnection.Config
  /** How many connections there are at most, one at least. */
  readonly size: number
  /** After how long an answer counts as never to come, and the connection as lost. */
  readonly answerTimeout: Duration.Duration
  /** Whether reads may have to wait until what they show is durable (Durability.ts). */
  readonly early: boolean
  readonly watch: Watch
}

/** Reads may share a connection: more statements at once than connections, each waiting for those before it. */
const readsPerConnection = 8

/** After how long a connection counts as dead that answers nothing to whoever asks for a sign of life. */
const aliveTimeout = Duration.seconds(10)

/** One who waits for an answer of a connection, and is told when it will not come. */
interface Waiting {
  readonly timer: NodeJS.Timeout
  readonly resume: (effect: Effect.Effect<never, SqlError>) => void
}

/** A connection, or the one that takes its place when it is lost, and the reads that are under way on it. */
class Reader {
  underWay = 0
  slow = 0
  private readonly waiting = new Set<Waiting>()
  private isAsked = false
  private readonly pool: PgPool.PgPool
  private readonly scope: Scope.Scope
  private readonly answerTimeout: Duration.Duration

  constructor(pool: PgPool.PgPool, scope: Scope.Scope, answerTimeout: Duration.Duration) {
    this.pool = pool
    this.scope = scope
    this.answerTimeout = answerTimeout
  }

  /** Runs a read on the connection; `begun` is called once it has one. */
  read<A>(
    isSlow: boolean,
    begun: () => void,
    ask: (connection: PgConnection.PgConnection) => Effect.Effect<A, SqlError>
  ): Effect.Effect<A, SqlError> {
    const read = this.pool.use((connection) => {
      begun()
      return Effect.raceFirst(ask(connection), this.silence(connection)).pipe(
        Effect.onInterrupt(() => this.checkAlive(connection))
      )
    })
    const by = isSlow ? 1 : 0
    return Effect.suspend(() => {
      this.underWay++
      this.slow += by
      return Effect.ensuring(
        read,
        Effect.sync(() => {
          this.underWay--
          this.slow -= by
        })
      )
    })
  }

  /** Fails when the connection does not answer in time, or somebody else found out that it does not. */
  private silence(connection: PgConnection.PgConnection): Effect.Effect<never, SqlError> {
    return Effect.callback((resume) => {
      const one = {
        timer: setTimeout(() => resume(this.retire(connection)), Duration.toMillis(this.answerTimeout)),
        resume
      }
      this.waiting.add(one)
      return Effect.sync(() => {
        clearTimeout(one.timer)
        this.waiting.delete(one)
      })
    })
  }

  /** A connection that is lost: whoever waits for it need not wait any longer. */
  private retire(connection: PgConnection.PgConnection): Effect.Effect<never, SqlError> {
    // Invalid first: whoever is told of the loss asks the pool for another one at once.
    return Effect.flatMap(this.pool.invalidate(connection), () => {
      const told = [...this.waiting]
      this.waiting.clear()
      for (const { resume, timer } of told) {
        clearTimeout(timer)
        resume(Effect.fail(noAnswer))
      }
      return Effect.fail(noAnswer)
    })
  }

  /** Whoever waits less than the limit finds nothing out about a connection that is dead: this does. */
  private checkAlive(connection: PgConnection.PgConnection): Effect.Effect<void> {
    return Effect.suspend(() => {
      if (this.isAsked) return Effect.void
      this.isAsked = true
      const check = Effect.timeoutOrElse(connection.query("SELECT 1"), {
        duration: Duration.min(this.answerTimeout, aliveTimeout),
        orElse: () => this.retire(connection)
      })
      const done = Effect.sync(() => {
        this.isAsked = false
      })
      return Effect.asVoid(Effect.forkIn(Effect.ensuring(Effect.ignore(check), done), this.scope))
    })
  }
}

/** The one with the fewest reads under way, of those that may take this one. */
const choose = (readers: ReadonlyArray<Reader>, isSlow: boolean): Reader => {
  let chosen: Reader | undefined
  for (let i = isSlow && readers.length > 1 ? 1 : 0; i < readers.length; i++) {
    const reader = readers[i] as Reader
    if (!isSlow && reader.slow > 0) continue
    if (chosen === undefined || reader.underWay < chosen.underWay) chosen = reader
  }
  return chosen ?? (readers[0] as Reader)
}

/** Opens its connections as they are needed, and closes them with the scope. */
export const make = (options: ReaderPoolOptions): Effect.Effect<Readers["Service"], SqlError, Scope.Scope> =>
  Effect.gen(function* () {
    const scope = yield* Scope.Scope
    const readers: Array<Reader> = []
    for (let i = 0; i < options.size; i++) {
      const pool = yield* PgPool.make({
        ...options.connection,
        multiplex: true,
        multiplexConcurrency: readsPerConnection,
        maxConnections: 1
      })
      readers.push(new Reader(pool, scope, options.answerTimeout))
    }
    const use = new PoolMetrics("readers", yield* Effect.context())
    // Connections may have been lost unnoticed, all of them: as many tries find one that lives, or a new one.
    const isLost = (error: SqlError) =>
      isConnectionLoss(error) && error.reason.operation !== "connect" && error !== noAnswer

    const query = (
      text: string,
      params: ReadonlyArray<unknown>,
      { durable = false, slow = false }: ReadOptions = {}
    ) => {
      const ask = (connection: PgConnection.PgConnection) => {
        const answer = connection.query(text, params)
        if (!durable || !options.early) return answer
        const both = [answer, connection.query(Durability.flush.sql, Durability.flush.params)] as const
        return Effect.map(Effect.all(both, { concurrency: "unbounded" }), ([result]) => result)
      }
      const once = options.watch(
        text,
        use.during((begun) => choose(readers, slow).read(slow, begun, ask))
      )
      return once.pipe(
        Effect.retry({ while: isLost, times: options.size + 1 }),
        Effect.catchIf(
          (error) => error === noAnswer,
          () => once
        ),
        Effect.map((result) => result.rows),
        Effect.mapError(translateRead)
      )
    }
    return { query }
  })
