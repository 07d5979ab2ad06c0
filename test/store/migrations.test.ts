/** Migrations: each whole or not at all, and told as run only when it was. */
import * as PgConnection from "@effect/sql-pg/PgConnection"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import { afterAll, expect, it } from "vitest"
import { migrate } from "../../src/layers/postgres/Migrator.ts"
import { migrations } from "../../src/layers/postgres/migrations/index.ts"
import type { Migration } from "../../src/layers/postgres/migrations/Migration.ts"
import { createDatabase } from "../support/database.ts"

const database = await createDatabase()
afterAll(database.drop)
const url = Redacted.make(database.url)
const next = migrations.length + 1

const step = (sql: string): ReadonlyArray<Migration> => [
  ...migrations,
  { id: next, name: "the next", oldestServer: next, sql }
]

const query = (sql: string) =>
  PgConnection.make({ url, startupParameters: { search_path: "orchestrator" } }).pipe(
    Effect.flatMap((connection) => connection.query(sql)),
    Effect.map(({ rows }) => rows),
    Effect.scoped,
    Effect.runPromise
  )

const isThere = () =>
  query(
    "SELECT to_regclass('later') IS NOT NULL AS made, EXISTS (SELECT FROM migrations WHERE name = 'the next') AS told"
  )

it.each([
  ["in a statement", "CREATE TABLE later (id int);\nSELECT 1 / 0;\n", "division by zero"],
  [
    "when it commits",
    "CREATE TABLE later (id int PRIMARY KEY, other int REFERENCES later DEFERRABLE INITIALLY DEFERRED);\nINSERT INTO later VALUES (1, 2);\n",
    "violates foreign key constraint"
  ]
])("one that fails %s has failed, and leaves nothing", async (_, sql, why) => {
  const error = await Effect.runPromise(Effect.flip(migrate({ url }, step(sql))))
  expect(error._tag).toBe("DatabaseUnusable")
  expect(error.message).toContain(why)
  expect(await isThere()).toEqual([{ made: false, told: false }])
})

it("one that succeeds is told, and is not run again", async () => {
  const steps = step("CREATE TABLE later (id int);\n")
  expect(await Effect.runPromise(migrate({ url }, steps))).toEqual(["the next"])
  expect(await isThere()).toEqual([{ made: true, told: true }])
  expect(await Effect.runPromise(migrate({ url }, steps))).toEqual([])
})
