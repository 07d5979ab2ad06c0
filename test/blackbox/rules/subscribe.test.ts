/** SubscribeToEvents: from the beginning or from an event, then live; one order for everyone. */
import { describe, expect, it } from "vitest"
import type { Event } from "../../../src/layers/wire/generated/event.ts"
import * as Build from "../Builders.ts"
import type { Client } from "../Client.ts"
import * as Drive from "../Drivers.ts"
import * as Recording from "../Recording.ts"
import { failure, refused } from "../Refusals.ts"
import { startServer } from "../Server.ts"

const { client, elsewhere, one, two } = await startServer()

const ids = (events: ReadonlyArray<Event>) => events.map(({ id }) => id)
const micros = ({ timestamp }: Event) =>
  (timestamp?.seconds ?? 0n) * 1_000_000n + BigInt((timestamp?.nanos ?? 0) / 1000)

/** All events of the channel, by pages. */
const allEvents = async (reader: Client): Promise<Array<Event>> => {
  const events: Array<Event> = []
  for (let pageToken = "", more = true; more; more = pageToken !== "") {
    const page = await reader.queryEvents({ pageToken, pageSize: 1000 })
    events.push(...page.events)
    pageToken = page.nextPageToken
  }
  return events
}

describe("a subscription", () => {
  it("stands when its headers come, before there is any event", async () => {
    await using stream = one.subscribeToEvents({ startEventId: await Recording.mark(one) })
    await stream.headers
    const next = await Recording.mark(two)
    expect((await stream.next()).id).toBe(next)
  })

  it("from the beginning gives all events of the channel, as QueryEvents does", async () => {
    await Drive.aTaskIn(one, "STATUS_DONE")
    const end = await Recording.mark(one)
    await using stream = two.subscribeToEvents()
    const events = await stream.until(({ id }) => id === end)
    const queried = await allEvents(one)
    expect(events).toEqual(queried.slice(0, ids(queried).indexOf(end)))
    expect(new Set(ids(events)).size).toBe(events.length)
    expect(events.map(({ channel }) => channel)).toEqual(events.map(() => "mychannel"))
  })

  it("goes on live after what it replayed", async () => {
    const start = await Recording.mark(one)
    const plan = await Drive.aPlan(one)
    await using stream = one.subscribeToEvents({ startEventId: start })
    expect((await stream.next()).assetKey).toBe(plan.key)
    const later = await Drive.aPlan(two)
    expect((await stream.next()).asset?.value).toEqual(later)
    await two.updatePlan({ key: later.key, name: "renamed" })
    expect((await stream.next()).asset?.value).toEqual({ ...later, name: "renamed" })
  })

  it("from each event gives exactly what follows it", async () => {
    const start = await Recording.mark(one)
    await Drive.aTaskIn(one, "STATUS_DONE")
    const end = await Recording.mark(one)
    const events = await Recording.between(one, start, end)
    for (const [index, { id }] of events.entries()) {
      expect(await Recording.between(one, id.toUpperCase(), end)).toEqual(events.slice(index + 1))
    }
  })

  it("gets nothing of another channel", async () => {
    const start = await Recording.mark(one)
    await Drive.aTaskIn(elsewhere, "STATUS_DONE")
    expect(await Recording.between(one, start, await Recording.mark(one))).toEqual([])
  })

  it("gets nothing of a call that failed", async () => {
    const events = await Recording.recorded(one, async () => {
      const key = Build.newKey()
      await failure(one.registerDataSamples({ samples: [Build.newDataSample([], key), Build.newDataSample([], key)] }))
    })
    expect(events).toEqual([])
  })

  it("is refused after an unknown event, or one of another channel", async () => {
    for (const startEventId of [Build.newKey(), await Recording.mark(elsewhere)]) {
      await refused(one.subscribeToEvents({ startEventId }), "OE0002")
    }
  })

  it.each(["x", "not-a-uuid", `{${Build.newKey()}}`, "0"])(
    "is refused after %j, which is no id",
    async (startEventId) => {
      await refused(one.subscribeToEvents({ startEventId }), "OE0101")
    }
  )

  it("that its client leaves takes nothing from others", async () => {
    const start = await Recording.mark(one)
    await using staying = one.subscribeToEvents({ startEventId: start })
    const leaving = one.subscribeToEvents({ startEventId: start })
    await Promise.all([staying.headers, leaving.headers])
    leaving.cancel()
    expect((await leaving.ended).code).toBe("CANCELLED")
    const next = await Recording.mark(two)
    expect((await staying.next()).id).toBe(next)
  })

  it("past its client's deadline ends with DEADLINE_EXCEEDED", async () => {
    const stream = one.subscribeToEvents({ startEventId: await Recording.mark(one) }, { timeout: 100 })
    expect((await failure(stream)).code).toBe("DEADLINE_EXCEEDED")
  })
})

describe("while many write at once", async () => {
  const writers = [one, two, one, two, one, two]
  const fn = await Drive.aFunction(one)

  /** Batches of tasks, all of one transaction, and what follows from single actions. */
  const write = async (writer: Client) => {
    const plan = await Drive.aPlan(writer)
    for (let n = 0; n < 5; n++) {
      const [parent, ...children] = Array.from({ length: 5 }, () => Build.newTask(fn, plan, { worker: writer.id }))
      const root = parent as Build.Keyed
      const inputs = [Build.from("models", root)]
      await Drive.register(writer, parent as never, ...children.map((child) => ({ ...child, inputs })))
      await Drive.act(writer, root, "EXECUTING", "DONE")
    }
  }

  it("every subscriber, from whenever, sees one order, nothing twice, and no time that goes back", async () => {
    const start = await Recording.mark(one)
    const live = [client("MyOrg1MSP", "mychannel"), client("MyOrg2MSP", "mychannel")].map((reader) =>
      reader.subscribeToEvents({ startEventId: start })
    )
    await Promise.all(live.map((stream) => stream.headers))
    const late: Array<ReturnType<Client["subscribeToEvents"]>> = []
    await Promise.all(
      writers.map(async (writer) => {
        await write(writer)
        late.push(writer.subscribeToEvents({ startEventId: start }))
      })
    )
    const end = await Recording.mark(one)
    const [seen, ...others] = await Promise.all(
      [...live, ...late].map((stream) => stream.until(({ id }) => id === end))
    )
    for (const stream of [...live, ...late]) stream.cancel()
    const events = seen ?? []
    for (const other of others) expect(ids(other)).toEqual(ids(events))
    const queried = await allEvents(one)
    const from = ids(queried).indexOf(start) + 1
    expect(events).toEqual(queried.slice(from, ids(queried).indexOf(end)))
    expect(new Set(ids(events)).size).toBe(events.length)
    expect(events).toHaveLength(writers.length * (1 + 5 * (5 + 1 + 5)))
    const times = events.map(micros)
    expect(times).toEqual(times.toSorted((a, b) => Number(a - b)))
  })

  /** What tells the call that an event is of, where a call makes several. */
  const callOf = ({ asset, assetKey, eventKind, id, metadata }: Event): string => {
    if (asset?.$case !== "computeTask") return id
    const { computePlanKey, creationDate, status } = asset.value
    if (eventKind === "EVENT_ASSET_CREATED") return `${computePlanKey} ${creationDate?.seconds} ${creationDate?.nanos}`
    const freedBy = /^Last parent task (.*) done$/.exec(metadata.get("reason") ?? "")?.[1]
    return status === "STATUS_DONE" ? `done ${assetKey}` : freedBy === undefined ? id : `done ${freedBy}`
  }

  it("the events of one call stay together", async () => {
    const events = await Recording.recorded(one, () => Promise.all(writers.map(write)))
    const calls = events.map(callOf).filter((call, index, all) => call !== all[index - 1])
    expect(calls).toHaveLength(writers.length * (1 + 5 * 3))
    expect(new Set(calls).size).toBe(calls.length)
  })

  it("a subscriber that reads nothing delays nobody", async () => {
    const start = await Recording.mark(one)
    await using idle = client("MyOrg1MSP", "mychannel").subscribeToEvents()
    await idle.headers
    await write(one)
    expect(await Recording.between(two, start, await Recording.mark(two))).toHaveLength(1 + 5 * 11)
  })
})
