/**
 * The database of Substra orchestrator 1.0.0, read in one read-only snapshot: whether it is one, what is in it, and
 * rows in batches. Nothing is ever written to it. It may be any PostgreSQL from 12 on, so no setting is used that came later.
 */
import * as PgConnection from "@effect/sql-pg/PgConnection"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { SqlError } from "effect/sql/SqlError"
import { type Table, tables } from "../../../schema/Adoption.ts"
import { type ConnectionConfig, connectionConfig } from "../Connection.ts"
import type { Row } from "../Session.ts"

/** The old database cannot be read, or is not what it should be. The message says what to do. */
export class OldDatabaseUnusable extends Data.TaggedError("OldDatabaseUnusable")<{ readonly message: string }> {}

export interface OldDatabase {
  readonly query: (
    sql: string,
    params?: ReadonlyArray<unknown>
  ) => Effect.Effect<ReadonlyArray<Row>, OldDatabaseUnusable>
  /** Works on the rows of a statement batch by batch, in order; the next batch is fetched meanwhile. */
  readonly forEachBatch: <E, R>(
    sql: string,
    params: ReadonlyArray<unknown>,
    work: (rows: ReadonlyArray<Row>) => Effect.Effect<void, E, R>
  ) => Effect.Effect<void, E | OldDatabaseUnusable, R>
  /** Rows by channel and table, of the snapshot. */
  readonly counts: ReadonlyMap<string, ReadonlyMap<Table, number>>
  /** Why the old server seems to write still; asked again at the end, it sees what came after the snapshot. */
  readonly signsOfWriting: Effect.Effect<ReadonlyArray<string>, OldDatabaseUnusable>
}

const minimumVersion = 120_000

/** The schema of 1.0.0, as golang-migrate counts. */
const schemaVersion = 64

const allTables = [
  ...tables,
  "addressables",
  "function_inputs",
  "function_outputs",
  "datasample_datamanagers",
  "compute_task_inputs",
  "compute_task_outputs",
  "compute_task_parents",
  "compute_task_output_assets"
]

const sessionSettings = {
  search_path: "public",
  timezone: "UTC",
  default_transaction_read_only: "on",
  lock_timeout: "30s",
  statement_timeout: "0",
  // A reader that is gone must not keep the snapshot for ever.
  idle_in_transaction_session_timeout: "10min",
  // Cursors are read to the end: plans for all of the rows, not for the first few.
  cursor_tuple_fraction: "1",
  work_mem: "32MB"
}

const unusable = (error: SqlError): OldDatabaseUnusable => {
  const { cause } = error.reason
  const detail = cause instanceof Error && cause.message !== "" ? cause.message : error.message
  return new OldDatabaseUnusable({
    message: `the old database cannot be read: ${detail}. Look at --from, and whether that database runs and lets its role read the tables in public`
  })
}

const connect = (config: ConnectionConfig): Effect.Effect<PgConnection.PgConnection, SqlError, Scope.Scope> =>
  Effect.flatMap(connectionConfig(config), (base) =>
    PgConnection.make({
      ...base,
      applicationName: "substra-orchestrator adopt",
      startupParameters: sessionSettings
    })
  )

/** Connects, checks, and takes the snapshot, which lasts as long as the scope. */
export const open = (config: ConnectionConfig): Effect.Effect<OldDatabase, OldDatabaseUnusable, Scope.Scope> =>
  Effect.gen(function* () {
    const connection = yield* Effect.mapError(connect(config), unusable)
    const query: OldDatabase["query"] = (sql, params = []) =>
      Effect.mapError(
        Effect.map(connection.query(sql, params, false), ({ rows }) => rows),
        unusable
      )
    yield* check(query)
    yield* query("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
    const counts = yield* count(query)
    const [last] = yield* query(
      "SELECT coalesce(max(position), 0) AS position, pg_backend_pid() AS pid FROM public.events"
    )
    return {
      query,
      counts,
      forEachBatch: (sql, params, work) => forEachBatch(query, sql, params, work),
      signsOfWriting: signsOfWriting(config, Number(last?.position), Number(last?.pid))
    }
  })

/** That this is a database of 1.0.0 which its role may read. */
const check = Effect.fnUntraced(function* (query: OldDatabase["query"]): Effect.fn.Return<void, OldDatabaseUnusable> {
  const refuse = (message: string) => Effect.fail(new OldDatabaseUnusable({ message }))
  const [server] = yield* query(
    "SELECT current_setting('server_version_num')::int AS number, current_setting('server_version') AS version, current_database()::text AS name, current_user::text AS role"
  )
  if (Number(server?.number) < minimumVersion) {
    return yield* refuse(`the old database is PostgreSQL ${server?.version}: 12 or newer can be read`)
  }
  const found = yield* query(
    `SELECT c.relname::text AS name, has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT') AS readable
       FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
      WHERE n.nspname = 'public' AND c.relname = ANY ($1::text[])`,
    [[...allTables, "schema_migrations"]]
  )
  const readable = new Map(found.map((row) => [String(row.name), row.readable === true]))
  const missing = [...allTables, "schema_migrations"].filter((name) => !readable.has(name))
  if (missing.length > 0) {
    return yield* refuse(
      `the database "${server?.name}" is not that of an orchestrator 1.0.0: it has no table ${missing.map((name) => `public.${name}`).join(", ")}. Look at --from`
    )
  }
  const closed = [...readable].filter(([, open]) => !open).map(([name]) => `public.${name}`)
  if (closed.length > 0) {
    return yield* refuse(
      `the role "${server?.role}" may not read ${closed.join(", ")} of the old database: GRANT SELECT ON ALL TABLES IN SCHEMA public TO it, and USAGE ON SCHEMA public`
    )
  }
  const [migration] = yield* query("SELECT version, dirty FROM public.schema_migrations")
  if (migration?.dirty === true) {
    return yield* refuse(
      `the old database is dirty: its migration ${migration.version} stopped half-way. Let the old orchestrator 1.0.0 mend and finish it first`
    )
  }
  if (Number(migration?.version) !== schemaVersion) {
    return yield* refuse(
      `the old database has schema ${migration?.version ?? "none"}, that of orchestrator 1.0.0 is ${schemaVersion}: upgrade the old orchestrator to 1.0.0 first`
    )
  }
})

const count = Effect.fnUntraced(function* (query: OldDatabase["query"]) {
  const rows = yield* query(
    tables
      .map((table) => `SELECT '${table}' AS name, channel, count(*) AS rows FROM public.${table} GROUP BY channel`)
      .join(" UNION ALL ")
  )
  const counts = new Map<string, Map<Table, number>>()
  for (const row of rows) {
    const channel = String(row.channel)
    const ofChannel = counts.get(channel) ?? new Map<Table, number>()
    counts.set(channel, ofChannel.set(row.name as Table, Number(row.rows)))
  }
  return counts
})

/** What a batch may take as text, about; and how many rows at most, should large ones follow small ones. */
const batchBytes = 512 * 1024
const batchRows = 250

const sizeOf = (rows: ReadonlyArray<Row>): number => {
  let size = 0
  for (const row of rows) {
    for (const value of Object.values(row)) size += typeof value === "string" ? value.length : 16
  }
  return size
}

/** A cursor; batches are as large as the rows so far let expect, and grow slowly from small. */
const forEachBatch = <E, R>(
  query: OldDatabase["query"],
  sql: string,
  params: ReadonlyArray<unknown>,
  work: (rows: ReadonlyArray<Row>) => Effect.Effect<void, E, R>
): Effect.Effect<void, E | OldDatabaseUnusable, R> =>
  Effect.gen(function* () {
    yield* query(`DECLARE batches NO SCROLL CURSOR FOR ${sql}`, params)
    let size = 25
    let rows = yield* query(`FETCH ${size} FROM batches`)
    while (rows.length > 0) {
      const fitting = Math.floor(batchBytes / Math.max(1, sizeOf(rows) / rows.length))
      size = Math.max(1, Math.min(batchRows, 4 * size, fitting))
      const fetch = query(`FETCH ${size} FROM batches`)
      ;[, rows] = yield* Effect.all([work(rows), fetch], { concurrency: "unbounded" })
    }
    yield* query("CLOSE batches")
  })

/** On a connection of its own, outside of the snapshot. A lock of vacuum or analyze is none of a writer. */
const signsOfWriting = (config: ConnectionConfig, lastPosition: number, snapshotPid: number) =>
  Effect.scoped(
    Effect.gen(function* () {
      const connection = yield* connect(config)
      const { rows } = yield* connection.query(
        `SELECT (SELECT coalesce(max(position), 0) FROM public.events) AS position,
                (SELECT count(DISTINCT l.pid) FROM pg_locks l
                   JOIN pg_class c ON c.oid = l.relation JOIN pg_namespace n ON n.oid = c.relnamespace
                  WHERE l.locktype = 'relation' AND n.nspname = 'public' AND c.relname = ANY ($1::text[])
                    AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
                    AND l.mode <> 'ShareUpdateExclusiveLock' AND l.pid NOT IN ($2, pg_backend_pid())) AS transactions`,
        [allTables, snapshotPid],
        false
      )
      const position = Number(rows[0]?.position)
      const transactions = Number(rows[0]?.transactions)
      return [
        ...(position === lastPosition
          ? []
          : [`the log went on from position ${lastPosition} to ${position} after the snapshot was taken`]),
        ...(transactions === 0 ? [] : [`${transactions} other sessions have an open transaction on the old tables`])
      ]
    })
  ).pipe(Effect.mapError(unusable))
