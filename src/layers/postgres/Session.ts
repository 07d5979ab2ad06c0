/**
 * How the stores of this folder talk to PostgreSQL. Outside of a transaction a statement runs on the pool of readers;
 * inside of one, reads go to the transaction's connection at once and writes are put down for its end.
 *
 * Statements that are issued together (`Effect.all` with unbounded concurrency) go out in one socket write, in order.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { StoredDataInvalid } from "../../schema/OrchestratorError.ts"
import type { ReadError } from "../../services/store/StoreError.ts"
import type { UnitOfWork } from "../../services/store/UnitOfWork.ts"

/** A row by column names. */
export type Row = Readonly<Record<string, unknown>>

/** A statement with its parameters. */
export interface Statement {
  readonly sql: string
  readonly params: ReadonlyArray<unknown>
}

/** Asks for rows. */
export type Query = (sql: string, params: ReadonlyArray<unknown>) => Effect.Effect<ReadonlyArray<Row>, ReadError>

/** A transaction: there exactly where `UnitOfWork` or `Snapshot` is. */
export class Session extends Context.Service<
  Session,
  {
    /** Of which database it is. */
    readonly readers: Readers["Service"]
    /** Until its body has ended. */
    readonly isOpen: boolean
    /** A defect once the body has ended. */
    readonly query: Query
    readonly defer: (sql: string, params: ReadonlyArray<unknown>) => void
  }
>()("orchestrator/layers/postgres/Session") {}

export interface ReadOptions {
  /**
   * Answered not before what it shows is durable: without early release of locks (Durability.ts) nothing else can be
   * seen. Default: no.
   */
  readonly durable?: boolean
  /** Whether it may take long, as a page may that a filter is for: what is quick is not to wait for it. Default: no. */
  readonly slow?: boolean
}

/** The pool of readers. */
export class Readers extends Context.Service<
  Readers,
  {
    readonly query: (
      sql: string,
      params: ReadonlyArray<unknown>,
      options?: ReadOptions
    ) => Effect.Effect<ReadonlyArray<Row>, ReadError>
  }
>()("orchestrator/layers/postgres/Readers") {}

/** What a store is made of: reads anywhere, locking reads and writes in transactions only. */
export interface Sql {
  /** On the transaction's connection where there is one, else on a reader's. */
  readonly read: (
    sql: string,
    params: ReadonlyArray<unknown>,
    options?: ReadOptions
  ) => Effect.Effect<ReadonlyArray<Row>, ReadError>
  /** A read that must be in a transaction, because it locks. */
  readonly locking: (
    sql: string,
    params: ReadonlyArray<unknown>
  ) => Effect.Effect<ReadonlyArray<Row>, ReadError, UnitOfWork>
  /** A statement for the end of the transaction. */
  readonly write: (sql: string, params: ReadonlyArray<unknown>) => Effect.Effect<void, never, UnitOfWork>
}

/** The open transaction of this database in which a fiber is. One that has ended is none. */
export const findSession = (
  readers: Readers["Service"],
  context: Context.Context<never>
): Option.Option<Session["Service"]> =>
  Option.filter(Context.getOption(context, Session), (session) => session.readers === readers && session.isOpen)

/** The access of the stores to the database. */
export const sql: Effect.Effect<Sql, never, Readers> = Effect.map(Readers, (readers) => {
  // Found and used in one step: a fiber that a body left behind may come to it after the end.
  const within = <A>(use: (session: Session["Service"]) => A): Effect.Effect<A> =>
    Effect.contextWith((context: Context.Context<never>) =>
      Effect.sync(() =>
        use(
          Option.getOrThrowWith(
            findSession(readers, context),
            () => new Error("a locking read or a write outside of a transaction, or after its end: use Database.run")
          )
        )
      )
    )
  return {
    read: (text, params, options) =>
      Effect.contextWith((context: Context.Context<never>) =>
        Option.match(findSession(readers, context), {
          onNone: () => readers.query(text, params, options),
          onSome: (session) => session.query(text, params)
        })
      ),
    locking: (text, params) => Effect.flatten(within((session) => session.query(text, params))),
    write: (text, params) => within((session) => session.defer(text, params))
  }
})

/**
 * The condition that a row is of the channel in parameter $1. By way of a query, so that PostgreSQL makes its plan for a
 * channel of the usual size: the statistics may not know this one yet, and would have it count as empty, with all of it gone
 * through for each row of another. Not where a unique key finds the one row.
 */
export const ofChannel = (table = "", parameter = "$1"): string => `${table}channel = (SELECT ${parameter}::text)`

/** Makes assets of rows: checks that a row holds what this server writes, else OE0001. */
export const rowDecoder = <A, I>(
  schema: Schema.Codec<A, I>,
  fromRow: (row: Row) => unknown
): ((rows: ReadonlyArray<Row>) => Effect.Effect<ReadonlyArray<A>, StoredDataInvalid>) => {
  const decode = Schema.decodeUnknownResult(schema)
  return (rows) =>
    Effect.suspend(() => {
      const assets: Array<A> = new Array(rows.length)
      for (let i = 0; i < rows.length; i++) {
        const decoded = Result.try(() => decode(fromRow(rows[i] as Row)))
        if (Result.isFailure(decoded)) return Effect.fail(new StoredDataInvalid({ cause: decoded.failure }))
        if (Result.isFailure(decoded.success)) {
          return Effect.fail(new StoredDataInvalid({ cause: decoded.success.failure }))
        }
        assets[i] = decoded.success.success
      }
      return Effect.succeed(assets)
    })
}

/** A jsonb object as the map that it was. */
export const toMap = (json: unknown): ReadonlyMap<string, unknown> => new Map(Object.entries(json as object))

/** A map as the text of a JSON object. Own properties only: a key may be `__proto__`. */
export const mapJson = (map: ReadonlyMap<string, unknown>): string => JSON.stringify(Object.fromEntries(map))

/** The first row's asset, if there is a row. */
export const first = <A>(assets: ReadonlyArray<A>): Option.Option<A> => Option.fromUndefinedOr(assets[0])
