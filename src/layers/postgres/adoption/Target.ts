/**
 * This server's database as an adoption writes it: everything in one transaction, under the locks of the channels' logs,
 * so that a server that runs already can put no event between. What is not committed is rolled back with the connection.
 */
import * as PgConnection from "@effect/sql-pg/PgConnection"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { SqlError } from "effect/sql/SqlError"
import type { AssetTable, StoredAsset, Table } from "../../../schema/Adoption.ts"
import type { ProfilingStep } from "../../../schema/ProfilingStep.ts"
import { type ConnectionConfig, connectionConfig } from "../Connection.ts"
import { type DatabaseUnusable, inspect, migrate, unusable } from "../Migrator.ts"
import type { Row, Statement } from "../Session.ts"
import { isConnectionLoss, translate } from "../SqlErrors.ts"
import * as Inserts from "./Inserts.ts"
import { type OurEvent, ourEvent, ourEvents, ourKeys, ourTables } from "./OurAssets.ts"

/** Nothing can be adopted into the target as it is. */
export class TargetUnusable extends Data.TaggedError("TargetUnusable")<{ readonly message: string }> {}

type TargetError = DatabaseUnusable | TargetUnusable

export interface Target {
  readonly assets: (
    table: AssetTable,
    channel: string,
    stored: ReadonlyArray<StoredAsset>
  ) => Effect.Effect<void, TargetError>
  /** Pairs of child and parent, both of which must be there. */
  readonly parents: (
    channel: string,
    edges: ReadonlyArray<readonly [child: string, parent: string]>
  ) => Effect.Effect<void, TargetError>
  readonly events: (
    channel: string,
    events: ReadonlyArray<Inserts.PlacedEvent>,
    steps: ReadonlyArray<ProfilingStep>
  ) => Effect.Effect<void, TargetError>
  /** Everything stays; it cannot be interrupted. */
  readonly commit: Effect.Effect<void, TargetError>
  /** Tells PostgreSQL how the tables look now, so that its first plans are good ones. */
  readonly analyze: Effect.Effect<void, TargetError>
}

/** What a verification reads of this server's database. */
export interface TargetReader {
  readonly assets: (
    table: AssetTable,
    channel: string,
    keys: ReadonlyArray<string>
  ) => Effect.Effect<ReadonlyMap<string, StoredAsset>, TargetError>
  readonly events: (
    channel: string,
    ids: ReadonlyArray<string>
  ) => Effect.Effect<ReadonlyMap<string, OurEvent>, TargetError>
  readonly count: (table: Table, channel: string) => Effect.Effect<number, TargetError>
  /** All keys of a table, in batches. */
  readonly forEachKeys: <E>(
    table: Table,
    channel: string,
    work: (keys: ReadonlyArray<string>) => Effect.Effect<void, E>
  ) => Effect.Effect<void, E | TargetError>
}

const sessionSettings = {
  statement_timeout: "0",
  lock_timeout: "30s",
  // Between two batches it waits for the old database.
  idle_in_transaction_session_timeout: "10min"
}

const connect = (config: ConnectionConfig): Effect.Effect<PgConnection.PgConnection, SqlError, Scope.Scope> =>
  Effect.flatMap(connectionConfig(config), (base) =>
    PgConnection.make({
      ...base,
      applicationName: "substra-orchestrator adopt",
      startupParameters: { ...base.startupParameters, ...sessionSettings }
    })
  )

const failed = (error: SqlError): TargetError => {
  const known = translate(error)
  if (known._tag === "Conflict") {
    return new TargetUnusable({
      message: `${known.message} in another channel of the target: nothing was written`
    })
  }
  if (known._tag === "Contended") {
    return new TargetUnusable({
      message:
        "another session holds what the adoption needs of the target: nothing was written. Stop this server's processes, and adopt again"
    })
  }
  return isConnectionLoss(error)
    ? new TargetUnusable({
        message: "the connection to the target database was lost: nothing was written, adopt again"
      })
    : unusable(error)
}

const inDoubt = (error: SqlError): TargetError =>
  isConnectionLoss(error)
    ? new TargetUnusable({
        message:
          "the connection to the target database was lost during the commit: all of it may stand, or nothing. Find out with adopt --verify"
      })
    : failed(error)

const ourTableNames: ReadonlyArray<string> = [
  "organizations",
  "functions",
  "data_managers",
  "data_samples",
  "data_manager_samples",
  "compute_plans",
  "compute_tasks",
  "task_parents",
  "models",
  "performances",
  "failure_reports",
  "profiling_steps",
  "events"
]

const filled = `SELECT name FROM (${ourTableNames
  .map((name) => `SELECT '${name}' AS name, EXISTS (SELECT FROM ${name} WHERE channel = $1) AS filled`)
  .join(" UNION ALL ")}) t WHERE filled`

type Query = (sql: string, params?: ReadonlyArray<unknown>) => Effect.Effect<ReadonlyArray<Row>, TargetError>

const refuseFilled = (query: Query, channels: ReadonlyArray<string>) =>
  Effect.forEach(
    channels,
    (channel) =>
      Effect.flatMap(query(filled, [channel]), (rows) =>
        rows.length === 0
          ? Effect.void
          : Effect.fail(
              new TargetUnusable({
                message: `the channel "${channel}" holds something already, in ${rows.map((row) => row.name).join(", ")}: only an empty channel can take over an old one`
              })
            )
      ),
    { discard: true }
  )

/** Whether all these channels are empty. Changes nothing, and needs no schema: without one there is nothing. */
export const checkEmpty = (
  config: ConnectionConfig,
  channels: ReadonlyArray<string>
): Effect.Effect<void, TargetError> =>
  Effect.scoped(
    Effect.gen(function* () {
      const { schema } = yield* inspect(config)
      if (schema === 0) return
      const connection = yield* Effect.mapError(connect(config), unusable)
      yield* refuseFilled(
        (sql, params = []) =>
          Effect.mapError(
            Effect.map(connection.query(sql, params, false), ({ rows }) => rows),
            failed
          ),
        channels
      )
    })
  )

/** Brings the schema up, and opens the transaction. Fails when a channel holds anything. */
export const open = (
  config: ConnectionConfig,
  channels: ReadonlyArray<string>
): Effect.Effect<Target, TargetError, Scope.Scope> =>
  Effect.gen(function* () {
    yield* migrate(config)
    const connection = yield* Effect.mapError(connect(config), unusable)
    const query: Query = (sql, params = []) =>
      Effect.mapError(
        Effect.map(connection.query(sql, params), ({ rows }) => rows),
        failed
      )
    const run = (statements: ReadonlyArray<Statement>) =>
      Effect.forEach(statements, ({ params, sql }) => query(sql, params), { discard: true })

    yield* query("BEGIN ISOLATION LEVEL READ COMMITTED")
    // The lock that append_events takes; in one order, as any two adoptions do.
    for (const channel of channels.toSorted()) {
      yield* query("SELECT pg_advisory_xact_lock(1869767528, hashtext($1))", [channel])
    }
    yield* refuseFilled(query, channels)

    return {
      assets: (table, channel, stored) => run(Inserts.insertions(table, channel, stored)),
      parents: (channel, edges) => run([Inserts.parentsInsertion(channel, edges)]),
      events: (channel, events, steps) =>
        run([
          Inserts.eventsInsertion(channel, events),
          ...(steps.length === 0 ? [] : [Inserts.stepsInsertion(channel, steps)])
        ]),
      commit: Effect.uninterruptible(Effect.asVoid(Effect.mapError(connection.query("COMMIT"), inDoubt))),
      analyze: Effect.mapError(
        Effect.forEach(ourTableNames, (name) => connection.query(`ANALYZE ${name}`), { discard: true }),
        unusable
      )
    }
  })

/** Reads what is there, in one snapshot. */
export const openReader = (config: ConnectionConfig): Effect.Effect<TargetReader, TargetError, Scope.Scope> =>
  Effect.gen(function* () {
    const { schema } = yield* inspect(config)
    if (schema === 0) {
      return yield* new TargetUnusable({
        message: "the target database has no tables of this server: nothing was adopted into it"
      })
    }
    const connection = yield* Effect.mapError(connect(config), unusable)
    const query: Query = (sql, params = []) =>
      Effect.mapError(
        Effect.map(connection.query(sql, params), ({ rows }) => rows),
        failed
      )
    yield* query("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
    return {
      assets: (table, channel, keys) =>
        Effect.gen(function* () {
          const rows = yield* query(ourTables[table].sql, [channel, keys])
          const stored = yield* Effect.mapError(
            ourTables[table].decode(rows),
            (error) => new TargetUnusable({ message: `${table} of channel "${channel}": ${error.message}` })
          )
          return new Map(stored.map((one) => [one.key, one]))
        }),
      events: (channel, ids) =>
        Effect.map(
          query(ourEvents, [channel, ids]),
          (rows) => new Map(rows.map((row) => [String(row.id), ourEvent(row)]))
        ),
      count: (table, channel) =>
        Effect.map(query(`SELECT count(*) AS rows FROM (${ourKeys[table]}) k`, [channel]), ([row]) =>
          Number(row?.rows)
        ),
      forEachKeys: (table, channel, work) =>
        Effect.gen(function* () {
          yield* query(`DECLARE keys NO SCROLL CURSOR FOR ${ourKeys[table]}`, [channel])
          for (;;) {
            const rows = yield* query("FETCH 2000 FROM keys")
            if (rows.length === 0) break
            yield* work(rows.map((row) => String(row.key)))
          }
          yield* query("CLOSE keys")
        })
    }
  })
