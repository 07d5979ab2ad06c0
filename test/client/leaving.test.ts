/** A program that has closed its clients ends by itself: no timer, socket or rejection is left, whatever went wrong. */
import { execFile } from "node:child_process"
import { join } from "node:path"
import { promisify } from "node:util"
import { expect, it } from "vitest"
import { startServer } from "../blackbox/Server.ts"
import { fake } from "./Fake.ts"

it("leaves nothing open behind a closed client", async () => {
  const server = await startServer()
  await using silent = await fake("silent")
  await using garbage = await fake("garbage")
  const { stdout, stderr } = await promisify(execFile)(process.execPath, [join(import.meta.dirname, "leaving.ts")], {
    env: { ...process.env, GOOD: server.address, SILENT: silent.address, GARBAGE: garbage.address },
    timeout: 30_000
  })
  expect(stderr).toBe("")
  expect(JSON.parse(stdout)).toEqual({
    failures: [
      ["Unavailable", "Unavailable"],
      ["Unavailable", "Unavailable"],
      ["PermissionDenied", "PermissionDenied"],
      ["ClientClosed", "ClientClosed"]
    ],
    open: []
  })
})
