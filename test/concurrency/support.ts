/**
 * The services on a PostgreSQL database of their own, called in process by many callers at once; and a way past them
 * to the database, for tests that hold locks, look at what is left, or end connections.
 */
import * as PgConnection from "@effect/sql-pg/PgConnection"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import * as PostgresStore from "../../src/layers/postgres/PostgresStore.ts"
import * as ServiceLayers from "../../src/layers/Services.ts"
import { Database } from "../../src/services/store/Database.ts"
import { Contended } from "../../src/services/store/StoreError.ts"
import { createDatabase } from "../support/database.ts"

export interface Options {
  /** One in four connections reads, two from six on; one listens, the others write. */
  readonly poolSize?: number
  readonly retryBudget?: Duration.Duration
  /** Where the services reach the database, when not at its own address. */
  readonly via?: (url: string) => Effect.Effect<string, never, Scope.Scope>
}

/** What the services are made with here. */
export const serviceOptions = {
  version: "test",
  retryBudget: Duration.seconds(30),
  maxEventSize: 4 * 1024 * 1024,
  batchSize: 1000,
  ring: { maxEvents: 1000, maxBytes: 1024 * 1024 }
}

/** The connections of the services in question, told by their name. */
const ofServices = "pg_stat_activity WHERE datname = current_database() AND application_name = 'substra-orchestrator'"

/** The database itself, as its owner sees it, on connections that are not the services'. */
export class Postgres extends Context.Service<
  Postgres,
  {
    readonly url: string
    /** A connection until the scope closes. */
    readonly connect: Effect.Effect<PgConnection.PgConnection, never, Scope.Scope>
    readonly query: (
      sql: string,
      params?: ReadonlyArray<unknown>
    ) => Effect.Effect<ReadonlyArray<Readonly<Record<string, unknown>>>>
    /** Resumes once this many of the services' connections wait for a lock; gives their process ids. */
    readonly blocked: (count: number) => Effect.Effect<ReadonlyArray<number>>
    /** Resumes once no connection of the services has a transaction open, or holds a lock. */
    readonly quiet: Effect.Effect<void>
  }
>()("test/concurrency/Postgres") {
  static readonly layer = Layer.effect(
    Postgres,
    Effect.gen(function* () {
      const { url } = yield* Effect.acquireRelease(Effect.promise(createDatabase), (database) =>
        Effect.promise(database.drop)
      )
      const connect = Effect.orDie(
        PgConnection.make({
          url: Redacted.make(url),
          applicationName: "test",
          startupParameters: { search_path: "orchestrator" }
        })
      )
      const connection = yield* connect
      const query: Postgres["Service"]["query"] = (sql, params) =>
        Effect.orDie(Effect.map(connection.query(sql, params), ({ rows }) => rows))
      const blocked = (count: number) =>
        Effect.map(
          Effect.repeat(query(`SELECT pid FROM ${ofServices} AND wait_event_type = 'Lock'`), {
            until: (rows) => rows.length >= count
          }),
          (rows) => rows.map(({ pid }) => Number(pid))
        )
      const busy = query(
        `SELECT state LIKE 'idle in transaction%' AND state_change < clock_timestamp() - interval '4 s' AS left_open
           FROM ${ofServices} AND (state <> 'idle' OR pid IN (SELECT pid FROM pg_locks))`
      )
      // PostgreSQL itself ends what is left open after 10 seconds: not to be mistaken for an orderly end.
      const quiet = Effect.flatMap(
        Effect.repeat(busy, { until: (rows) => rows.every((row) => row.left_open === true) }),
        (rows) => (rows.length === 0 ? Effect.void : Effect.die(new Error("a transaction was left open")))
      )
      return Postgres.of({ url, connect, query, blocked, quiet })
    })
  )
}

/** The SQLSTATEs of the transactions that were lost: to others, to a deadlock, to a connection that broke. */
export class Lost extends Context.Service<Lost, Array<string>>()("test/concurrency/Lost") {
  /** Notes what each run of a transaction fails with, and changes nothing. */
  static readonly layer = Layer.effectContext(
    Effect.gen(function* () {
      const database = yield* Database
      const lost: Array<string> = []
      const run: typeof database.run = (channel, work) =>
        Effect.tapError(database.run(channel, work), (error) =>
          Effect.sync(() => {
            if (error instanceof Contended) lost.push(sqlState(error.cause))
          })
        )
      return Context.make(Lost, lost).pipe(Context.add(Database, Database.of({ ...database, run })))
    })
  )
}

const sqlState = (error: unknown): string => {
  const { reason } = error as {
    readonly reason: { readonly _tag: string; readonly cause?: { readonly code?: string } }
  }
  return reason.cause?.code ?? reason._tag
}

/** The services at a database that is there already. */
export const servicesAt = ({ poolSize = 24, retryBudget = serviceOptions.retryBudget, via }: Options = {}) =>
  ServiceLayers.layer({ ...serviceOptions, retryBudget }).pipe(
    Layer.provideMerge(Lost.layer),
    Layer.provideMerge(
      Layer.unwrap(
        Effect.gen(function* () {
          const { url } = yield* Postgres
          const at = via === undefined ? url : yield* via(url)
          return PostgresStore.layer({ url: Redacted.make(at), poolSize })
        })
      )
    ),
    Layer.orDie
  )

/** The services, on a fresh database. */
export const services = (options: Options = {}) => servicesAt(options).pipe(Layer.provideMerge(Postgres.layer))

/** What the services and their store offer to a test. */
export type Services = Layer.Success<ReturnType<typeof services>>
