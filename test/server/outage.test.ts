/** A server that nobody calls tells that its database is gone, each reason once, and once that it is back. */
import { expect, it } from "vitest"
import { execute } from "../support/database.ts"
import * as Gate from "./Gate.ts"
import * as Program from "./Program.ts"
import * as Session from "./Session.ts"

/** What it said of its database, in order. */
const lines = (server: Program.Program): ReadonlyArray<{ readonly level: string; readonly message: string }> =>
  server
    .output()
    .split("\n")
    .filter((line) => /of reach|within reach/.test(line))
    .map((line) => JSON.parse(line))

const readiness = async (server: Program.Server) => {
  const answer = await fetch(`${server.http}/readyz`)
  return [answer.status, await answer.text()]
}

it("the loss of the database is logged, each reason once, and its return", async () => {
  const database = await Program.database()
  await using gate = await Gate.before(database.url)
  const server = await Program.serve(await Program.envOf(gate))
  for (const times of [1, 2]) {
    await gate.shut()
    await server.prints(new RegExp(`(?:out of reach, it is tried again: the connection is refused[^]*){${times}}`))
    expect(await readiness(server)).toEqual([
      503,
      expect.stringMatching(/^the database is out of reach: the connection .+\n$/)
    ])
    await gate.open()
    await server.prints(new RegExp(`(?:within reach again[^\\n]*\\n[^]*){${times}}`))
    const told = lines(server)
    const last = told.slice(told.slice(0, -1).findLastIndex(({ level }) => level === "INFO") + 1)
    expect(new Set(last.map(({ message }) => message)).size).toBe(last.length)
    expect(last.map(({ level }) => level)).toEqual([...last.slice(1).map(() => "WARN"), "INFO"])
  }
}, 60_000)

it("a database that has no connection left is told as that, by the log and by /readyz", async () => {
  const database = await Program.database()
  const server = await Program.serve(await Program.envOf(database))
  await execute(
    Program.administration(),
    `ALTER DATABASE ${database.name} CONNECTION LIMIT 0`,
    `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '${database.name}'`
  )
  await server.prints(/out of reach, it is tried again: it has too many connections/)
  expect(await readiness(server)).toEqual([503, "the database is out of reach: it has too many connections\n"])
  await execute(Program.administration(), `ALTER DATABASE ${database.name} CONNECTION LIMIT -1`)
  await server.prints(/within reach again/)
}, 60_000)

it("the loss of the schema is logged once, and its return", async () => {
  const database = await Program.database()
  const server = await Program.serve(await Program.envOf(database))
  await execute(database.adminUrl, "ALTER TABLE orchestrator.migrations RENAME TO migrations_elsewhere")
  await server.prints(/"the database's schema is missing: restore it from the backup, or run migrate .*"level":"WARN"/)
  await execute(database.adminUrl, "ALTER TABLE orchestrator.migrations_elsewhere RENAME TO migrations")
  await server.prints(/"the database's schema is right again","level":"INFO"/)
}, 30_000)

it("a schema that is locked is no loss of the database", async () => {
  const database = await Program.database()
  const server = await Program.serve(await Program.envOf(database))
  await using session = await Session.open(database.adminUrl)
  await session.query("BEGIN")
  await session.query("LOCK TABLE orchestrator.migrations IN ACCESS EXCLUSIVE MODE")
  await server.prints(/"the database's schema cannot be looked at: somebody has it locked","level":"WARN"/)
  await session.query("ROLLBACK")
  await server.prints(/"the database's schema is right again","level":"INFO"/)
  expect(lines(server)).toEqual([])
}, 60_000)
