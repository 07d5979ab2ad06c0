/** An adoption that ends in its middle leaves nothing behind, and the same command works again. */
import { existsSync } from "node:fs"
import { join } from "node:path"
import * as Effect from "effect/Effect"
import { describe, expect, it, vi } from "vitest"
import { tables } from "../../src/schema/Adoption.ts"
import * as Proxy from "../concurrency/Proxy.ts"
import { channelFile, type Database, database, emptyDatabase, envOf, folder, run } from "../server/Program.ts"
import { execute } from "../support/database.ts"
import { adopt, verify } from "./Adoption.ts"
import { oldDatabase, rows, whileLocked } from "./OldServer.ts"

const written = async (target: Database): Promise<number> => {
  const found = await rows(
    target.url,
    "SELECT (SELECT count(*) FROM orchestrator.organizations)::int + (SELECT count(*) FROM orchestrator.events)::int AS rows"
  )
  return Number(found[0]?.rows)
}

const waits = `SELECT pid FROM pg_stat_activity WHERE datname = current_database()
  AND application_name = 'substra-orchestrator adopt' AND wait_event_type = 'Lock'`

/** Resolves once the adoption stands before a locked table, with a part of its rows written. */
const isWaiting = (target: Database) =>
  vi.waitFor(async () => expect(await rows(target.adminUrl, waits)).toHaveLength(1), { timeout: 20_000, interval: 50 })

const terminate = (url: string) =>
  execute(
    url,
    `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()
       AND application_name = 'substra-orchestrator adopt'`
  )

const adoptAgain = async (from: Database, target: Database) => {
  const both = { from: from.url, target: target.url }
  expect((await adopt(both)).failure).toBeUndefined()
  expect((await verify(both)).failure).toBeUndefined()
}

describe("in the middle", () => {
  it.each([
    ["SIGINT", 130],
    ["SIGKILL", null]
  ] as const)(
    "%s leaves nothing",
    async (signal, exitCode) => {
      const [old, target] = await Promise.all([oldDatabase(), database()])
      const env = await envOf(target)
      await whileLocked(target.url, "orchestrator.events", async () => {
        const program = run(env, "adopt", "--from", old.url)
        await isWaiting(target)
        program.process.kill(signal)
        const { code, stdout } = await program.exited
        expect(code).toBe(exitCode)
        expect(stdout).not.toContain("adopted")
      })
      expect(await written(target)).toBe(0)
      await adoptAgain(old, target)
    },
    60_000
  )

  it.each(["target", "old"] as const)(
    "a lost connection to the %s database leaves nothing",
    async (which) => {
      const [old, target] = await Promise.all([oldDatabase(), database()])
      const { running } = await whileLocked(target.url, "orchestrator.events", async () => {
        const begun = adopt({ from: old.url, target: target.url })
        await isWaiting(target)
        await terminate(which === "old" ? old.adminUrl : target.adminUrl)
        return { running: begun }
      })
      expect((await running).failure).toMatch(
        which === "old"
          ? /^the old database cannot be read: /
          : /^the connection to the target database was lost: nothing was written/
      )
      expect(await written(target)).toBe(0)
      await adoptAgain(old, target)
    },
    60_000
  )
})

it("a verification that is interrupted proves nothing, and does not look like a success", async () => {
  const [old, target] = await Promise.all([oldDatabase(), database()])
  await adoptAgain(old, target)
  const env = await envOf(target)
  const interrupted = async () => {
    const program = run(env, "adopt", "--verify", "--from", old.url)
    await isWaiting(target)
    program.process.kill("SIGTERM")
    return program.exited
  }
  const { code, stderr, stdout } = await whileLocked(target.url, "orchestrator.events", interrupted, "ACCESS EXCLUSIVE")
  expect(code).toBe(130)
  expect(stderr).toContain("interrupted: nothing is proven")
  expect(stdout).not.toContain("no difference")
}, 60_000)

describe("at the commit", () => {
  const through = (cut: "before the commit" | "after the commit", old: Database, target: Database) =>
    Effect.runPromise(
      Effect.scoped(
        Effect.gen(function* () {
          const proxy = yield* Proxy.make(target.url, cut)
          return yield* Effect.promise(() => adopt({ from: old.url, target: proxy.via(target.url) }))
        })
      )
    )
  const doubt = /^the connection to the target database was lost during the commit: .* adopt --verify$/

  it("a connection that is lost before it leaves nothing, and the doubt is told", async () => {
    const [old, target] = await Promise.all([oldDatabase(), database()])
    const { failure, stdout } = await through("before the commit", old, target)
    expect(failure).toMatch(doubt)
    expect(stdout).not.toContain("adopted")
    expect(await written(target)).toBe(0)
    await adoptAgain(old, target)
  }, 60_000)

  it("a connection that is lost after it leaves everything: a verification finds out", async () => {
    const [old, target] = await Promise.all([oldDatabase(), database()])
    expect((await through("after the commit", old, target)).failure).toMatch(doubt)
    expect((await verify({ from: old.url, target: target.url })).failure).toBeUndefined()
  }, 60_000)
})

describe("channels", () => {
  it("one can be adopted alone, then another; a verification compares those that it is told", async () => {
    const [old, target] = await Promise.all([oldDatabase(), emptyDatabase()])
    const both = { from: old.url, target: target.url }
    expect((await adopt({ ...both, channels: ["yourchannel"] })).failure).toBeUndefined()
    expect((await verify({ ...both, channels: ["yourchannel"] })).stdout).toContain("no difference")
    const unfinished = await verify(both)
    expect(unfinished.stdout).toContain("channel mychannel, organizations MyOrg1MSP: it is not in the target")
    expect(unfinished.failure).toMatch(/differ/)
    expect((await adopt(both)).failure).toMatch(/^the channel "yourchannel" holds something already/)
    expect((await adopt({ ...both, channels: ["mychannel"] })).failure).toBeUndefined()
    expect((await verify(both)).failure).toBeUndefined()
  }, 60_000)

  it("share no keys: one that another channel of the target has stops the adoption", async () => {
    const [old, target] = await Promise.all([oldDatabase(), emptyDatabase()])
    const both = { from: old.url, target: target.url }
    expect((await adopt({ ...both, channels: ["yourchannel"] })).failure).toBeUndefined()
    for (const table of tables)
      await execute(old.url, `UPDATE public.${table} SET channel = 'third' WHERE channel = 'yourchannel'`)
    const { failure } = await adopt({ ...both, channels: ["third"] })
    expect(failure).toMatch(
      /^function with key ".*" already exists in another channel of the target: nothing was written$/
    )
    expect(await rows(target.url, "SELECT FROM orchestrator.organizations WHERE channel = 'third'")).toEqual([])
  })

  it("that nobody may use yet are adopted, with a warning", async () => {
    const [old, target] = await Promise.all([oldDatabase(), emptyDatabase()])
    await execute(
      old.url,
      "UPDATE public.organizations SET channel = 'formerly' WHERE channel = 'yourchannel' AND id = 'MyOrg2MSP'"
    )
    const { stderr } = await adopt({ from: old.url, target: target.url, channels: ["formerly"] })
    expect(stderr).toBe(
      'warning: the channel "formerly" is not in the file of channels: nobody can use it before it is\n'
    )
  })

  it("a dry run makes no embedded database where there is none", async () => {
    const dataDir = join(await folder(), "nothing")
    const env = { ORCHESTRATOR_DATA_DIR: dataDir, ORCHESTRATOR_CHANNEL_CONFIG: await channelFile() }
    const { url } = await oldDatabase()
    const { code, stdout } = await run(env, "adopt", "--from", url, "--dry-run").exited
    expect([code, stdout]).toEqual([0, expect.stringContaining("230 rows can be adopted")])
    expect(existsSync(dataDir)).toBe(false)
  })

  it("a dry run writes nothing, not even tables", async () => {
    const [old, target] = await Promise.all([oldDatabase(), emptyDatabase()])
    const { failure, stdout } = await adopt({ from: old.url, target: target.url, dryRun: true })
    expect(failure).toBeUndefined()
    expect(stdout).toContain("dry run: nothing was written; 230 rows can be adopted")
    expect(await rows(target.url, "SELECT FROM pg_namespace WHERE nspname = 'orchestrator'")).toEqual([])
    expect((await verify({ from: old.url, target: target.url })).failure).toBe(
      "the target database has no tables of this server: nothing was adopted into it"
    )
  })
})
