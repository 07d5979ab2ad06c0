/** One server of several processes on one port: what clients and operators see is one server. */
import { createServer } from "node:net"
import { beforeAll, describe, expect, it, vi } from "vitest"
import { isAlive } from "../../src/layers/embedded/Postmaster.ts"
import * as Build from "../blackbox/Builders.ts"
import type { Client } from "../blackbox/Client.ts"
import * as Metrics from "./Metrics.ts"
import * as Program from "./Program.ts"
import * as Session from "./Session.ts"

interface LogLine {
  readonly message: string
  readonly level: string
  readonly annotations: { readonly worker?: number; readonly method?: string }
}

const logOf = (server: Program.Program): ReadonlyArray<LogLine> =>
  server
    .output()
    .split("\n")
    .flatMap((line) => (line.startsWith("{") ? [JSON.parse(line) as LogLine] : []))

/** The processes that serve, or did, in the order in which they began to. */
const workersOf = (server: Program.Program): ReadonlyArray<number> =>
  logOf(server).flatMap(({ message }) => {
    const pid = /^process (\d+) serves$/.exec(message)?.[1]
    return pid === undefined ? [] : [Number(pid)]
  })

/** Which of the workers answered, of calls of this rpc. */
const answeredBy = (server: Program.Program, rpc: string): ReadonlySet<number | undefined> =>
  new Set(
    logOf(server)
      .filter(({ annotations }) => annotations.method?.endsWith(`/${rpc}`))
      .map(({ annotations }) => annotations.worker)
  )

const metricsOf = async (server: Program.Server): Promise<Metrics.Exposition> =>
  Metrics.parse(await (await fetch(`${server.http}/metrics`)).text())

const handled = async (server: Program.Server, method: string): Promise<number> =>
  Metrics.sum(await metricsOf(server), "grpc_server_handled_total", { grpc_method: method })

/** More connections than workers, which are given them in turn. */
const connections = (server: Program.Server): ReadonlyArray<Client> => [1, 2, 3, 4].map(() => server.client())

const two = { ORCHESTRATOR_WORKERS: "2", METRICS_ENABLED: "true" }

describe("a server of two workers", () => {
  let database: Program.Database
  let server: Program.Server
  let clients: ReadonlyArray<Client>
  beforeAll(async () => {
    database = await Program.database()
    server = await Program.serve({ ...(await Program.envOf(database)), ...two })
    clients = connections(server)
  })

  it("answers from both, on one port, and counts their calls together", async () => {
    for (const client of clients) for (const _ of [1, 2]) await client.registerPlan(Build.newPlan())
    expect(answeredBy(server, "RegisterPlan")).toEqual(new Set([1, 2]))
    expect(await handled(server, "RegisterPlan")).toBe(8)
    const metrics = await metricsOf(server)
    expect(Metrics.sum(metrics, "orc_workers")).toBe(2)
    expect(Metrics.sum(metrics, "orc_build_info")).toBe(1)
    expect((await fetch(`${server.http}/readyz`)).status).toBe(200)
  })

  it("sends the events of calls on either to every subscriber, in one order", async () => {
    const feeds = clients.map((client) => client.subscribeToEvents())
    await Promise.all(feeds.map(({ headers }) => headers))
    const subscribers = async () => Metrics.sum(await metricsOf(server), "orc_event_subscribers")
    await vi.waitFor(async () => expect(await subscribers()).toBe(4), { timeout: 20_000 })
    await Promise.all(clients.flatMap((client) => [1, 2].map(() => client.registerPlan(Build.newPlan()))))
    const [first, ...others] = await Promise.all(feeds.map((feed) => feed.take(8)))
    for (const other of others) expect(other).toEqual(first)
    for (const feed of feeds) await feed[Symbol.asyncDispose]()
  })

  it("replaces one that is killed: the other serves on, and what was counted stays counted", async () => {
    const before = await handled(server, "RegisterPlan")
    const [killed = 0] = workersOf(server)
    process.kill(killed, "SIGKILL")
    await vi.waitFor(() => expect(workersOf(server)).toHaveLength(3), { timeout: 60_000 })
    expect(logOf(server)).toContainEqual(
      expect.objectContaining({
        level: "ERROR",
        message: `process ${killed} ended by SIGKILL; another takes its place`
      })
    )
    expect(await handled(server, "RegisterPlan")).toBe(before)
    for (const client of connections(server)) await client.registerPlan(Build.newPlan())
    expect(await handled(server, "RegisterPlan")).toBe(before + 4)
    const metrics = await metricsOf(server)
    expect(Metrics.sum(metrics, "orc_worker_restarts_total")).toBe(1)
    expect(Metrics.sum(metrics, "orc_workers")).toBe(2)
    const killedOne = logOf(server).find(({ level }) => level === "ERROR")?.annotations.worker
    expect(
      logOf(server)
        .filter(({ message }) => message.endsWith("serves"))
        .at(-1)?.annotations.worker
    ).toBe(killedOne)
  })

  it("is told once to end: streams end, the running call ends in order, and so do all processes", async () => {
    const [one, other] = connections(server) as [Client, Client]
    const plan = await one.registerPlan(Build.newPlan())
    const feeds = connections(server).map((client) => client.subscribeToEvents())
    await Promise.all(feeds.map(({ headers }) => headers))
    await using session = await Session.open(database.url)
    await Session.lockPlan(session, plan.key)
    const call = other.updatePlan({ key: plan.key, name: "ended in order" })
    await Session.waiters(session)
    const workers = workersOf(server).filter(isAlive)
    expect(workers).toHaveLength(2)
    // As a terminal does it: to every process of the group.
    for (const pid of [...workers, server.process.pid as number]) process.kill(pid, "SIGINT")
    const ends = await Promise.all(feeds.map(({ ended }) => ended))
    expect(ends.map(({ code }) => code)).toEqual(Array(4).fill("UNAVAILABLE"))
    await session.query("ROLLBACK")
    expect(await call).toBeDefined()
    expect(await server.exited).toMatchObject({ code: 0, stderr: "" })
    expect(workers.filter(isAlive)).toEqual([])
  })
})

it("a server that is killed leaves no worker behind, and one that is told to end twice ends at once", async () => {
  const database = await Program.database()
  const env = { ...(await Program.envOf(database)), ...two }
  const [killed, hurried] = await Promise.all([Program.serve(env), Program.serve(env)])
  await using session = await Session.open(database.url)
  const client = hurried.client()
  const plan = await client.registerPlan(Build.newPlan())
  await Session.lockPlan(session, plan.key)
  const call = client.updatePlan({ key: plan.key, name: "never" }).then(
    () => "OK",
    ({ code }) => code
  )
  await Session.waiters(session)
  killed.process.kill("SIGKILL")
  hurried.process.kill("SIGTERM")
  hurried.process.kill("SIGINT")
  await Promise.all([killed.exited, hurried.exited])
  // Which code, the client makes of how the connection broke.
  expect(await call).not.toBe("OK")
  const workers = [...workersOf(killed), ...workersOf(hurried)]
  expect(workers).toHaveLength(4)
  await vi.waitFor(() => expect(workers.filter(isAlive)).toEqual([]), { timeout: 20_000 })
})

describe("a server of two workers does not start", () => {
  it("on a port that somebody has, and says so once", async () => {
    const taken = createServer().listen(0, "127.0.0.1")
    await new Promise((done) => taken.once("listening", done))
    const { port } = taken.address() as { readonly port: number }
    const env = { ...(await Program.envOf(await Program.database())), ...Program.freePorts, ...two }
    const { code, stderr } = await Program.run({ ...env, ORCHESTRATOR_GRPC_PORT: String(port) }).exited
    taken.close()
    expect(code).toBe(1)
    expect(stderr.match(/cannot listen on/g)).toHaveLength(1)
    expect(stderr).toContain(`127.0.0.1:${port} for gRPC`)
    expect(stderr).toContain("ORCHESTRATOR_GRPC_PORT")
  })

  it("in memory, which would be another's for each", async () => {
    const { code, stderr } = await Program.run({ ...Program.freePorts, ...two }, "serve", "--memory").exited
    expect(code).toBe(1)
    expect(stderr).toMatch(/leave out ORCHESTRATOR_WORKERS/)
  })
})
