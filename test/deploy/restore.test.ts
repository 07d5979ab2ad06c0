/**
 * Backups as docs/operations.md describes them: a cold copy of the data folder, and pg_dump where there are PostgreSQL
 * programs of one version from server to pg_dump. On what was restored subscribers resume after their last event.
 */
import { execFileSync } from "node:child_process"
import { existsSync, readdirSync } from "node:fs"
import { chmod, chown, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { describe, expect, it } from "vitest"
import type { Event } from "../../src/layers/wire/generated/event.ts"
import type { Client } from "../blackbox/Client.ts"
import * as Drive from "../blackbox/Drivers.ts"
import { execute } from "../support/database.ts"
import { finallyDo, folder, type RunningServer, serve } from "./servers.ts"
import { read, root } from "./support.ts"

/** Every event of the channel. */
const log = async (reader: Client): Promise<ReadonlyArray<Event>> =>
  (await reader.queryEvents({ pageSize: 1000 })).events

interface Before {
  readonly events: ReadonlyArray<Event>
  /** The id of the last event that a subscriber took. */
  readonly last: string
}

/** Some work, of which a subscriber sees the beginning. */
const work = async (server: RunningServer): Promise<Before> => {
  const [one, two] = await server.organizations()
  await using stream = two.subscribeToEvents()
  await Drive.aTaskIn(one, "STATUS_DONE")
  const taken = await stream.take(5)
  return { events: await log(one), last: taken.at(-1)?.id ?? "" }
}

/** The log is what it was, the subscriber gets all that it has not seen, and then what is new. */
const expectResumed = async (server: RunningServer, { events, last }: Before): Promise<void> => {
  const [one, two] = await server.organizations()
  expect(await log(one)).toEqual(events)
  const missed = events.slice(events.findIndex(({ id }) => id === last) + 1)
  expect(missed.length).toBeGreaterThan(3)
  await using stream = two.subscribeToEvents({ startEventId: last })
  expect(await stream.take(missed.length)).toEqual(missed)
  const plan = await Drive.aPlan(one)
  expect((await stream.next()).assetKey).toBe(plan.key)
}

const dumpOptions = ["--format=custom", "--no-owner", "--schema=orchestrator"]
const restoreOptions = ["--exit-on-error", "--single-transaction", "--no-owner"]

describe("a cold copy of the data folder", () => {
  it("starts as the server that was copied, and subscribers resume", async () => {
    const made = await folder()
    // The server of PostgreSQL runs as a user who must get in, where the tests run as root.
    await chmod(made, 0o755)
    const first = await serve({ ORCHESTRATOR_DATA_DIR: join(made, "data") })
    const before = await work(first)
    await first.stop()
    execFileSync("cp", ["-a", join(made, "data"), join(made, "copy")])
    // What comes after the copy is not in it.
    const again = await serve({ ORCHESTRATOR_DATA_DIR: join(made, "data") })
    const [one] = await again.organizations()
    await Drive.aPlan(one)
    await again.stop()
    await expectResumed(await serve({ ORCHESTRATOR_DATA_DIR: join(made, "copy") }), before)
  })
})

/** The folder with the programs of one PostgreSQL, 15 or newer, as Debian's packages lay them. */
const programs = (existsSync("/usr/lib/postgresql") ? readdirSync("/usr/lib/postgresql") : [])
  .filter((major) => Number(major) >= 15)
  .map((major) => join("/usr/lib/postgresql", major, "bin"))
  .find((path) =>
    ["initdb", "pg_ctl", "postgres", "pg_dump", "pg_restore"].every((name) => existsSync(join(path, name)))
  )

/** Runs one of these, as this user or another. */
const run = (name: string, args: ReadonlyArray<string>, uid?: number): void => {
  execFileSync(join(programs ?? "", name), [...args], {
    cwd: "/",
    stdio: "ignore",
    ...(uid === undefined ? {} : { uid, gid: uid })
  })
}

/** A PostgreSQL of these programs until the file ends: the URL of a database in it, that of the superuser. */
const startPostgres = async (): Promise<(database: string, role: string) => string> => {
  const made = await folder()
  const uid = process.getuid?.() === 0 ? Number(execFileSync("id", ["-u", "postgres"])) : undefined
  if (uid !== undefined) await chown(made, uid, uid)
  const data = join(made, "data")
  run("initdb", ["-D", data, "-U", "postgres", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync"], uid)
  const settings = `-k ${made} -c listen_addresses='' -c fsync=off`
  run("pg_ctl", ["-D", data, "-o", settings, "-l", join(made, "log"), "-w", "start"], uid)
  finallyDo(() => run("pg_ctl", ["-D", data, "-m", "immediate", "-w", "stop"], uid))
  return (database, role) => `postgresql:///${database}?host=${encodeURIComponent(made)}&user=${role}&sslmode=disable`
}

describe.skipIf(programs === undefined)("pg_dump (skipped where no PostgreSQL 15 or newer is installed)", () => {
  it("restores into an empty database, and subscribers resume", async () => {
    const url = await startPostgres()
    const made = await folder()
    const channels = join(made, "channels.yaml")
    await writeFile(channels, "channels: { mychannel: [MyOrg1MSP, MyOrg2MSP] }\n")
    const on = (database: string) =>
      serve({ ORCHESTRATOR_DATABASE_URL: url(database, "orchestrator"), ORCHESTRATOR_CHANNEL_CONFIG: channels })
    const admin = url("postgres", "postgres")
    await execute(admin, "CREATE ROLE orchestrator LOGIN", "CREATE DATABASE orchestrator OWNER orchestrator")

    const first = await on("orchestrator")
    const before = await work(first)
    const file = join(made, "orchestrator.dump")
    // While it serves; what comes after is not in it.
    run("pg_dump", [...dumpOptions, `--file=${file}`, url("orchestrator", "orchestrator")])
    await Drive.aPlan((await first.organizations())[0])
    await first.stop()

    await execute(admin, "CREATE DATABASE restored OWNER orchestrator")
    run("pg_restore", [...restoreOptions, `--dbname=${url("restored", "orchestrator")}`, file])
    const second = await on("restored")
    await expectResumed(second, before)
    await second.stop()
  })

  it("is called as docs/operations.md says", () => {
    const docs = read(root, "docs/operations.md").replaceAll(/\\\n\s*/g, "")
    expect(docs).toContain(`pg_dump ${dumpOptions.join(" ")} `)
    expect(docs).toContain(`pg_restore ${restoreOptions.join(" ")} `)
  })
})
