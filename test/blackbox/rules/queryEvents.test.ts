/** QueryEvents: what each filter finds, and in which order. */
import { describe, expect, it } from "vitest"
import { type Event, EventQueryFilter } from "../../../src/layers/wire/generated/event.ts"
import type { Timestamp } from "../../../src/layers/wire/generated/google/protobuf/timestamp.ts"
import * as Build from "../Builders.ts"
import { message } from "../Client.ts"
import * as Drive from "../Drivers.ts"
import * as Recording from "../Recording.ts"
import { invalid } from "../Refusals.ts"
import { startServer } from "../Server.ts"

const { elsewhere, one, two } = await startServer()

const query = async (
  filter: Partial<EventQueryFilter>,
  sort: "ASCENDING" | "DESCENDING" | "UNRECOGNIZED" = "ASCENDING"
) => {
  const param = { filter: message(EventQueryFilter, filter), sort, pageSize: 10_000 }
  return (await one.queryEvents(param)).events
}
const kinds = (events: ReadonlyArray<Event>) => events.map((event) => Recording.short(event).slice(0, 2).join(" "))
const ids = (events: ReadonlyArray<Event>) => events.map(({ id }) => id)

/** One task's life, which leaves events of most kinds. */
const live = async () => {
  const outputs = { out: Build.model, score: Build.performance }
  const task = await Drive.aTaskIn(one, "STATUS_EXECUTING", { outputs })
  const model = await Drive.aModel(one, task)
  await one.registerPerformance({ computeTaskKey: task.key, computeTaskOutputIdentifier: "score", performanceValue: 1 })
  await one.registerProfilingStep({ assetKey: task.key, step: "train", duration: 1 })
  await one.registerFailureReport({
    assetKey: task.key,
    assetType: "FAILED_ASSET_COMPUTE_TASK",
    errorType: "ERROR_TYPE_INTERNAL"
  })
  return { task, model }
}
const before = await Recording.mark(one)
const { model, task } = await live()
const all = await Recording.between(one, before, await Recording.mark(one))
const first = all[0] as Event
const last = all.at(-1) as Event

const micros = (time: Timestamp | undefined) =>
  time === undefined ? 0n : time.seconds * 1_000_000n + BigInt(time.nanos / 1000)
const at = (micros: bigint): Timestamp => ({ seconds: micros / 1_000_000n, nanos: Number(micros % 1_000_000n) * 1000 })
/** Nothing but this life: no one else is at work in this channel. */
const during = { start: first.timestamp, end: last.timestamp }

describe("QueryEvents by key", () => {
  it("finds a task's outputs, steps and failure too, but not its performances", async () => {
    const expected = [
      "COMPUTE_TASK CREATED",
      "COMPUTE_TASK UPDATED",
      "COMPUTE_TASK_OUTPUT_ASSET CREATED",
      "COMPUTE_TASK_OUTPUT_ASSET CREATED",
      "PROFILING_STEP CREATED",
      "COMPUTE_TASK UPDATED",
      "FAILURE_REPORT CREATED"
    ]
    expect(kinds(await query({ assetKey: task.key }))).toEqual(expected)
    expect(kinds(await query({ assetKey: task.key.toUpperCase() }))).toEqual(expected)
    expect(kinds(await query({ assetKey: model.key }))).toEqual(["MODEL CREATED"])
  })

  it("finds a performance by both parts of its key, the first in any letter case", async () => {
    expect(kinds(await query({ assetKey: `${task.key}|score` }))).toEqual(["PERFORMANCE CREATED"])
    expect(kinds(await query({ assetKey: `${task.key.toUpperCase()}|score` }))).toEqual(["PERFORMANCE CREATED"])
    expect(await query({ assetKey: `${task.key}|SCORE` })).toEqual([])
  })

  it("finds an organization by its id as it is", async () => {
    expect(kinds(await query({ assetKey: one.id }))).toEqual(["ORGANIZATION CREATED"])
    expect(await query({ assetKey: one.id.toLowerCase() })).toEqual([])
  })

  it("finds nothing by any other text", async () => {
    for (const assetKey of ["x", "%", task.key.slice(0, -1), `${task.key} `, `{${task.key}}`, "ü'\"\\"]) {
      expect(await query({ assetKey })).toEqual([])
    }
  })

  it("finds nothing of another channel", async () => {
    const plan = await Drive.aPlan(elsewhere)
    expect(await query({ assetKey: plan.key })).toEqual([])
  })
})

describe("QueryEvents by kind", () => {
  it("finds the events of that kind of asset, and of that kind", async () => {
    for (const assetKind of new Set(all.map((event) => event.assetKind))) {
      const expected = all.filter((event) => event.assetKind === assetKind)
      expect(await query({ ...during, assetKind })).toEqual(expected)
    }
    for (const eventKind of ["EVENT_ASSET_CREATED", "EVENT_ASSET_UPDATED", "EVENT_ASSET_DISABLED"] as const) {
      const expected = all.filter((event) => event.eventKind === eventKind)
      expect(await query({ ...during, eventKind })).toEqual(expected)
    }
  })

  it("finds nothing by a number that the contract does not know", async () => {
    expect(await query({ assetKey: task.key, assetKind: "UNRECOGNIZED" })).toEqual([])
    expect(await query({ assetKey: task.key, eventKind: "UNRECOGNIZED" })).toEqual([])
  })

  it("of 0 is no filter", async () => {
    expect(await query({ ...during, assetKind: "ASSET_UNKNOWN", eventKind: "EVENT_UNKNOWN" })).toEqual(all)
  })
})

describe("QueryEvents by metadata", () => {
  it("finds the events that contain all pairs, in this letter case", async () => {
    const withReason = all.filter(({ metadata }) => metadata.get("reason") === "User action")
    expect(withReason.length).toBeGreaterThan(1)
    const by = (...pairs: ReadonlyArray<[string, string]>) => query({ ...during, metadata: new Map(pairs) })
    expect(await by(["reason", "User action"])).toEqual(withReason)
    expect(await by(["reason", "failure report registered"])).toHaveLength(1)
    for (const pair of [
      ["reason", "user action"],
      ["Reason", "User action"],
      ["reason", "User"],
      ["reason", ""],
      ["", ""]
    ]) {
      expect(await by(pair as [string, string])).toEqual([])
    }
    expect(await by(["reason", "User action"], ["other", "x"])).toEqual([])
  })
})

describe("QueryEvents by time", () => {
  it("includes both ends, to the microsecond", async () => {
    expect(await query(during)).toEqual(all)
    const [start, end] = [micros(first.timestamp), micros(last.timestamp)]
    const inner = all.filter(({ timestamp }) => micros(timestamp) > start && micros(timestamp) < end)
    expect(await query({ start: at(start + 1n), end: at(end - 1n) })).toEqual(inner)
    expect(inner.length).toBeLessThan(all.length)
  })

  it("may be open on one side", async () => {
    expect((await query({ start: first.timestamp })).slice(0, all.length)).toEqual(all)
    expect((await query({ end: last.timestamp })).slice(-all.length)).toEqual(all)
  })

  it("finds nothing when it ends before it starts", async () => {
    expect(await query({ start: last.timestamp, end: first.timestamp })).toEqual([])
  })

  it("compares whole nanoseconds", async () => {
    const justAfter = { seconds: last.timestamp?.seconds ?? 0n, nanos: (last.timestamp?.nanos ?? 0) + 1 }
    const found = await query({ start: justAfter })
    expect(found.filter(({ id }) => ids(all).includes(id))).toEqual([])
  })

  it.each([
    { seconds: 0n, nanos: -1 },
    { seconds: 0n, nanos: 1_000_000_000 },
    { seconds: 253_402_300_800n, nanos: 0 },
    { seconds: -62_135_596_801n, nanos: 0 },
    { seconds: 2n ** 63n - 1n, nanos: 0 },
    { seconds: -(2n ** 63n), nanos: 0 }
  ])("refuses a time that no timestamp can hold: $seconds s $nanos ns", async (time) => {
    await invalid(query({ start: time }), "filter.start")
    await invalid(query({ start: time, end: time }), "filter.start", "filter.end")
  })

  it.each([
    { seconds: 253_402_300_799n, nanos: 999_999_999 },
    { seconds: -62_135_596_800n, nanos: 0 }
  ])("takes the last that one can hold: $seconds s", async (time) => {
    expect(await query({ ...during, [time.seconds > 0n ? "end" : "start"]: time })).not.toEqual([])
  })
})

describe("QueryEvents with several filters", () => {
  it("combines them with and", async () => {
    const filter = { ...during, assetKey: task.key, assetKind: "ASSET_COMPUTE_TASK" } as const
    expect(kinds(await query({ ...filter, eventKind: "EVENT_ASSET_UPDATED" }))).toHaveLength(2)
    const metadata = new Map([["reason", "User action"]])
    expect(kinds(await query({ ...filter, metadata }))).toEqual(["COMPUTE_TASK UPDATED"])
    expect(await query({ ...filter, metadata, eventKind: "EVENT_ASSET_CREATED" })).toEqual([])
  })
})

describe("the order of QueryEvents", () => {
  it("is that of the stream, or all of it reversed", async () => {
    expect(ids(await query(during, "ASCENDING"))).toEqual(ids(all))
    expect(ids(await query(during, "DESCENDING"))).toEqual(ids(all).reverse())
  })

  it("is ascending when it is not said, or by an unknown number", async () => {
    expect(ids(await query(during, "UNRECOGNIZED"))).toEqual(ids(all))
    const { events } = await two.queryEvents({ filter: message(EventQueryFilter, during), pageSize: 1000 })
    expect(events).toEqual(all)
  })

  it("keeps the events of one call as they were made", async () => {
    const fn = await Drive.aFunction(one)
    const plan = await Drive.aPlan(one)
    const tasks = Array.from({ length: 20 }, () => Build.newTask(fn, plan, { worker: one.id }))
    const made = await Drive.register(one, ...tasks)
    const time = made[0]?.creationDate
    const found = (await query({ start: time, end: time })).map(({ assetKey }) => assetKey)
    expect(found).toEqual(made.map(({ key }) => key))
    expect((await query({ start: time, end: time }, "DESCENDING")).map(({ assetKey }) => assetKey)).toEqual(
      found.toReversed()
    )
  })
})

describe("an event", () => {
  it("carries the asset as it was then, whatever became of it", async () => {
    const plan = await Drive.aPlan(one)
    await one.updatePlan({ key: plan.key, name: "renamed" })
    await one.applyPlanAction({ key: plan.key, action: "PLAN_ACTION_CANCELED" })
    const { cancelationDate } = await one.getPlan({ key: plan.key })
    const events = await query({ assetKey: plan.key })
    expect(events.map(Recording.assetOf)).toEqual([
      plan,
      { ...plan, name: "renamed" },
      { ...plan, name: "renamed", cancelationDate }
    ])
    expect(events.map(({ timestamp }) => timestamp)).toEqual([plan.creationDate, events[1]?.timestamp, cancelationDate])
    expect(events.map(({ channel, metadata }) => [channel, metadata.size])).toEqual(events.map(() => [one.channel, 0]))
    expect(new Set(ids(events)).size).toBe(3)
  })
})
