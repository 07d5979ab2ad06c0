/**
 * Brings the database to the schema that this server works with. Schemas are numbered; each migration says which
 * number a server must know at least to run beside it, so that servers of two versions can share a database while one
 * replaces the other, and one that is too old refuses to start. One server migrates at a time.
 */
import * as PgConnection from "@effect/sql-pg/PgConnection"
import * as Clock from "effect/Clock"
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import { isSqlError, type SqlError } from "effect/sql/SqlError"
import { type ConnectionConfig, connectionConfig } from "./Connection.ts"
import { migrations } from "./migrations/index.ts"
import type { Migration } from "./migrations/Migration.ts"
import { isAway, reasonOf } from "./SqlErrors.ts"

/** The database cannot be used as it is: its version, its role, its schema. The message says what to do. */
export class DatabaseUnusable extends Data.TaggedError("DatabaseUnusable")<{
  readonly message: string
  /** Whether it is only away, and may come by itself. */
  readonly isAway?: boolean
}> {}

const lookAgain = 1000
const tellAgain = 10_000

/** Runs it again while the database is away, for this long, and says so. What will not mend by itself fails at once. */
export const waiting = <A, R>(
  effect: Effect.Effect<A, DatabaseUnusable, R>,
  limit: Duration.Duration
): Effect.Effect<A, DatabaseUnusable, R> =>
  Effect.gen(function* () {
    const begun = yield* Clock.currentTimeMillis
    let told = Number.NEGATIVE_INFINITY
    for (;;) {
      const attempt = yield* Effect.result(effect)
      if (Result.isSuccess(attempt)) return attempt.success
      const error = attempt.failure
      const now = yield* Clock.currentTimeMillis
      const left = Duration.toMillis(limit) - (now - begun)
      if (error.isAway !== true || Duration.toMillis(limit) === 0) return yield* error
      if (left <= 0) {
        return yield* new DatabaseUnusable({
          message: `${error.message}. It was waited for, ${Duration.format(limit)} (ORCHESTRATOR_DATABASE_WAIT)`
        })
      }
      if (now - told >= tellAgain) {
        told = now
        yield* Effect.logWarning(
          `waiting for the database, ${Math.ceil(left / 1000)} s more (ORCHESTRATOR_DATABASE_WAIT): ${error.message}`
        )
      }
      yield* Effect.sleep(Duration.millis(Math.min(lookAgain, left)))
    }
  })

const minimumVersion = 150_000
/** 1869767528 is "orch" in ASCII, as in append_events; the second number tells this lock from a channel's. */
const lock = "pg_advisory_lock(1869767528 + 1, 0)"

/** Not where it is there: PostgreSQL would want the right to make another, of a role that may own this one alone. */
const makeSchema = "CREATE SCHEMA orchestrator"
const makeBookkeeping = /* sql */ `CREATE TABLE IF NOT EXISTS orchestrator.migrations (
  id integer PRIMARY KEY,
  name text NOT NULL,
  oldest_server integer NOT NULL,
  applied_at timestamptz NOT NULL DEFAULT now()
)`

/** Checks the database and brings it to the newest schema of `steps`. Returns the names of the migrations it ran. */
export const migrate = (
  config: ConnectionConfig,
  steps: ReadonlyArray<Migration> = migrations
): Effect.Effect<ReadonlyArray<string>, DatabaseUnusable> =>
  Effect.catchIf(run(config, steps), isSqlError, (error) => Effect.fail(unusable(error)))

/** What PostgreSQL itself says of why it cannot be used; URLs and passwords are not in it. */
export const unusable = (error: SqlError): DatabaseUnusable => {
  const { cause } = error.reason
  const detail = cause instanceof Error && cause.message !== "" ? cause.message : error.message
  return new DatabaseUnusable({
    message: `the database cannot be used: ${detail}. ${reasonOf(error).wayOut}`,
    isAway: isAway(error)
  })
}

/** What a look at a database shows. */
export interface DatabaseState {
  /** PostgreSQL's own: `17.4`. */
  readonly version: string
  /** Who this server is to the database. */
  readonly role: string
  readonly isSuperuser: boolean
  /** The last schema that was applied, 0 when there is none, and the last that this server knows. */
  readonly schema: number
  readonly knownSchema: number
  /** Why this server may not run on it, if it may not. */
  readonly needsNewer: string | undefined
  /** Whether the role may make a schema in the database. */
  readonly mayCreate: boolean
  /** How many connections the role may have at most, all that it has now included. */
  readonly maxConnections: number
  /** Milliseconds since the Unix epoch. */
  readonly time: number
}

/** Looks at the database without changing anything. */
export const inspect = (config: ConnectionConfig): Effect.Effect<DatabaseState, DatabaseUnusable> =>
  Effect.catchIf(
    Effect.scoped(
      Effect.gen(function* () {
        const connection = yield* PgConnection.make(yield* connectionConfig(config))
        yield* checkServer(connection)
        const { rows } = yield* connection.query(
          `SELECT current_setting('server_version') AS version, current_user::text AS role,
                  (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) AS superuser,
                  to_regclass('orchestrator.migrations') IS NOT NULL AS migrated,
                  has_database_privilege(current_database(), 'CREATE') AS may_create,
                  (SELECT min(most) FROM (
                     SELECT current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
                     UNION ALL SELECT rolconnlimit FROM pg_roles WHERE rolname = current_user
                     UNION ALL SELECT datconnlimit FROM pg_database WHERE datname = current_database()
                   ) AS limits (most) WHERE most >= 0) AS max_connections,
                  (extract(epoch FROM clock_timestamp()) * 1000)::float8 AS time`
        )
        const [row] = rows
        const applied =
          row?.migrated === true
            ? (yield* connection.query("SELECT id, oldest_server FROM orchestrator.migrations")).rows
            : []
        return {
          version: String(row?.version),
          role: String(row?.role),
          isSuperuser: row?.superuser === true,
          schema: Math.max(0, ...applied.map(({ id }) => Number(id))),
          knownSchema: migrations.length,
          needsNewer: needsNewer(applied, migrations.length),
          mayCreate: row?.may_create === true,
          maxConnections: Number(row?.max_connections),
          time: Number(row?.time)
        }
      })
    ),
    isSqlError,
    (error) => Effect.fail(unusable(error))
  )

type Rows = ReadonlyArray<Readonly<Record<string, unknown>>>

/** Whether a newer server has migrated the database to a schema that one which knows `known` may not run on. */
const needsNewer = (applied: Rows, known: number): string | undefined => {
  const row = applied.find(({ oldest_server }) => Number(oldest_server) > known)
  return row === undefined
    ? undefined
    : `the database's schema ${row.id} needs a newer server: this one knows schemas up to ${known}; run the version that migrated it, or a newer one`
}

/** What is wrong with the schema for a server that runs, if anything is: by the queries of an open connection. */
export const schemaProblem = <E>(
  query: (sql: string) => Effect.Effect<Rows, E>
): Effect.Effect<string | undefined, E> =>
  Effect.gen(function* () {
    const [found] = yield* query("SELECT to_regclass('orchestrator.migrations') IS NOT NULL AS there")
    const applied = found?.there === true ? yield* query("SELECT id, oldest_server FROM orchestrator.migrations") : []
    const schema = Math.max(0, ...applied.map(({ id }) => Number(id)))
    if (schema === 0)
      return "the database's schema is missing: restore it from the backup, or run migrate where there is nothing to restore"
    const known = migrations.length
    if (schema >= known) return needsNewer(applied, known)
    return `the database's schema is ${schema}, this server needs ${known}: run migrate, or start a server anew`
  })

const run = (
  config: ConnectionConfig,
  steps: ReadonlyArray<Migration>
): Effect.Effect<ReadonlyArray<string>, SqlError | DatabaseUnusable> =>
  Effect.scoped(
    Effect.gen(function* () {
      const base = yield* connectionConfig(config)
      const connection = yield* PgConnection.make({
        ...base,
        // A migration may take long, and waits for another server's.
        startupParameters: { ...base.startupParameters, lock_timeout: "0", statement_timeout: "0" }
      })
      const script = (text: string) =>
        Effect.forEach(splitStatements(text), (statement) => connection.query(statement, [], false), { discard: true })

      yield* checkServer(connection)
      yield* connection.query(`SELECT ${lock}`)
      const { rows: schemas } = yield* connection.query("SELECT to_regnamespace('orchestrator') IS NOT NULL AS there")
      if (schemas[0]?.there !== true) yield* connection.query(makeSchema)
      yield* connection.query(makeBookkeeping)
      const { rows } = yield* connection.query("SELECT id, oldest_server FROM migrations ORDER BY id")
      const newer = needsNewer(rows, steps.length)
      if (newer !== undefined) return yield* new DatabaseUnusable({ message: newer })
      const applied = new Set(rows.map((row) => Number(row.id)))
      const ran: Array<string> = []
      for (const step of steps) {
        if (applied.has(step.id)) continue
        yield* connection.query("BEGIN")
        yield* script(step.sql).pipe(
          Effect.andThen(
            connection.query("INSERT INTO migrations (id, name, oldest_server) VALUES ($1, $2, $3)", [
              step.id,
              step.name,
              step.oldestServer
            ])
          ),
          Effect.andThen(connection.query("COMMIT")),
          Effect.onError(() => Effect.ignore(connection.query("ROLLBACK")))
        )
        ran.push(step.name)
      }
      return ran
    })
  )

const checkServer = Effect.fnUntraced(function* (
  connection: PgConnection.PgConnection
): Effect.fn.Return<void, SqlError | DatabaseUnusable> {
  const { rows } = yield* connection.query(
    "SELECT current_setting('server_version_num')::int AS version, current_setting('server_version') AS name, pg_is_in_recovery() AS standby, current_setting('server_encoding') AS encoding, current_setting('transaction_read_only') AS read_only"
  )
  const [row] = rows
  if (Number(row?.version) < minimumVersion) {
    return yield* new DatabaseUnusable({
      message: `the database is PostgreSQL ${row?.name}, this server needs 15 or newer`
    })
  }
  if (row?.standby === true) {
    return yield* new DatabaseUnusable({
      message: "the database is a standby: connect to its primary, standbys show commits in another order"
    })
  }
  if (row?.encoding !== "UTF8") {
    return yield* new DatabaseUnusable({
      message: `the database's encoding is ${row?.encoding}, not UTF8: make another, CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0`
    })
  }
  if (row?.read_only === "on") {
    return yield* new DatabaseUnusable({
      message: "the database is read-only: default_transaction_read_only is on for the role, the database or the server"
    })
  }
})

/** The statements of a script: they end with a semicolon at the end of a line, outside of $$ quotes. */
const splitStatements = (script: string): ReadonlyArray<string> => {
  const statements: Array<string> = []
  let current = ""
  let quoted = false
  for (const line of script.split("\n")) {
    current += `${line}\n`
    if ((line.split("$$").length - 1) % 2 === 1) quoted = !quoted
    if (!quoted && line.trimEnd().endsWith(";")) {
      statements.push(current)
      current = ""
    }
  }
  return current.trim() === "" ? statements : [...statements, current]
}
