/** How much runs at once: for one organization, for the server, and when the event loop does not come to more. */
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Latch from "effect/Latch"
import { describe, expect, it, vi } from "vitest"
import type { OrganizationId } from "../../src/schema/Key.ts"
import { Admission, type Limits } from "../../src/server/Admission.ts"
import { EventLoopDelay } from "../../src/server/EventLoopDelay.ts"
import * as Drive from "../blackbox/Drivers.ts"
import { failure } from "../blackbox/Refusals.ts"
import { startServer } from "../blackbox/Server.ts"
import * as Metrics from "./Metrics.ts"
import * as Program from "./Program.ts"
import * as Session from "./Session.ts"

const one = "MyOrg1MSP" as OrganizationId
const two = "MyOrg2MSP" as OrganizationId
const three = "MyOrg3MSP" as OrganizationId

describe("admission", () => {
  const limits: Limits = { calls: 4, callsPerOrganization: 2, waitingPerOrganization: 3, streamsPerOrganization: 2 }

  /** Calls that run until they are told to end, and the order in which they began. */
  const make = (chosen: Partial<Limits> = {}) => {
    const admission = new Admission({ ...limits, ...chosen }, Context.empty())
    const begun: Array<string> = []
    const call = (organization: OrganizationId, name: string) => {
      const end = Latch.makeUnsafe(false)
      const body = Effect.andThen(
        Effect.sync(() => begun.push(name)),
        end.await
      )
      const fiber = Effect.runFork(admission.call(organization, body))
      return {
        end: async () => {
          await Effect.runPromise(end.open)
          await Effect.runPromise(Fiber.await(fiber))
        },
        cancel: () => Effect.runPromise(Fiber.interrupt(fiber)),
        refusal: () => Effect.runPromise(Effect.flip(Fiber.join(fiber)))
      }
    }
    return { admission, begun, call }
  }

  it("lets so many calls of an organization run, the next ones in the order in which they came", async () => {
    const { begun, call } = make()
    const calls = ["a", "b", "c", "d"].map((name) => call(one, name))
    expect(begun).toEqual(["a", "b"])
    await calls[1]?.end()
    expect(begun).toEqual(["a", "b", "c"])
    await calls[0]?.end()
    expect(begun).toEqual(["a", "b", "c", "d"])
  })

  it("refuses what finds the line of its organization full, and names the limit", async () => {
    const { call } = make()
    for (const name of ["a", "b", "c", "d", "e"]) call(one, name)
    const { _tag, message } = await call(one, "f").refusal()
    expect([_tag, message]).toEqual(["Unavailable", expect.stringContaining("ORCHESTRATOR_MAX_CALLS_PER_ORGANIZATION")])
  })

  it("holds up no other organization for one that floods", () => {
    const { begun, call } = make()
    for (let index = 0; index < 5; index++) call(one, "flood")
    call(two, "other")
    expect(begun).toEqual(["flood", "flood", "other"])
  })

  it("takes organizations in turn when the server has as many calls as it may", async () => {
    const { begun, call } = make({ calls: 2, callsPerOrganization: 2 })
    const [first, second] = [call(one, "a1"), call(one, "a2")]
    for (const name of ["a3", "a4"]) call(one, name)
    call(two, "b1")
    call(three, "c1")
    await first?.end()
    await second?.end()
    expect(begun).toEqual(["a1", "a2", "a3", "b1"])
  })

  it("names the server's limit where that is what is reached", async () => {
    const { call } = make({ calls: 1, waitingPerOrganization: 0 })
    call(one, "a")
    expect((await call(two, "b").refusal()).message).toMatch(
      /^1 calls run at once on this server \(ORCHESTRATOR_MAX_CALLS\)/
    )
  })

  it("gives back the place of a call that is cancelled, running or waiting", async () => {
    const { begun, call } = make({ calls: 1, callsPerOrganization: 1 })
    const [running, waiting] = [call(one, "a"), call(one, "b")]
    call(one, "c")
    await waiting.cancel()
    await running.cancel()
    expect(begun).toEqual(["a", "c"])
  })

  it("counts the streams of an organization until they end", async () => {
    const { admission } = make()
    const open = (organization: OrganizationId) =>
      Effect.runFork(Effect.scoped(Effect.andThen(admission.stream(organization), Effect.never)))
    const [first] = [open(one), open(one)]
    const refused = () => Effect.runPromise(Effect.exit(Effect.scoped(admission.stream(one))))
    expect(await refused()).toMatchObject({ _tag: "Failure" })
    expect(await Effect.runPromise(Effect.exit(Effect.scoped(admission.stream(two))))).toMatchObject({
      _tag: "Success"
    })
    await Effect.runPromise(Fiber.interrupt(first as Fiber.Fiber<never, unknown>))
    expect(await refused()).toMatchObject({ _tag: "Success" })
  })
})

describe("the event loop", () => {
  it("is overloaded when it was late each of the last times, not when it was late once", () => {
    const delay = new EventLoopDelay(Duration.millis(100))
    const foundAfter = (...late: ReadonlyArray<number>) => {
      for (const one of late) delay.found(one)
      return delay.isOverloaded
    }
    expect(foundAfter(5000)).toBe(false)
    expect(foundAfter(101, 101)).toBe(false)
    expect(foundAfter(101)).toBe(true)
    expect(foundAfter(99)).toBe(false)
    expect(foundAfter(101, 101, 101)).toBe(false)
    expect(foundAfter(101)).toBe(true)
  })
})

describe("a server with narrow limits", async () => {
  const database = await Program.database()
  const server = await Program.serve({
    ...(await Program.envOf(database)),
    METRICS_ENABLED: "true",
    ORCHESTRATOR_MAX_CALLS_PER_ORGANIZATION: "2",
    ORCHESTRATOR_MAX_WAITING_CALLS_PER_ORGANIZATION: "2",
    ORCHESTRATOR_MAX_STREAMS_PER_ORGANIZATION: "2"
  })
  const client = server.client()
  const other = server.client("MyOrg2MSP")
  const refusals = async () => {
    const text = await (await fetch(`${server.http}/metrics`)).text()
    return Metrics.by(Metrics.parse(text), "orc_calls_refused_total", "limit")
  }

  it("lets calls of an organization wait, refuses those beyond, and serves the others", async () => {
    await client.registerOrganization()
    const plan = await Drive.aPlan(client)
    await using session = await Session.open(database.url)
    await Session.lockPlan(session, plan.key)
    const calls = Array.from({ length: 5 }, () => client.updatePlan({ key: plan.key, name: "renamed" }))
    const refused = await failure(Promise.race(calls))
    expect([refused.code, refused.details]).toEqual([
      "UNAVAILABLE",
      expect.stringMatching(
        /^2 calls of one organization run at once .*ORCHESTRATOR_MAX_CALLS_PER_ORGANIZATION.*later$/
      )
    ])
    await Session.waiters(session)
    expect((await other.queryVersion()).orchestrator).not.toBe("")
    await session.query("ROLLBACK")
    const outcomes = await Promise.allSettled(calls)
    expect(outcomes.filter(({ status }) => status === "fulfilled")).toHaveLength(4)
    expect(await refusals()).toEqual({ organization_calls: 1 })
  })

  it("refuses streams beyond those that an organization may have, until one ends", async () => {
    const streams = [client.subscribeToEvents(), client.subscribeToEvents()]
    await Promise.all(streams.map(({ headers }) => headers))
    const refused = await failure(client.subscribeToEvents())
    expect([refused.code, refused.details]).toEqual([
      "UNAVAILABLE",
      expect.stringMatching(/has 2 event streams .*ORCHESTRATOR_MAX_STREAMS_PER_ORGANIZATION/)
    ])
    await using elsewhere = other.subscribeToEvents()
    await elsewhere.headers
    await streams[0]?.[Symbol.asyncDispose]()
    await vi.waitFor(async () => {
      await using again = client.subscribeToEvents()
      await again.headers
    })
    expect(await refusals()).toMatchObject({ organization_streams: expect.any(Number) })
  })
})

it("the limits that come by themselves refuse none of eight backends' 32 workers each", async () => {
  const server = await Program.serve(await Program.envOf(await Program.database()))
  const client = server.client()
  await client.registerOrganization()
  const plans = await Promise.all(Array.from({ length: 8 * 32 }, () => Drive.aPlan(client)))
  expect(new Set(plans.map(({ key }) => key)).size).toBe(256)
})

describe("a server whose event loop is late", async () => {
  const server = await startServer({ organizations: false, env: { ORCHESTRATOR_MAX_EVENT_LOOP_DELAY: "20ms" } })
  // A machine that has other things to do makes it late too.
  const patiently = <A>(call: () => Promise<A>) => vi.waitFor(call, { timeout: 20_000 })
  await patiently(() => server.one.registerOrganization())

  /** Leaves the event loop of this process, the server's too, hardly any time. */
  const keepBusy = () => {
    const timer = setInterval(() => {
      const end = performance.now() + 80
      while (performance.now() < end);
    }, 1)
    return { [Symbol.dispose]: () => clearInterval(timer) }
  }

  it("refuses new unary calls, answers health, goes on with its streams, and recovers", async () => {
    await using stream = server.two.subscribeToEvents()
    await stream.headers
    const busy = keepBusy()
    const refused = await vi.waitFor(() => failure(server.one.queryVersion()), { timeout: 10_000, interval: 1 })
    expect([refused.code, refused.details]).toEqual([
      "UNAVAILABLE",
      expect.stringContaining("ORCHESTRATOR_MAX_EVENT_LOOP_DELAY")
    ])
    const health = await server.one.bytes("/grpc.health.v1.Health/Check", Buffer.of())
    expect([...health.message]).toEqual([8, 1])
    await stream.next()
    busy[Symbol.dispose]()
    await patiently(() => server.one.queryVersion())
  })
})
