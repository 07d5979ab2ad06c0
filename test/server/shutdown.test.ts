/** How a server ends: what runs may end, what streams is told, nothing stays behind. */
import { once } from "node:events"
import * as fs from "node:fs/promises"
import * as net from "node:net"
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from "vitest"
import { layout } from "../../src/layers/embedded/DataDir.ts"
import { isAlive } from "../../src/layers/embedded/Postmaster.ts"
import * as Build from "../blackbox/Builders.ts"
import type { Client } from "../blackbox/Client.ts"
import * as Program from "./Program.ts"
import * as Session from "./Session.ts"

const watchHealth = (client: Client) => client.byteStream("/grpc.health.v1.Health/Watch", new Uint8Array())
/** As HealthCheckResponse writes them: SERVING is 1, NOT_SERVING 2. */
const serving = Buffer.from([8, 1])
const notServing = Buffer.from([8, 2])

/** What /readyz answers; refused once the port is closed. */
const readiness = (server: Program.Server): Promise<number | "refused"> =>
  fetch(`${server.http}/readyz`).then(
    ({ status }) => status,
    () => "refused" as const
  )

interface Prepared {
  readonly client: Client
  readonly plan: string
}

/** A plan, and the client of its owner. */
const prepared = async (server: Program.Server): Promise<Prepared> => {
  const client = server.client()
  return { client, plan: (await client.registerPlan(Build.newPlan())).key }
}

interface Waiting {
  readonly outcome: Promise<string>
}

/** A call that waits for its plan, which the session has locked. */
const waitingUpdate = async (session: Session.Session, { client, plan }: Prepared): Promise<Waiting> => {
  await Session.lockPlan(session, plan)
  const outcome = client.updatePlan({ key: plan, name: "ended in order" }).then(
    () => "OK",
    ({ code }) => code
  )
  await Session.waiters(session)
  return { outcome }
}

describe.each(["SIGTERM", "SIGINT"] as const)("%s", (signal) => {
  let server: Program.Server
  let other: Program.Server
  let session: Session.Session
  beforeAll(async () => {
    const database = await Program.database()
    const env = await Program.envOf(database)
    ;[server, other] = await Promise.all([Program.serve(env), Program.serve(env)])
    session = await Session.open(database.url)
  })
  afterAll(() => session[Symbol.asyncDispose]())

  it("ends streams at once, lets the running call end, and leaves the other server on the database alone", async () => {
    const { client, plan } = await prepared(server)
    await using watcher = other.client().subscribeToEvents()
    const feeds = [client, client, server.client("MyOrg1MSP", "yourchannel")].map((each) => each.subscribeToEvents())
    await Promise.all([watcher, ...feeds].map(({ headers }) => headers))
    const health = watchHealth(client)
    expect([await health.next(), await readiness(server)]).toEqual([serving, 200])
    const call = await waitingUpdate(session, { client, plan })

    server.process.kill(signal)
    expect(await health.next()).toEqual(notServing)
    expect([503, "refused"]).toContain(await readiness(server))
    const ends = await Promise.all([health, ...feeds].map(({ ended }) => ended))
    expect(ends.map(({ code }) => code)).toEqual(Array(4).fill("UNAVAILABLE"))
    await expect(server.client().getPlan({ key: plan })).rejects.toMatchObject({ code: "UNAVAILABLE" })
    await session.query("ROLLBACK")
    expect(await call.outcome).toBe("OK")
    const exit = await server.exited
    expect(exit).toMatchObject({ code: 0, stderr: "" })
    expect(exit.stdout).toContain("shutting down; calls that run: 1, event streams: 3")
    expect(exit.stdout.trimEnd().split("\n").at(-1)).toContain("stopped")

    expect([await readiness(server), await readiness(other)]).toEqual(["refused", 200])
    expect(await other.client().getPlan({ key: plan })).toMatchObject({ name: "ended in order" })
    const [created, updated] = await watcher.take(2)
    expect([created?.eventKind, updated?.eventKind]).toEqual(["EVENT_ASSET_CREATED", "EVENT_ASSET_UPDATED"])
  })
})

describe("a server with a PostgreSQL of its own", () => {
  let dataDir = ""
  let server: Program.Server
  let postgres: number | undefined
  let session: Session.Session
  beforeAll(async () => {
    dataDir = await Program.dataFolder()
  })
  beforeEach(async () => {
    server = await Program.serve({ ORCHESTRATOR_DATA_DIR: dataDir, ORCHESTRATOR_DRAIN_TIMEOUT: "200ms" })
    postgres = Program.postgresOf(dataDir)
    const socket = encodeURIComponent(layout(dataDir).cluster)
    session = await Session.open(`postgresql:///orchestrator?host=${socket}&user=orchestrator&sslmode=disable`)
  })
  afterEach(() => session[Symbol.asyncDispose]())

  it("ends both, also when a call does not end in time", async () => {
    expect(postgres).toBeGreaterThan(0)
    const call = await waitingUpdate(session, await prepared(server))
    expect(await server.stop()).toMatchObject({ code: 0, stderr: "" })
    expect(["UNAVAILABLE", "CANCELLED"]).toContain(await call.outcome)
    expect(Program.postgresOf(dataDir)).toBeUndefined()
    expect(isAlive(postgres as number)).toBe(false)
  })

  it("asks the client of such a call to call again", async () => {
    const call = await waitingUpdate(session, await prepared(server))
    await server.stop()
    expect(await call.outcome).toBe("UNAVAILABLE")
  })
})

it("half a request on the HTTP port holds no server up", async () => {
  const server = await Program.serve(await Program.envOf(await Program.database()))
  const port = Number(new URL(server.http).port)
  const silent = net.connect(port, "127.0.0.1")
  const half = net.connect(port, "127.0.0.1")
  await Promise.all([once(silent, "connect"), once(half, "connect")])
  await new Promise<void>((resolve) => half.write("GET /metrics HTTP/1.1\r\n", () => resolve()))
  expect(await readiness(server)).toBe(200)
  expect((await server.stop("SIGTERM")).code).toBe(0)
  silent.destroy()
  half.destroy()
}, 15_000)

it("a second signal ends the server at once, and what runs has no effect", async () => {
  const database = await Program.database()
  const server = await Program.serve(await Program.envOf(database))
  await using session = await Session.open(database.url)
  const { client, plan } = await prepared(server)
  const health = watchHealth(client)
  await health.next()
  const call = await waitingUpdate(session, { client, plan })
  server.process.kill("SIGTERM")
  expect(await health.next()).toEqual(notServing)
  server.process.kill("SIGTERM")
  expect((await server.exited).code).toBe(1)
  expect(await call.outcome).not.toBe("OK")
  await session.query("ROLLBACK")
  expect(await session.query(`SELECT name FROM orchestrator.compute_plans WHERE key = '${plan}'`)).toEqual([
    { name: "plan" }
  ])
})

describe("a start that is stopped", () => {
  it("while another server migrates the database ends at once", async () => {
    const database = await Program.emptyDatabase()
    await using session = await Session.open(database.url)
    await session.query("SELECT pg_advisory_lock(1869767528 + 1, 0)")
    const starting = Program.run({ ...Program.freePorts, ...(await Program.envOf(database)) })
    await Session.waiters(session)
    starting.process.kill("SIGTERM")
    expect(await starting.exited).toEqual({ code: 0, stdout: "", stderr: "" })
  })

  it("while it makes its first cluster leaves nothing of it", async () => {
    const dataDir = await Program.dataFolder()
    const starting = Program.run({ ...Program.freePorts, ORCHESTRATOR_DATA_DIR: dataDir })
    const names = () => fs.readdir(dataDir)
    await vi.waitFor(async () => expect((await names()).join()).toContain("pgdata"), { timeout: 20_000, interval: 5 })
    starting.process.kill("SIGTERM")
    expect(await starting.exited).toEqual({ code: 0, stdout: "", stderr: "" })
    expect(await names()).toEqual(["lock"])
  })
})

it("a server whose log nobody reads any more serves on", async () => {
  const server = await Program.serve(await Program.envOf(await Program.database()))
  server.process.stdout?.destroy()
  const { client, plan } = await prepared(server)
  for (let call = 0; call < 3; call++) expect(await client.getPlan({ key: plan })).toMatchObject({ key: plan })
  expect((await server.stop()).code).toBe(0)
})
