/** The databases that the setup gives to test files. */
import * as PgConnection from "@effect/sql-pg/PgConnection"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import { expect, it } from "vitest"
import { createDatabase, execute } from "./database.ts"

const query = (url: string, sql: string) =>
  PgConnection.make({ url: Redacted.make(url) }).pipe(
    Effect.flatMap((connection) => connection.query(sql)),
    Effect.map(({ rows }) => rows),
    Effect.scoped,
    Effect.runPromise
  )

it("two test databases share nothing and belong to a role that is no superuser", async () => {
  const [one, two] = await Promise.all([createDatabase(), createDatabase()])
  await execute(one.url, "CREATE TABLE only_here (id int)")
  const tables = "SELECT count(*)::int AS tables FROM pg_tables WHERE tablename = 'only_here'"
  expect(await query(one.url, tables)).toEqual([{ tables: 1 }])
  expect(await query(two.url, tables)).toEqual([{ tables: 0 }])
  expect(await query(two.url, "SELECT current_database() AS name, current_user::text AS role")).toEqual([
    { name: two.name, role: "orchestrator" }
  ])
  await Promise.all([one.drop(), two.drop()])
})

it("a database with open connections can be dropped", async () => {
  const database = await createDatabase()
  await Effect.runPromise(
    Effect.scoped(
      Effect.andThen(
        PgConnection.make({ url: Redacted.make(database.url) }),
        Effect.promise(() => database.drop())
      )
    )
  )
  await expect(execute(database.url, "SELECT 1")).rejects.toThrow(/connect|exist/i)
})
