/** PostgreSQL's errors, made by PostgreSQL, in the words of the store's ports. */

import * as PgConnection from "@effect/sql-pg/PgConnection"
import { expect, layer } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import type { SqlError } from "effect/sql/SqlError"
import { Session } from "../../src/layers/postgres/Session.ts"
import { isConnectionLoss, isFollowUp, translate } from "../../src/layers/postgres/SqlErrors.ts"
import type { ChannelName } from "../../src/schema/Key.ts"
import { Database } from "../../src/services/store/Database.ts"
import { work } from "../../src/testing/suites/support.ts"
import * as build from "../blackbox/Builders.ts"
import * as calls from "./calls.ts"
import { Postgres, services } from "./support.ts"

const tries = "try again later"
const outOfReach = `Unavailable: the database is out of reach, ${tries}`
const tookTooLong = `Unavailable: the database took too long, ${tries}`
const cannotServe = `Unavailable: the database cannot serve this now, ${tries}`
const contended = "Contended"
const internal = "Internal: internal error, the server's log tells more under this call's request id"

/** What a caller of the ports sees. */
const said = (error: SqlError): string => {
  const { _tag, message } = translate(error) as { readonly _tag: string; readonly message: string }
  return message === "" ? _tag : `${_tag}: ${message}`
}

/** The error of a statement, which comes after others on the same connection. */
const errorOf = (...statements: ReadonlyArray<string>) =>
  Effect.scoped(
    Effect.gen(function* () {
      const connection = yield* (yield* Postgres).connect
      for (const statement of statements.slice(0, -1)) yield* connection.query(statement)
      return yield* Effect.flip(connection.query(statements.at(-1) ?? ""))
    })
  )

const raise = (code: string) => `DO $$ BEGIN RAISE EXCEPTION 'made here' USING ERRCODE = '${code}'; END $$`

layer(services({ poolSize: 3 }), { excludeTestServices: true })("an error of PostgreSQL", (it) => {
  for (const [code, expected, isLoss] of [
    ["40001", contended, false],
    ["40P01", contended, false],
    ["55P03", contended, false],
    ["57014", tookTooLong, false],
    ["08006", outOfReach, true],
    ["08003", outOfReach, true],
    ["57P01", outOfReach, true],
    ["57P02", outOfReach, true],
    ["57P03", outOfReach, true],
    ["25P03", outOfReach, true],
    ["25P04", outOfReach, true],
    ["28P01", outOfReach, false],
    ["28000", outOfReach, false],
    ["53000", cannotServe, false],
    ["53100", cannotServe, false],
    ["53200", cannotServe, false],
    ["53300", cannotServe, false],
    ["25006", cannotServe, false],
    ["23505", internal, false],
    ["23503", internal, false],
    ["23514", internal, false],
    ["22P02", internal, false],
    ["42P01", internal, false],
    ["42501", internal, false],
    ["XX000", internal, false],
    ["P0001", internal, false]
  ] as const) {
    it.effect(`with SQLSTATE ${code} is ${expected.split(":")[0]}`, () =>
      Effect.gen(function* () {
        const error = yield* errorOf(raise(code))
        expect(said(error)).toBe(expected)
        expect(isConnectionLoss(error)).toBe(isLoss)
        expect(isFollowUp(error)).toBe(false)
      })
    )
  }

  it.effect("that a transaction does not heed keeps it from being answered as done", () =>
    Effect.gen(function* () {
      const database = yield* Database
      const heedless = Effect.flatMap(Effect.serviceOption(Session), (session) =>
        Effect.ignore(Option.getOrThrow(session).query("SELECT 1 / 0", []))
      )
      const run = database.run("mychannel" as ChannelName, work(heedless))
      expect(Cause.squash(yield* Effect.flip(Effect.sandbox(run)))).toEqual(
        new Error("a transaction was not committed")
      )
    })
  )

  for (const [what, statements, expected] of [
    ["a lock that is not there at once", ["SELECT FROM functions FOR UPDATE NOWAIT"], contended],
    ["a lock waited for too long", ["SET lock_timeout = '10ms'", "SELECT FROM functions FOR UPDATE"], contended],
    ["a statement that takes too long", ["SET statement_timeout = '10ms'", "SELECT pg_sleep(60)"], tookTooLong],
    ["a write on a standby", ["SET default_transaction_read_only = on", "DELETE FROM functions"], cannotServe],
    ["a table that is not there", ["SELECT FROM nowhere"], internal],
    [
      "a row that refers to nothing",
      ["INSERT INTO data_manager_samples VALUES ('c', gen_random_uuid(), gen_random_uuid())"],
      internal
    ],
    ["a row that breaks a rule", ["INSERT INTO profiling_steps VALUES ('c', gen_random_uuid(), 's', 0)"], internal],
    [
      "append_events under another isolation",
      ["BEGIN ISOLATION LEVEL REPEATABLE READ", "SELECT append_events('c', now(), '{}', '{}', '{}', '{}', '{}', '{}')"],
      internal
    ]
  ] as const) {
    it.effect(`about ${what} is ${expected.split(":")[0]}`, () =>
      Effect.gen(function* () {
        const as = calls.caller("OrgA", build.newKey())
        yield* calls.registerOrganization(as)
        yield* calls.registerFunction(as, build.newFunction())
        const holder = yield* (yield* Postgres).connect
        yield* holder.query("BEGIN")
        yield* holder.query("SELECT FROM functions FOR UPDATE")
        expect(said(yield* errorOf(...statements))).toBe(expected)
        yield* holder.query("ROLLBACK")
      })
    )
  }

  it.effect("about a lost update is Contended", () =>
    Effect.gen(function* () {
      const as = calls.caller("OrgA", build.newKey())
      yield* calls.registerPlan(as, build.newPlan())
      const { connect, query } = yield* Postgres
      const connection = yield* connect
      yield* connection.query("BEGIN ISOLATION LEVEL REPEATABLE READ")
      yield* connection.query("SELECT FROM compute_plans")
      yield* query("UPDATE compute_plans SET tag = 'other'")
      expect(said(yield* Effect.flip(connection.query("UPDATE compute_plans SET tag = 'mine'")))).toBe(contended)
    })
  )

  it.effect("about a deadlock is Contended for one, and nothing for the other", () =>
    Effect.gen(function* () {
      const as = calls.caller("OrgA", build.newKey())
      const keys = build.newKeys(2) as [string, string]
      for (const key of keys) yield* calls.registerPlan(as, build.newPlan({ key }))
      const { connect } = yield* Postgres
      const lock = "SELECT FROM compute_plans WHERE key = $1 FOR UPDATE"
      const both = yield* Effect.forEach([keys, keys.toReversed()], (order) =>
        Effect.gen(function* () {
          const connection = yield* connect
          yield* connection.query("BEGIN")
          yield* connection.query(lock, [order[0]])
          const rest = connection
            .query(lock, [order[1]])
            .pipe(Effect.match({ onFailure: said, onSuccess: () => "ok" }), Effect.tap(connection.query("ROLLBACK")))
          return rest
        })
      )
      expect((yield* Effect.all(both, { concurrency: 2 })).toSorted()).toEqual([contended, "ok"])
    })
  )

  it.effect("that follows from another one in its transaction is told from it", () =>
    Effect.gen(function* () {
      const connection = yield* (yield* Postgres).connect
      yield* connection.query("BEGIN")
      const first = yield* Effect.flip(connection.query("SELECT 1 / 0"))
      const next = yield* Effect.flip(connection.query("SELECT 1"))
      expect([isFollowUp(first), isFollowUp(next)]).toEqual([false, true])
    })
  )

  it.effect("about a connection that an administrator ended is its loss", () =>
    Effect.gen(function* () {
      const { connect, query } = yield* Postgres
      const connection = yield* connect
      const { rows } = yield* connection.query("SELECT pg_backend_pid() AS pid")
      const sleeping = connection.query("SELECT pg_sleep(60)")
      const ending = query("SELECT pg_terminate_backend($1)", [rows[0]?.pid])
      const [error] = yield* Effect.all([Effect.flip(sleeping), ending], { concurrency: 2 })
      const next = yield* Effect.flip(connection.query("SELECT 1"))
      for (const one of [error, next]) {
        expect(isConnectionLoss(one)).toBe(true)
        expect(said(one)).toBe(outOfReach)
      }
    })
  )

  it.effect("about a transaction that was idle for too long is its connection's loss", () =>
    Effect.gen(function* () {
      const { connect, query } = yield* Postgres
      const connection = yield* connect
      const { rows } = yield* connection.query("SELECT pg_backend_pid() AS pid")
      yield* connection.query("SET idle_in_transaction_session_timeout = '10ms'")
      yield* connection.query("BEGIN")
      yield* Effect.repeat(query("SELECT FROM pg_stat_activity WHERE pid = $1", [rows[0]?.pid]), {
        until: (left) => left.length === 0
      })
      const error = yield* Effect.flip(connection.query("SELECT 1"))
      expect([isConnectionLoss(error), said(error)]).toEqual([true, outOfReach])
    })
  )

  for (const [what, change, expected] of [
    ["a server that nobody runs", (url: URL) => url.searchParams.set("host", "/nowhere"), outOfReach],
    ["a database that is not there", (url: URL) => (url.pathname = "/nowhere"), outOfReach],
    ["a role that is not there", (url: URL) => url.searchParams.set("user", "nobody"), outOfReach]
  ] as const) {
    it.effect(`about ${what} is ${expected.split(":")[0]}`, () =>
      Effect.gen(function* () {
        const url = new URL((yield* Postgres).url)
        change(url)
        const connecting = Effect.scoped(PgConnection.make({ url: Redacted.make(url.href) }))
        expect(said(yield* Effect.flip(connecting))).toBe(expected)
      })
    )
  }

  it.effect("about a database that takes no more connections is Unavailable", () =>
    Effect.gen(function* () {
      const { connect, query, url } = yield* Postgres
      const name = new URL(url).pathname.slice(1)
      yield* query(`ALTER DATABASE ${name} CONNECTION LIMIT 0`)
      const error = yield* Effect.flip(Effect.scoped(PgConnection.make({ url: Redacted.make(url) })))
      yield* query(`ALTER DATABASE ${name} CONNECTION LIMIT -1`)
      expect(said(error)).toBe(outOfReach)
      yield* connect
    })
  )

  it.effect("about a key that is taken names its asset and the key", () =>
    Effect.gen(function* () {
      const as = calls.caller("OrgA", build.newKey())
      const { query } = yield* Postgres
      const key = build.newKey()
      const exists = (asset: string, of = key) => `Conflict: ${asset} with key "${of}" already exists`
      yield* calls.registerOrganization(as)
      yield* calls.registerFunction(as, build.newFunction({ key }))
      yield* calls.registerManager(as, build.newDataManager({ key }))
      yield* calls.registerSamples(as, [build.newDataSample([], key)])
      yield* calls.registerPlan(as, build.newPlan({ key }))
      const [fn, plan] = [
        yield* calls.functionIn(as, ["BUILDING", "READY"], { outputs: { out: build.model, score: build.performance } }),
        { key }
      ]
      yield* calls.registerTasks(as, build.newTask(fn, plan, { key, worker: "OrgA" }))
      yield* calls.moveTask(as, key, "EXECUTING")
      yield* calls.registerModels(as, build.newModel(key, "out", key))
      yield* calls.registerPerformance(as, key, "score")
      yield* calls.reportTask(as, key)
      for (const [table, expected] of [
        ["organizations", exists("organization", "OrgA")],
        ["functions", exists("function")],
        ["data_managers", exists("datamanager")],
        ["data_samples", exists("datasample")],
        ["compute_plans", exists("computeplan")],
        ["compute_tasks", exists("computetask")],
        ["models", exists("model")],
        ["performances", exists("performance", `${key}|score`)],
        ["failure_reports", exists("failurereport", `${key}|FAILED_ASSET_COMPUTE_TASK`)]
      ] as const) {
        const again = (channel: string) =>
          errorOf(
            `INSERT INTO ${table} SELECT (jsonb_populate_record(t, jsonb_build_object('channel', '${channel}'))).*
               FROM ${table} t WHERE channel = '${as.channel}'`
          )
        const here = yield* again(as.channel)
        expect(said(here), table).toBe(expected)
        const hasKey = yield* query("SELECT FROM pg_constraint WHERE conname = $1 || '_key' AND contype = 'u'", [table])
        if (hasKey.length > 0) expect(said(yield* again("another channel")), table).toBe(expected)
      }
    })
  )
})
