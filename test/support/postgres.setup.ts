/**
 * Vitest's global setup: one embedded PostgreSQL for the run, in a folder of its own that is deleted at the end.
 * Runs at the same time have a server each. What a killed run left behind is stopped and deleted by the next.
 */
import * as fs from "node:fs/promises"
import * as os from "node:os"
import * as path from "node:path"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Redacted from "effect/Redacted"
import * as Scope from "effect/Scope"
import type { TestProject } from "vitest/node"
import * as EmbeddedPostgres from "../../src/layers/EmbeddedPostgres.ts"
import { isAlive } from "../../src/layers/embedded/Postmaster.ts"
import { createTemplate } from "./database.ts"

/** Short, because the path of a unix socket may have some 100 bytes, and macOS takes half of them for `tmpdir()`. */
const prefix = "orc-test-"

/** Nothing has to survive a crash here. */
const settings = { fsync: "off", synchronous_commit: "off", full_page_writes: "off", max_connections: "300" }

/** Starting takes a server over that runs on; closing stops it. A folder that is in use, or not ours, is left alone. */
const sweep = async (): Promise<void> => {
  for (const name of await fs.readdir(os.tmpdir())) {
    const pid = name.startsWith(prefix) ? Number(name.slice(prefix.length).split("-")[0]) : undefined
    if (pid === undefined || isAlive(pid)) continue
    const dataDir = path.join(os.tmpdir(), name)
    const ran = await fs.stat(path.join(dataDir, "pgdata", "postmaster.pid")).then(
      () => true,
      () => false
    )
    const stopped = await Effect.runPromiseExit(
      ran ? Effect.scoped(Effect.asVoid(EmbeddedPostgres.start({ dataDir, settings }))) : Effect.void
    )
    if (Exit.isSuccess(stopped)) await fs.rm(dataDir, { recursive: true, force: true }).catch(() => {})
  }
}

export default async (project: TestProject): Promise<() => Promise<void>> => {
  await sweep()
  const dataDir = await fs.mkdtemp(path.join(os.tmpdir(), `${prefix}${process.pid}-`))
  const scope = await Effect.runPromise(Scope.make())
  const close = async () => {
    await Effect.runPromise(Scope.close(scope, Exit.void))
    await fs.rm(dataDir, { recursive: true, force: true })
  }
  try {
    const server = await Effect.runPromise(Scope.provide(EmbeddedPostgres.start({ dataDir, settings }), scope))
    const connection = { url: Redacted.value(server.url), adminUrl: Redacted.value(server.adminUrl) }
    await createTemplate(connection)
    project.provide("postgres", connection)
    return close
  } catch (cause) {
    await close()
    throw cause
  }
}
