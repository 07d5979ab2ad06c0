/** The embedded PostgreSQL's life: first start, restart, killed orchestrators, folders that it must refuse. */
import { spawn } from "node:child_process"
import * as fs from "node:fs/promises"
import * as path from "node:path"
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Redacted from "effect/Redacted"
import { defaultDataDir, running } from "../../src/layers/EmbeddedPostgres.ts"
import { layout } from "../../src/layers/embedded/DataDir.ts"
import { isAlive } from "../../src/layers/embedded/Postmaster.ts"
import * as Harness from "./harness.ts"

const { ask, folder, hold, kill, messageOf, serverPid, start, startOnce, until } = Harness

const shared = Harness.sharedFolder()

const names = (dataDir: string) => Effect.promise(() => fs.readdir(dataDir))

const makesClusters = async (dataDir: string): Promise<boolean> => {
  const found = await fs.readdir(dataDir).catch(() => [])
  const unfinished = found.find((name) => name.startsWith("pgdata.new-"))
  return unfinished !== undefined && (await Harness.exists(path.join(dataDir, unfinished, "PG_VERSION")))
}

describe("a start", () => {
  it.live("makes a database that sorts alike everywhere, for a role that is no superuser", () =>
    Effect.gen(function* () {
      const { dataDir } = yield* folder
      const server = yield* start(dataDir, { settings: {} })
      expect(server).toMatchObject({ dataDir, reused: false, socketDir: layout(dataDir).cluster })
      const facts = `SELECT current_user::text AS role, rolsuper, rolcreatedb, pg_get_userbyid(datdba)::text AS owner,
          pg_encoding_to_char(encoding)::text AS encoding, datlocprovider::text AS provider, datlocale AS locale
        FROM pg_roles, pg_database WHERE rolname = current_user AND datname = current_database()`
      expect(yield* ask(server.url, facts)).toEqual([
        {
          role: "orchestrator",
          rolsuper: false,
          rolcreatedb: false,
          owner: "orchestrator",
          encoding: "UTF8",
          provider: "b",
          locale: "C.UTF-8"
        }
      ])
      const of = (name: string) => `current_setting('${name}') AS ${name}`
      const settings = ["timezone", "data_checksums", "fsync", "max_connections", "listen_addresses"].map(of)
      expect(yield* ask(server.url, `SELECT ${settings.join(", ")}`)).toEqual([
        { timezone: "UTC", data_checksums: "on", fsync: "on", max_connections: "200", listen_addresses: "" }
      ])
      expect(yield* ask(server.adminUrl, "SELECT current_user::text AS role")).toEqual([{ role: "postgres" }])
      const modes = yield* Effect.promise(() =>
        Promise.all([fs.stat(dataDir), fs.stat(server.socketDir ?? ""), fs.stat(layout(dataDir).log)])
      )
      expect(modes.map(({ mode }) => (mode & 0o777).toString(8))).toEqual(["700", "700", "600"])
    })
  )

  it.live("of the same folder finds the data, and nothing runs in between", () =>
    Effect.gen(function* () {
      const { dataDir } = yield* shared
      const pid = yield* Effect.scoped(
        Effect.gen(function* () {
          const { url } = yield* start(dataDir)
          yield* ask(url, "CREATE TABLE kept AS SELECT 42 AS answer")
          return serverPid(dataDir)
        })
      )
      expect(isAlive(pid)).toBe(false)
      expect(yield* names(dataDir)).toEqual(["lock", "pgdata", "postgres.log"])
      const { url, reused } = yield* start(dataDir)
      expect(reused).toBe(false)
      expect(yield* ask(url, "SELECT answer FROM kept")).toEqual([{ answer: 42 }])
    })
  )

  it.live("works in a folder whose name needs quotes", () =>
    Effect.gen(function* () {
      const { dataDir } = yield* folder
      const { url, socketDir } = yield* start(path.join(dataDir, `a, 'b' "c" %2F+\\é`))
      expect(socketDir).toBeDefined()
      expect(yield* ask(url, "SELECT 1 AS one")).toEqual([{ one: 1 }])
    })
  )

  it.live("uses TCP and passwords where the folder's path is too long for a socket, also when it takes over", () =>
    Effect.gen(function* () {
      const long = path.join((yield* folder).dataDir, "long".repeat(25))
      const owner = yield* hold({ dataDir: long, settings: Harness.settings })
      yield* kill(owner.child)
      const { url, adminUrl, socketDir, port, reused } = yield* start(long)
      expect(reused).toBe(true)
      expect(socketDir).toBeUndefined()
      expect(Redacted.value(url)).toBe(Redacted.value(owner.url))
      expect(yield* ask(url, "SELECT current_user::text AS role")).toEqual([{ role: "orchestrator" }])
      expect(yield* ask(adminUrl, "SELECT current_user::text AS role")).toEqual([{ role: "postgres" }])
      for (const who of ["orchestrator", "orchestrator:wrong", "postgres"]) {
        const stranger = Redacted.make(`postgresql://${who}@127.0.0.1:${port}/orchestrator`)
        expect((yield* Effect.flip(ask(stranger, "SELECT 1"))).reason._tag).toBe("AuthenticationError")
      }
    })
  )

  it.live("through a link is found by whoever looks through it, also where the link alone is short enough", () =>
    Effect.gen(function* () {
      const { folder: inside } = yield* folder
      const long = path.join(inside, "long".repeat(25))
      const link = path.join(inside, "link")
      yield* Effect.promise(() => Promise.all([fs.mkdir(long), fs.symlink(long, link)]))
      const { url } = yield* start(link)
      const found = yield* running(link)
      expect(found && Redacted.value(found)).toBe(Redacted.value(url))
    })
  )

  it.live("that fails tells the end of the server's log, and frees the folder", () =>
    Effect.gen(function* () {
      const { dataDir } = yield* shared
      const failed = yield* Effect.flip(start(dataDir, { settings: { ...Harness.settings, shared_buffers: "plenty" } }))
      expect(failed.message).toContain(layout(dataDir).log)
      expect(failed.message).toContain('invalid value for parameter "shared_buffers": "plenty"')
      yield* start(dataDir)
    })
  )

  it.live("that is interrupted leaves neither a server nor half a cluster", () =>
    Effect.gen(function* () {
      const { dataDir } = yield* folder
      const starting = yield* Effect.forkChild(startOnce(dataDir))
      yield* until(() => makesClusters(dataDir))
      yield* Fiber.interrupt(starting)
      expect((yield* names(dataDir)).filter((name) => name.startsWith("pgdata"))).toEqual([])
      yield* start(dataDir)
    })
  )
})

describe("after the orchestrator was killed", () => {
  it.live("its server is taken over, and stopped at the end", () =>
    Effect.gen(function* () {
      const { dataDir } = yield* shared
      const owner = yield* hold({ dataDir, settings: Harness.settings })
      const pid = serverPid(dataDir)
      yield* kill(owner.child)
      expect(isAlive(pid)).toBe(true)
      yield* Effect.scoped(
        Effect.gen(function* () {
          const { url, reused } = yield* start(dataDir)
          expect(reused).toBe(true)
          expect(serverPid(dataDir)).toBe(pid)
          expect(yield* ask(url, "SELECT 1 AS one")).toEqual([{ one: 1 }])
        })
      )
      expect(isAlive(pid)).toBe(false)
    })
  )

  it.live("its server is replaced where this start asks for other settings", () =>
    Effect.gen(function* () {
      const { dataDir } = yield* shared
      const owner = yield* hold({ dataDir, settings: Harness.settings })
      yield* kill(owner.child)
      const { url, reused } = yield* start(dataDir, { settings: { ...Harness.settings, max_connections: "50" } })
      expect(reused).toBe(false)
      expect(yield* ask(url, "SHOW max_connections")).toEqual([{ max_connections: "50" }])
    })
  )

  it.live("together with its server, what was committed is there", () =>
    Effect.gen(function* () {
      const { dataDir } = yield* shared
      const owner = yield* hold({ dataDir })
      yield* ask(owner.url, "CREATE TABLE committed AS SELECT 42 AS answer")
      process.kill(serverPid(dataDir), "SIGKILL")
      yield* kill(owner.child)
      const { url, reused } = yield* start(dataDir)
      expect(reused).toBe(false)
      expect(yield* ask(url, "SELECT answer FROM committed")).toEqual([{ answer: 42 }])
    })
  )

  it.live("while it made the cluster, the next start makes it anew", () =>
    Effect.gen(function* () {
      const { dataDir } = yield* folder
      const owner = yield* Harness.spawnHolder({ dataDir, settings: Harness.settings })
      yield* until(() => makesClusters(dataDir))
      yield* kill(owner)
      const { url } = yield* start(dataDir)
      expect(yield* ask(url, "SELECT 1 AS one")).toEqual([{ one: 1 }])
      expect((yield* names(dataDir)).filter((name) => name.startsWith("pgdata"))).toEqual(["pgdata"])
    })
  )

  it.live("and another program has its server's process id, that program is left alone", () =>
    Effect.gen(function* () {
      const { dataDir } = yield* shared
      const { cluster } = layout(dataDir)
      const { uid, gid } = yield* Effect.promise(() => fs.stat(cluster))
      const program = yield* Effect.acquireRelease(
        Effect.sync(() => spawn("sleep", ["60"], Harness.asRoot ? { uid, gid } : {})),
        (child) => Effect.sync(() => child.kill())
      )
      const stale = `${program.pid}\n${cluster}\n1\n5432\n${cluster}\n\n0 0\nready   \n`
      for (const name of ["postmaster.pid", ".s.PGSQL.5432.lock"]) {
        yield* Effect.promise(() => fs.writeFile(path.join(cluster, name), stale, { mode: 0o600 }))
      }
      const { reused } = yield* start(dataDir)
      expect(reused).toBe(false)
      expect(isAlive(program.pid ?? 0)).toBe(true)
    })
  )
})

it.live("Ctrl-C reaches the orchestrator only: its server runs on until it has drained", () =>
  Effect.gen(function* () {
    const { dataDir } = yield* shared
    const owner = yield* hold({ dataDir, settings: Harness.settings })
    yield* Harness.interruptGroup(owner.child)
    expect((yield* start(dataDir)).reused).toBe(true)
  })
)

describe("a folder is refused", () => {
  it.live("while another orchestrator uses it, with that one's process id and the ways out", () =>
    Effect.gen(function* () {
      const { dataDir } = yield* shared
      const owner = yield* hold({ dataDir, settings: Harness.settings })
      const message = yield* messageOf(dataDir)
      expect(message).toContain(`${dataDir} is in use by another orchestrator, process ${owner.child.pid}`)
      expect(message).toContain("ORCHESTRATOR_DATA_DIR")
      expect(message).toContain("ORCHESTRATOR_DATABASE_URL")
      expect(yield* ask(owner.url, "SELECT 1 AS one")).toEqual([{ one: 1 }])
      yield* Harness.dismiss(owner.child)
      expect((yield* start(dataDir)).reused).toBe(false)
    })
  )

  it.live("while this process uses it", () =>
    Effect.gen(function* () {
      const { dataDir } = yield* shared
      yield* start(dataDir)
      const inUse = `in use by another orchestrator, process ${process.pid}`
      expect(yield* messageOf(dataDir)).toContain(inUse)
      // Nor has this attempt given the folder up to other processes.
      const other = yield* Effect.flip(hold({ dataDir, settings: Harness.settings }))
      expect(other.message).toContain(inUse)
    })
  )

  it.live("that holds something else, and is not touched", () =>
    Effect.gen(function* () {
      const foreign = (yield* folder).folder
      yield* Effect.promise(() => fs.writeFile(path.join(foreign, "thesis.tex"), ""))
      expect(yield* messageOf(foreign)).toContain(`the folder ${foreign} holds something else (thesis.tex)`)
      expect(yield* names(foreign)).toEqual(["thesis.tex"])
    })
  )

  it.live("that is the data directory of another PostgreSQL", () =>
    Effect.gen(function* () {
      const { dataDir } = yield* shared
      const { cluster } = layout(dataDir)
      expect(yield* messageOf(cluster)).toContain(
        `${cluster} is a data directory that was not made by the orchestrator`
      )
    })
  )

  it.live("whose cluster another major version of PostgreSQL made", () =>
    Effect.gen(function* () {
      const { dataDir } = yield* shared
      const { cluster } = layout(dataDir)
      const setVersion = (version: string) =>
        Effect.promise(() => fs.writeFile(path.join(cluster, "PG_VERSION"), `${version}\n`))
      const message = yield* Effect.acquireUseRelease(
        setVersion("17"),
        () => messageOf(dataDir),
        () => setVersion("18")
      )
      expect(message).toContain(`${cluster} was made by PostgreSQL 17, and this installation brings PostgreSQL 18`)
    })
  )

  it.live("that is a file", () =>
    Effect.gen(function* () {
      const file = path.join((yield* folder).folder, "file")
      yield* Effect.promise(() => fs.writeFile(file, ""))
      expect(yield* messageOf(file)).toContain(file)
    })
  )
})

describe("the default folder", () => {
  const home = "/home/ada"
  it.each([
    ["linux", false, {}, "/home/ada/.local/share/substra-orchestrator/postgres"],
    ["linux", false, { XDG_DATA_HOME: "/data" }, "/data/substra-orchestrator/postgres"],
    ["linux", false, { XDG_DATA_HOME: "data" }, "/home/ada/.local/share/substra-orchestrator/postgres"],
    ["linux", true, { XDG_DATA_HOME: "/data" }, "/var/lib/substra-orchestrator/postgres"],
    ["darwin", false, {}, "/home/ada/Library/Application Support/substra-orchestrator/postgres"],
    ["win32", false, { LOCALAPPDATA: "C:\\Ada" }, "C:\\Ada\\substra-orchestrator\\postgres"]
  ] as const)("on %s, root: %s, with %j is %s", (platform, root, env, expected) => {
    expect(defaultDataDir({ platform, root, env, home })).toBe(expected)
  })
})
