/** A server that nobody calls tells once that its database is gone, and once that it is back. */
import { expect, it } from "vitest"
import { execute } from "../support/database.ts"
import * as Gate from "./Gate.ts"
import * as Program from "./Program.ts"

it("the loss of the database is logged once, and its return", async () => {
  const database = await Program.database()
  await using gate = await Gate.before(database.url)
  const server = await Program.serve(await Program.envOf(gate))
  for (const times of [1, 2]) {
    await gate.shut()
    await server.prints(new RegExp(`(?:out of reach, it is tried again: the connection [^]*){${times}}`))
    const readiness = await fetch(`${server.http}/readyz`)
    expect([readiness.status, await readiness.text()]).toEqual([
      503,
      expect.stringMatching(/^the database is out of reach: .+\n$/)
    ])
    await gate.open()
    await server.prints(new RegExp(`(?:within reach again[^]*){${times}}`))
  }
  const { stdout } = await server.stop()
  const lines = stdout.split("\n").filter((line) => line.includes("of reach") || line.includes("within reach"))
  expect(lines.map((line) => JSON.parse(line).level)).toEqual(["WARN", "INFO", "WARN", "INFO"])
}, 30_000)

it("the loss of the schema is logged once, and its return", async () => {
  const database = await Program.database()
  const server = await Program.serve(await Program.envOf(database))
  await execute(database.adminUrl, "ALTER TABLE orchestrator.migrations RENAME TO migrations_elsewhere")
  await server.prints(/"the database's schema is missing: restore it from the backup, or run migrate .*"level":"WARN"/)
  await execute(database.adminUrl, "ALTER TABLE orchestrator.migrations_elsewhere RENAME TO migrations")
  await server.prints(/"the database's schema is right again","level":"INFO"/)
}, 30_000)
