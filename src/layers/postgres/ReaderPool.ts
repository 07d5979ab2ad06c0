/**
 * The connections that reads share, outside of transactions. One connection answers its statements in their order, so a
 * slow one holds up those behind it: where there are several, what may take long is kept off the first, and what is
 * quick goes where nothing slow is under way. So no page that a client asks for keeps event streams or probes waiting.
 */
import type * as PgConnection from "@effect/sql-pg/PgConnection"
import * as PgPool from "@effect/sql-pg/PgPool"
import type * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { SqlError } from "effect/sql/SqlError"
import { noAnswer } from "./Connection.ts"
import { Detached } from "./Detached.ts"
import * as Durability from "./Durability.ts"
import { PoolMetrics } from "./PoolMetrics.ts"
import type { Readers, ReadOptions } from "./Session.ts"
import { isConnectionLoss, translateRead } from "./SqlErrors.ts"
import { takenAway, Unanswered } from "./Unanswered.ts"
import type { Watch } from "./Watch.ts"

export interface ReaderPoolOptions {
  readonly connection: PgConnection.Config
  /** How many connections there are at most, one at least. */
  readonly size: number
  /** After how long without an answer a connection counts as lost. */
  readonly answerTimeout: Duration.Duration
  /** Whether reads may have to wait until what they show is durable (Durability.ts). */
  readonly early: boolean
  readonly watch: Watch
}

/** Reads may share a connection: more statements at once than connections, each waiting for those before it. */
const readsPerConnection = 8

/** How often a read asks anew that waited behind what others have left. */
const takenAwayTimes = 10

/** Asks a connection, each statement by way of `count`. */
type Ask<A> = (
  connection: PgConnection.PgConnection,
  count: <B>(statement: Effect.Effect<B, SqlError>) => Effect.Effect<B, SqlError>
) => Effect.Effect<A, SqlError>

/** A connection, or the one that takes its place when it is lost. */
class Reader {
  /** Reads that wait for the connection, and the slow ones among them. */
  private coming = 0
  private comingSlow = 0
  private current: { readonly connection: PgConnection.PgConnection; readonly unanswered: Unanswered } | undefined
  private readonly pool: PgPool.PgPool
  private readonly context: Context.Context<never>
  private readonly use: PoolMetrics
  private readonly answerTimeout: Duration.Duration

  constructor(
    pool: PgPool.PgPool,
    context: Context.Context<never>,
    use: PoolMetrics,
    answerTimeout: Duration.Duration
  ) {
    this.use = use
    this.pool = pool
    this.context = context
    this.answerTimeout = answerTimeout
  }

  /** Reads that are under way. */
  get load(): number {
    return this.coming + (this.current?.unanswered.onWire ?? 0)
  }

  get isSlow(): boolean {
    return this.comingSlow > 0 || (this.current?.unanswered.slow ?? 0) > 0
  }

  /** Runs a read on the connection. Whoever leaves once it is asked leaves the statement there, with its place. */
  read<A>(isSlow: boolean, ask: Ask<A>): Effect.Effect<A, SqlError> {
    // Begun and listened to in one step: an interruption comes before, or is heard of.
    return Effect.callback((resume) => {
      let isComing = false
      const come = (by: 1 | -1) => {
        isComing = by === 1
        this.coming += by
        if (isSlow) this.comingSlow += by
      }
      let unanswered: Unanswered | undefined
      const reading = new Detached(this.context, (lose) => {
        come(1)
        const read = this.use.during((begun) =>
          this.pool.use((connection) => {
            come(-1)
            begun()
            const asked = this.unansweredOf(connection)
            unanswered = asked
            return ask(connection, (statement) => asked.counting(statement, isSlow, lose))
          })
        )
        const left = Effect.sync(() => {
          if (isComing) come(-1)
        })
        return Effect.ensuring(read, left)
      })
      const unobserve = reading.observe(resume)
      return Effect.sync(() => {
        unobserve()
        if (unanswered === undefined) reading.interrupt()
        else unanswered.leave(reading.lose)
      })
    })
  }

  /** Ends what is under way: nobody waits for what was left when the pool closes. */
  end(): void {
    this.current?.unanswered.end()
  }

  private unansweredOf(connection: PgConnection.PgConnection): Unanswered {
    if (this.current?.connection === connection) return this.current.unanswered
    // Invalid before anybody is told of it: they ask the pool for another one at once.
    const retire = Effect.suspend(() => {
      if (this.current?.connection === connection) this.current = undefined
      return this.pool.invalidate(connection)
    })
    const unanswered = new Unanswered(this.context, this.answerTimeout, retire)
    this.current = { connection, unanswered }
    return unanswered
  }
}

/** The one with the fewest reads under way, of those that may take this one. */
const choose = (readers: ReadonlyArray<Reader>, isSlow: boolean): Reader => {
  let chosen: Reader | undefined
  for (let i = isSlow && readers.length > 1 ? 1 : 0; i < readers.length; i++) {
    const reader = readers[i] as Reader
    if (!isSlow && reader.isSlow) continue
    if (chosen === undefined || reader.load < chosen.load) chosen = reader
  }
  return chosen ?? (readers[0] as Reader)
}

/** Opens its connections as they are needed, and closes them with the scope. */
export const make = (options: ReaderPoolOptions): Effect.Effect<Readers["Service"], SqlError, Scope.Scope> =>
  Effect.gen(function* () {
    const context = yield* Effect.context()
    const use = new PoolMetrics("readers", context)
    const readers: Array<Reader> = []
    for (let i = 0; i < options.size; i++) {
      const pool = yield* PgPool.make({
        ...options.connection,
        multiplex: true,
        multiplexConcurrency: readsPerConnection,
        maxConnections: 1
      })
      readers.push(new Reader(pool, context, use, options.answerTimeout))
    }
    yield* Effect.addFinalizer(() =>
      Effect.forEach(readers, (reader) => Effect.sync(() => reader.end()), { discard: true })
    )
    // Connections may have been lost unnoticed, all of them: as many tries find one that lives, or a new one.
    const isLost = (error: SqlError) =>
      isConnectionLoss(error) && error.reason.operation !== "connect" && error !== noAnswer && error !== takenAway

    const query = (
      text: string,
      params: ReadonlyArray<unknown>,
      { durable = false, slow = false }: ReadOptions = {}
    ) => {
      const ask: Ask<PgConnection.Result> = (connection, count) => {
        const answer = count(connection.query(text, params))
        if (!durable || !options.early) return answer
        const flushed = count(connection.query(Durability.flush.sql, Durability.flush.params))
        // Both to their end: the next answer stands behind them.
        const both = Effect.all([Effect.exit(answer), Effect.exit(flushed)], { concurrency: "unbounded" })
        return Effect.flatMap(both, ([result, flush]) => Effect.andThen(flush, result))
      }
      const once = options.watch(
        text,
        Effect.suspend(() => choose(readers, slow).read(slow, ask))
      )
      return once.pipe(
        Effect.retry({ while: (error) => error === takenAway, times: takenAwayTimes }),
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
