/** A server that nobody calls tells once that its database is gone, and once that it is back. */
import { expect, it } from "vitest"
import * as Gate from "./Gate.ts"
import * as Program from "./Program.ts"

it("the loss of the database is logged once, and its return", async () => {
  const database = await Program.database()
  await using gate = await Gate.before(database.url)
  const server = await Program.serve(await Program.envOf(gate))
  for (const times of [1, 2]) {
    await gate.shut()
    await server.prints(new RegExp(`(?:out of reach, it is tried again[^]*){${times}}`))
    await gate.open()
    await server.prints(new RegExp(`(?:within reach again[^]*){${times}}`))
  }
  const { stdout } = await server.stop()
  const lines = stdout.split("\n").filter((line) => line.includes("of reach") || line.includes("within reach"))
  expect(lines.map((line) => JSON.parse(line).level)).toEqual(["WARN", "INFO", "WARN", "INFO"])
}, 30_000)
