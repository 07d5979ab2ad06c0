/** Two servers on one database: what one does, the other's subscribers see, in one order; a stream moves between them. */
import { describe, expect, it } from "vitest"
import type { Event } from "../../../src/layers/wire/generated/event.ts"
import * as Build from "../Builders.ts"
import type { Client } from "../Client.ts"
import * as Drive from "../Drivers.ts"
import * as Recording from "../Recording.ts"
import { freshDatabase, startServer, type TestServer } from "../Server.ts"

const database = process.env.ADDR === undefined ? await freshDatabase() : undefined
const replica = (organizations = false): Promise<TestServer> =>
  startServer({ organizations, ...(database && { database }) })

const first = await replica(true)
const second = await replica()
const ids = (events: ReadonlyArray<Event>) => events.map(({ id }) => id)

describe.skipIf(database === undefined)("two servers on one database", () => {
  it("see what the other one does, at once", async () => {
    const plan = await Drive.aPlan(first.one)
    expect(await second.two.getPlan({ key: plan.key })).toEqual(plan)
    await second.one.updatePlan({ key: plan.key, name: "renamed" })
    expect((await first.two.getPlan({ key: plan.key })).name).toBe("renamed")
  })

  it("send one order to every subscriber, live or from the beginning", async () => {
    const start = await Recording.mark(first.one)
    const live = [first.one, second.one, second.two].map((reader) => reader.subscribeToEvents({ startEventId: start }))
    await Promise.all(live.map((stream) => stream.headers))
    const write = async (writer: Client) => {
      const fn = await Drive.aFunction(writer)
      for (let n = 0; n < 5; n++) {
        const parent = await Drive.aTask(writer, { fn })
        await Drive.aTask(writer, { fn, inputs: [Build.from("models", parent)] })
        await Drive.act(writer, parent, "EXECUTING", "DONE")
      }
    }
    await Promise.all([first.one, first.two, second.one, second.two].map(write))
    const end = await Recording.mark(second.one)
    const [seen, ...others] = await Promise.all(live.map((stream) => stream.until(({ id }) => id === end)))
    for (const stream of live) stream.cancel()
    const events = seen ?? []
    expect(events).toHaveLength(4 * (3 + 5 * 7))
    expect(new Set(ids(events)).size).toBe(events.length)
    for (const other of others) expect(other).toEqual(events)
    for (const reader of [first.two, second.two]) expect(await Recording.between(reader, start, end)).toEqual(events)
  })

  it("decide as one over the children of tasks that are done at once", async () => {
    const fn = await Drive.aFunction(first.one)
    for (let n = 0; n < 5; n++) {
      const [one, other] = [await Drive.aTask(first.one, { fn }), await Drive.aTask(first.one, { fn })]
      const child = await Drive.aTask(first.one, {
        fn,
        inputs: [one, other].map((parent) => Build.from("models", parent))
      })
      for (const parent of [one, other]) await Drive.act(first.one, parent, "EXECUTING")
      await Promise.all([Drive.act(first.one, one, "DONE"), Drive.act(second.one, other, "DONE")])
      expect(await Drive.statusOf(second.one, child)).toBe("STATUS_WAITING_FOR_EXECUTOR_SLOT")
    }
  })

  it("take each other's page tokens", async () => {
    for (let n = 0; n < 3; n++) await Drive.aPlan(first.one)
    const { nextPageToken, plans } = await first.one.queryPlans({ pageSize: 2 })
    const next = await second.one.queryPlans({ pageSize: 1, pageToken: nextPageToken })
    const all = (await second.one.queryPlans({ pageSize: 3 })).plans
    expect([...plans, ...next.plans]).toEqual(all)
  })
})

describe.skipIf(database === undefined)("a server that stops", () => {
  it("ends its streams with UNAVAILABLE, and they go on from another server without a gap", async () => {
    const third = await replica()
    const start = await Recording.mark(first.one)
    const stream = third.one.subscribeToEvents({ startEventId: start })
    const before = await Drive.aPlan(first.one)
    const last = await stream.next()
    expect(last.asset?.value).toEqual(before)
    await third.stop()
    expect((await stream.ended).code).toBe("UNAVAILABLE")
    const after = await Drive.aPlan(first.one)
    await using resumed = second.one.subscribeToEvents({ startEventId: last.id })
    expect((await resumed.next()).asset?.value).toEqual(after)
  })

  it("leaves all that it answered", async () => {
    const third = await replica()
    const plans = await Promise.all(Array.from({ length: 20 }, () => Drive.aPlan(third.one)))
    await third.stop()
    for (const plan of plans) expect(await first.one.getPlan({ key: plan.key })).toEqual(plan)
  })
})
