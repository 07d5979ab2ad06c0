/** The HTTP port: whether the server lives and serves, and its metrics. */
import { beforeAll, describe, expect, it, vi } from "vitest"
import * as Build from "../blackbox/Builders.ts"
import * as Drive from "../blackbox/Drivers.ts"
import { failure } from "../blackbox/Refusals.ts"
import { execute } from "../support/database.ts"
import * as Metrics from "./Metrics.ts"
import * as Program from "./Program.ts"

const serving = async (metrics: "true" | "false") =>
  Program.serve({ ...(await Program.envOf(await Program.database())), METRICS_ENABLED: metrics })
const [server, measured] = await Promise.all([serving("false"), serving("true")])
const get = async (path: string) => {
  const answer = await fetch(`${server.http}${path}`)
  return [answer.status, await answer.text()]
}

describe("the HTTP port", () => {
  it.each(["/healthz", "/readyz"])("answers 200 on %s", async (path) => {
    expect(await get(path)).toEqual([200, "ok\n"])
    expect(await get(`${path}?verbose=1`)).toEqual([200, "ok\n"])
    expect((await fetch(`${server.http}${path}`, { method: "HEAD" })).status).toBe(200)
  })

  it.each(["/", "/healthzz", "/..", "/%2e%2e/etc/passwd", "/%ff", "/metrics"])("answers 404 on %s", async (path) => {
    expect((await get(path))[0]).toBe(404)
  })

  it("changes nothing for other methods", async () => {
    for (const method of ["POST", "PUT", "DELETE"]) {
      expect((await fetch(`${server.http}/healthz`, { method })).status).toBeOneOf([404, 405])
    }
  })
})

describe("a server whose schema is not what it works with", async () => {
  const database = await Program.database()
  const running = await Program.serve(await Program.envOf(database))
  const readiness = async () => {
    const answer = await fetch(`${running.http}/readyz`)
    return [answer.status, await answer.text()]
  }

  it.each([
    [
      "needs a newer server",
      "INSERT INTO orchestrator.migrations (id, name, oldest_server) VALUES (1000, 'new', 999)",
      /^the database's schema 1000 needs a newer server: /
    ],
    [
      "is older",
      "DELETE FROM orchestrator.migrations WHERE id > 1",
      /^the database's schema is 1, this server needs \d+: run migrate/
    ],
    [
      "is missing",
      "DROP SCHEMA orchestrator CASCADE",
      /^the database's schema is missing: restore it from the backup, or run migrate/
    ]
  ])("is not ready where it %s, and says so", async (_, change, why) => {
    await execute(database.url, change)
    expect(await readiness()).toEqual([503, expect.stringMatching(why)])
    expect((await fetch(`${running.http}/healthz`)).status).toBe(200)
  })
})

describe("metrics", async () => {
  const one = measured.client("MyOrg1MSP")
  const elsewhere = measured.client("MyOrg1MSP", "yourchannel")
  const scrape = async () => {
    const answer = await fetch(`${measured.http}/metrics`)
    expect([answer.status, answer.headers.get("content-type")]).toEqual([200, expect.stringMatching(/^text\/plain/)])
    return Metrics.parse(await answer.text())
  }
  let found: Metrics.Exposition
  /** Events of both channels. */
  let logged = 0

  // One batch of 7, one of 1; a function that is built, a parent that ends, three calls that fail, one stream.
  beforeAll(async () => {
    await one.registerOrganization()
    await elsewhere.registerOrganization()
    const fn = await one.registerFunction(Build.newFunction())
    const plan = await Drive.aPlan(one)
    await failure(one.registerPlan(Build.newPlan({ key: plan.key })))
    await failure(one.getPlan({ key: Build.newKey() }))
    await failure(one.getPlan({ key: "x" }))
    const parent = Build.newTask(fn, plan, { worker: one.id })
    const inputs = [Build.from("models", parent)]
    const children = Array.from({ length: 6 }, () => Build.newTask(fn, plan, { worker: one.id, inputs }))
    await Drive.register(one, parent, ...children)
    await Drive.build(one, fn)
    await Drive.act(one, parent, "EXECUTING")
    await Drive.aModel(one, parent)
    await Drive.act(one, parent, "DONE")
    await Drive.aTask(elsewhere)
    const feed = one.subscribeToEvents()
    await feed.take(20)
    await feed[Symbol.asyncDispose]()
    for (const client of [one, elsewhere]) logged += (await client.queryEvents({ pageSize: 1000 })).events.length
    await vi.waitFor(async () => {
      found = await scrape()
      expect(Metrics.by(found, "grpc_server_handled_total", "grpc_code", { grpc_type: "server_stream" })).toEqual({
        Canceled: 1
      })
    }, 20_000)
  })

  it("are of the types that dashboards know", () => {
    expect(Object.fromEntries(found.types)).toMatchObject({
      orc_task_registered_total: "counter",
      orc_task_registration_batch_size: "histogram",
      orc_task_updated_total: "counter",
      orc_task_update_cascade_size: "histogram",
      orc_db_transaction_total: "counter",
      orc_event_sent_total: "counter",
      orc_event_delivered_total: "counter",
      grpc_server_started_total: "counter",
      grpc_server_handled_total: "counter",
      grpc_server_msg_received_total: "counter",
      grpc_server_msg_sent_total: "counter",
      grpc_server_handling_seconds: "histogram"
    })
  })

  it("count tasks by channel", () => {
    expect(Metrics.by(found, "orc_task_registered_total", "channel")).toEqual({ mychannel: 7, yourchannel: 1 })
    expect(Metrics.by(found, "orc_task_registration_batch_size_sum", "channel")).toEqual({
      mychannel: 7,
      yourchannel: 1
    })
    expect(Metrics.by(found, "orc_task_registration_batch_size_bucket", "le", { channel: "mychannel" })).toEqual({
      5: 0,
      10: 1,
      50: 1,
      100: 1,
      500: 1,
      1000: 1,
      5000: 1,
      10000: 1,
      "+Inf": 1
    })
  })

  it("count changes of status, and the tasks that one change moved", () => {
    const channel = "mychannel"
    expect(Metrics.by(found, "orc_task_updated_total", "status", { channel })).toEqual({
      STATUS_BUILDING: 7,
      STATUS_WAITING_FOR_PARENT_TASKS: 6,
      STATUS_WAITING_FOR_EXECUTOR_SLOT: 7,
      STATUS_EXECUTING: 1,
      STATUS_DONE: 1
    })
    expect(Metrics.by(found, "orc_task_update_cascade_size_sum", "status", { channel })).toMatchObject({
      transitionBuilding: 7,
      transitionWaitingParentTasks: 6,
      transitionWaitingExecutorSlot: 7
    })
    // The function was READY once, the parent DONE once.
    const moved = { channel, status: "transitionWaitingExecutorSlot" }
    expect(Metrics.sum(found, "orc_task_update_cascade_size_count", moved)).toBe(2)
  })

  it("count transactions by rpc and outcome", () => {
    const of = (method: string) =>
      Metrics.by(found, "orc_db_transaction_total", "outcome", { method: `/orchestrator.${method}` })
    expect(of("ComputePlanService/RegisterPlan")).toEqual({ commit: 2, rollback: 1 })
    expect(of("ComputeTaskService/RegisterTasks")).toEqual({ commit: 2 })
    const delivered = Metrics.sum(found, "orc_event_delivered_total")
    expect(delivered).toBeGreaterThanOrEqual(20)
    // All that was committed, whether somebody subscribed or not, and each delivery.
    expect(Metrics.sum(found, "orc_event_sent_total")).toBe(logged + delivered)
  })

  it("count calls as gRPC servers do, and add up", () => {
    const method = (name: string) => ({
      grpc_type: "unary",
      grpc_service: "orchestrator.ComputePlanService",
      grpc_method: name
    })
    const codes = (name: string) => Metrics.by(found, "grpc_server_handled_total", "grpc_code", method(name))
    expect(codes("RegisterPlan")).toEqual({ OK: 2, AlreadyExists: 1 })
    expect(codes("GetPlan")).toEqual({ NotFound: 1, InvalidArgument: 1 })
    const counted = (name: string) => Metrics.sum(found, `grpc_server_${name}`)
    expect(counted("handled_total")).toBe(counted("started_total"))
    expect(counted("msg_received_total")).toBe(counted("started_total"))
    expect(counted("handling_seconds_count")).toBe(counted("started_total"))
    expect(Metrics.sum(found, "grpc_server_handling_seconds_bucket", { le: "+Inf" })).toBe(counted("started_total"))
    const answers = Metrics.sum(found, "grpc_server_handled_total", { grpc_code: "OK" })
    expect(counted("msg_sent_total")).toBe(answers + Metrics.sum(found, "orc_event_delivered_total"))
  })

  it("tell the state of the process, and what it is", () => {
    const value = (name: string) => Metrics.sum(found, name)
    expect(value("nodejs_heap_size_used_bytes")).toBeGreaterThan(10 * 1024 * 1024)
    expect(value("process_resident_memory_bytes")).toBeGreaterThan(value("nodejs_heap_size_used_bytes"))
    for (const figure of ["mean", "p99", "max"]) {
      expect(value(`nodejs_eventloop_lag_${figure}_seconds`)).toBeGreaterThanOrEqual(0)
    }
    const labels = { version: expect.stringMatching(/^\d+\.\d+\.\d+/), node: process.versions.node }
    expect(found.samples.find(({ name }) => name === "orc_build_info")).toMatchObject({ labels, value: 1 })
  })

  it("count who has a connection, and who waited for one", () => {
    expect(Metrics.by(found, "orc_db_pool_in_use", "pool")).toEqual({ writers: 0, readers: expect.any(Number) })
    expect(Metrics.by(found, "orc_db_pool_waiting", "pool")).toEqual({ writers: 0, readers: expect.any(Number) })
    const transactions = Metrics.sum(found, "orc_db_transaction_total", { outcome: "commit" })
    const waits = Metrics.by(found, "orc_db_pool_wait_seconds_count", "pool")
    expect((waits.writers ?? 0) + (waits.readers ?? 0)).toBeGreaterThanOrEqual(transactions)
  })

  it("grow in their buckets", () => {
    const histograms = [...found.types].flatMap(([name, type]) => (type === "histogram" ? [name] : []))
    for (const name of histograms) {
      const buckets = Map.groupBy(
        found.samples.filter((sample) => sample.name === `${name}_bucket`),
        ({ labels: { le: _, ...labels } }) => JSON.stringify(labels)
      )
      for (const [labels, bucket] of buckets) {
        const values = bucket.map(({ value }) => value)
        expect(values).toEqual(values.toSorted((a, b) => a - b))
        expect(bucket.at(-1)).toMatchObject({
          labels: { le: "+Inf" },
          value: Metrics.sum(found, `${name}_count`, JSON.parse(labels))
        })
      }
    }
  })
})
