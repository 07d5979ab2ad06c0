/**
 * One orchestrator a data folder. The lock is the kernel's, on a file that SQLite opens: it ends with the process,
 * however that ends, so nothing stale is left, a reused process id misleads nobody, and containers that share a volume
 * keep each other out. Node has no file locks of its own.
 */

import * as fs from "node:fs/promises"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { ServerUser } from "./Command.ts"
import type { Layout } from "./DataDir.ts"
import { attempt, type EmbeddedPostgresError, failure } from "./Failure.ts"

const sqliteBusy = 5

const isBusy = (cause: unknown): boolean =>
  typeof cause === "object" && cause !== null && "errcode" in cause && cause.errcode === sqliteBusy

/** Undefined: somebody else holds it. */
const tryLock = async (file: string) => {
  const { DatabaseSync } = await import("node:sqlite") // here, because older Node versions warn when it is loaded
  const database = new DatabaseSync(file, { timeout: 0 })
  try {
    database.exec("PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE")
    return database
  } catch (cause) {
    database.close()
    if (isBusy(cause)) return undefined
    throw cause
  }
}

/** The locks of this process. A second one would open and close the file, and with that give up the kernel's first. */
const heldHere = new Set<string>()

const lockOnce = async (file: string, user: ServerUser | undefined) => {
  if (heldHere.has(file)) return undefined
  heldHere.add(file)
  let database: Awaited<ReturnType<typeof tryLock>>
  try {
    const { O_CREAT, O_NOFOLLOW, O_RDWR } = fs.constants
    const made = await fs.open(file, O_RDWR | O_CREAT | (O_NOFOLLOW ?? 0), 0o600) // no link: it is given away
    if (user !== undefined) await made.chown(user.uid, user.gid)
    await made.close()
    database = await tryLock(file)
    return database
  } finally {
    if (database === undefined) heldHere.delete(file)
  }
}

export const acquire = Effect.fnUntraced(function* (
  { dataDir, lock, holder }: Layout,
  user: ServerUser | undefined
): Effect.fn.Return<void, EmbeddedPostgresError, Scope.Scope> {
  const held = yield* Effect.acquireRelease(
    attempt(`lock ${lock}`, () => lockOnce(lock, user)),
    (database) =>
      Effect.promise(async () => {
        if (database === undefined) return
        await fs.rm(holder, { force: true }).catch(() => {})
        database.close()
        heldHere.delete(lock)
      })
  )
  if (held !== undefined) {
    return yield* attempt(`write ${holder}`, async () => {
      await fs.rm(holder, { force: true })
      await fs.writeFile(holder, `${process.pid}\n`, { flag: "wx", mode: 0o644 })
    })
  }
  const pid = yield* Effect.promise(() => fs.readFile(holder, "utf8").catch(() => ""))
  const who = pid.trim() === "" ? "another orchestrator" : `another orchestrator, process ${pid.trim()}`
  return yield* failure(`the data folder ${dataDir} is in use by ${who}`, {
    wayOut: "Stop that one, or let both work on one PostgreSQL server through ORCHESTRATOR_DATABASE_URL"
  })
})
