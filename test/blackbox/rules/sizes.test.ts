/** How large messages may be: requests, answers, and single events, which a consumer must be able to take. */
import { describe, expect, it } from "vitest"
import { ComputePlan, NewComputePlan, QueryPlansResponse } from "../../../src/layers/wire/generated/computeplan.ts"
import { Event } from "../../../src/layers/wire/generated/event.ts"
import { QueryFunctionsResponse } from "../../../src/layers/wire/generated/function.ts"
import * as Build from "../Builders.ts"
import { type Client, paths } from "../Client.ts"
import * as Drive from "../Drivers.ts"
import * as Recording from "../Recording.ts"
import { failure, refused } from "../Refusals.ts"
import { startServer } from "../Server.ts"

const kibibyte = 1024
const standard = await startServer()
/** With bounds that are cheap to pass. */
const answerLimit = 64 * kibibyte
const requestLimit = 256 * kibibyte
const narrow = await startServer({
  env: {
    ORCHESTRATOR_GRPC_MAX_RESPONSE_SIZE: String(answerLimit),
    ORCHESTRATOR_GRPC_MAX_REQUEST_SIZE: String(requestLimit)
  }
})

const takes = (client: Client, bytes: number) => client.with(["max-response-size", String(bytes)])
const planWith = (...metadata: ReadonlyArray<[string, string]>) => Build.newPlan({ metadata: new Map(metadata) })

/** Entries of metadata that take about this many bytes. */
const padding = (bytes: number): Map<string, string> =>
  new Map(
    Array.from({ length: Math.max(0, Math.ceil(bytes / 100)) }, (_, n) => [`${n}`.padStart(8, "0"), "v".repeat(86)])
  )

describe.skipIf(narrow.foreign)("a request", () => {
  const { one } = narrow
  const plan = (metadata: Map<string, string>) => NewComputePlan.encode(Build.newPlan({ metadata })).finish()

  it("over the server's limit is refused", async () => {
    const error = await failure(one.bytes(paths.registerPlan, plan(padding(requestLimit + 10 * kibibyte))))
    expect(error.code).toBe("RESOURCE_EXHAUSTED")
  })

  it("under it is taken", async () => {
    const samples = Array.from({ length: 2000 }, () => Build.newDataSample())
    const { dataSamples } = await takes(one, 2 ** 31 - 1).registerDataSamples({ samples })
    expect(dataSamples).toHaveLength(2000)
  })
})

describe("a request of more than 4 MiB", () => {
  it("is taken", async () => {
    const { one } = standard
    const { key } = await Drive.aSample(one)
    const keys = Array.from({ length: 120_000 }, Build.newKey)
    const { dataSamples } = await one.queryDataSamples({ filter: { keys: [...keys, key] } })
    expect(dataSamples.map((sample) => sample.key)).toEqual([key])
  })
})

describe("the header max-response-size", () => {
  const { one } = standard

  it.each(["0", "-1", "", "x", "1.5", "0x10", "4MiB", "1e6", "2147483650", "99999999999999999999"])(
    "is refused as %j, whatever the call",
    async (value) => {
      const caller = one.with(["max-response-size", value])
      const plan = Build.newPlan()
      await refused(caller.registerPlan(plan), "OE0003")
      await refused(caller.queryPlans(), "OE0003")
      await refused(caller.getPlan({ key: plan.key }), "OE0003")
      await refused(one.getPlan({ key: plan.key }), "OE0002")
    }
  )

  it("is refused twice", async () => {
    const caller = one.with(["max-response-size", "100000"], ["max-response-size", "100000"])
    await refused(caller.queryVersion(), "OE0003")
  })

  it.each(["1", "x", "0"])("is ignored on streams, also as %j", async (value) => {
    const start = await Recording.mark(one)
    const end = await Recording.mark(one)
    await using stream = one.with(["max-response-size", value]).subscribeToEvents({ startEventId: start })
    expect((await stream.next()).id).toBe(end)
  })
})

describe("a write whose answer is too large", () => {
  const { one } = standard

  it("is refused before its commit, with the size, the limit and the way out", async () => {
    const plan = planWith(["a", "b"])
    const events = await Recording.recorded(one, async () => {
      const error = await failure(takes(one, 61).registerPlan(plan))
      expect(error.code).toBe("RESOURCE_EXHAUSTED")
      expect(error.details).toMatch(/\b61\b/)
      expect(error.details).toMatch(/max-response-size/)
      const size = ComputePlan.encode({ ...(await one.registerPlan({ ...plan, key: Build.newKey() })) }).finish().length
      expect(error.details).toMatch(new RegExp(`\\b${size}\\b`))
    })
    expect(events).toHaveLength(1)
    await refused(one.getPlan({ key: plan.key }), "OE0002")
  })

  it("fits when it is just as large", async () => {
    const size = ComputePlan.encode(await one.registerPlan(Build.newPlan())).finish().length
    // A date of another length of its nanoseconds may take a byte less.
    expect(await takes(one, size + 1).registerPlan(Build.newPlan())).toMatchObject({ name: "plan" })
    expect((await failure(takes(one, size - 4).registerPlan(Build.newPlan()))).code).toBe("RESOURCE_EXHAUSTED")
  })

  it("is none when the answer is empty", async () => {
    const { key } = await Drive.aPlan(one)
    expect(await takes(one, 1).updatePlan({ key, name: "renamed" })).toEqual({})
    await takes(one, 1).applyPlanAction({ key, action: "PLAN_ACTION_CANCELED" })
  })

  it("is measured for every kind of batch", async () => {
    const fn = await Drive.aFunction(one)
    const plan = await Drive.aPlan(one)
    const tasks = [Build.newTask(fn, plan, { worker: one.id })]
    const samples = [Build.newDataSample()]
    const executing = await Drive.aTaskIn(one, "STATUS_EXECUTING")
    const models = [Build.newModel(executing)]
    const little = takes(one, 20)
    const events = await Recording.recorded(one, async () => {
      for (const call of [
        () => little.registerTasks({ tasks }),
        () => little.registerDataSamples({ samples }),
        () => little.registerModels({ models }),
        () => little.registerFunction(Build.newFunction())
      ]) {
        expect((await failure(call())).code).toBe("RESOURCE_EXHAUSTED")
      }
    })
    expect(events).toEqual([])
  })
})

describe("a read without pages", () => {
  it("is sent whole", async () => {
    const { one } = standard
    const little = takes(one, 1)
    const manager = await Drive.aManager(one)
    const samples = await Drive.samplesOf(one, [manager], 20)
    const plan = await Drive.aPlan(one)
    expect(await little.getPlan({ key: plan.key })).toEqual(plan)
    expect((await little.getDataset({ key: manager.key })).dataSampleKeys).toHaveLength(samples.length)
    expect(await little.getAllOrganizations()).toEqual(await one.getAllOrganizations())
    expect(await little.isPlanRunning({ key: plan.key })).toEqual({ isRunning: false })
    const task = await Drive.aTaskIn(one, "STATUS_EXECUTING")
    const model = await Drive.aModel(one, task)
    expect(await little.getComputeTaskOutputModels({ computeTaskKey: task.key })).toEqual({ models: [model] })
  })
})

describe("a page", () => {
  const pages = async (client: Client, bound: number) => {
    const keys: Array<string> = []
    for (let pageToken = "", more = true; more; more = pageToken !== "") {
      const page = await client.queryPlans({ pageToken, pageSize: 1000 })
      const bytes = QueryPlansResponse.encode(page).finish().length
      expect(page.plans.length).toBeGreaterThan(0)
      if (page.plans.length > 1) expect(bytes).toBeLessThanOrEqual(bound)
      keys.push(...page.plans.map(({ key }) => key))
      pageToken = page.nextPageToken
    }
    return keys
  }

  it("is cut at the bound, and its token goes on", async () => {
    const { one } = standard
    for (let n = 0; n < 10; n++) await one.registerPlan(planWith(["n", "x".repeat(n * 10)]))
    const all = (await one.queryPlans({ pageSize: 10_000 })).plans.map(({ key }) => key)
    for (const bound of [1, 200, 1000, 100_000]) expect(await pages(takes(one, bound), bound)).toEqual(all)
  })

  it.skipIf(narrow.foreign)("is cut at the server's bound, which the header lifts", async () => {
    const { one } = narrow
    for (let n = 0; n < 8; n++) await one.registerPlan(Build.newPlan({ metadata: padding(20 * kibibyte) }))
    const whole = await takes(one, 2 ** 31 - 1).queryPlans({ pageSize: 1000 })
    expect(whole.nextPageToken).toBe("")
    const { nextPageToken, plans } = await one.queryPlans({ pageSize: 1000 })
    expect(plans.length).toBeLessThan(whole.plans.length)
    expect(nextPageToken).not.toBe("")
    expect(await pages(one, answerLimit)).toEqual(whole.plans.map(({ key }) => key))
  })

  it("of events is cut like any other", async () => {
    const { one } = standard
    const events = (await one.queryEvents({ pageSize: 30 })).events
    const seen: Array<string> = []
    for (let pageToken = ""; seen.length < 30; ) {
      const page = await takes(one, 700).queryEvents({ pageToken, pageSize: 30 - seen.length })
      expect(page.events.length).toBeGreaterThan(0)
      seen.push(...page.events.map(({ id }) => id))
      pageToken = page.nextPageToken
    }
    expect(seen).toEqual(events.map(({ id }) => id))
  })
})

describe.skipIf(narrow.foreign)("a single event", () => {
  const { one } = narrow
  const wide = takes(one, 2 ** 31 - 1)
  /** The most that an event may be when it is made. */
  const limit = answerLimit - kibibyte

  /** Metadata that brings an event of this asset, which has none, to a size. */
  const filling = ({ asset, ...event }: Event, size: number): Map<string, string> => {
    const metadata = new Map<string, string>()
    const measured = () =>
      Event.encode({ ...event, asset: { ...asset, value: { ...asset?.value, metadata } } } as Event).finish().length
    for (let n = 0; measured() + 240 <= size; n++) metadata.set(`${n}`.padStart(8, "0"), "v".repeat(90))
    metadata.set("z", "")
    metadata.set("z", "v".repeat(Math.max(0, Math.min(100, size - measured()))))
    metadata.set("zz", "")
    metadata.set("zz", "v".repeat(Math.max(0, Math.min(100, size - measured()))))
    expect(Math.abs(measured() - size)).toBeLessThan(8)
    return metadata
  }
  const lastOf = async (key: string) => (await Recording.eventsOf(wide, key)).at(-1) as Event
  const sizeOf = (event: Event) => Event.encode(event).finish().length

  it("that a registration makes may be as large as the bound less 1 KiB, whatever the header", async () => {
    const small = await lastOf((await Drive.aPlan(one)).key)
    const under = Build.newPlan({ metadata: filling(small, limit - 32) })
    expect((await wide.registerPlan(under)).metadata).toEqual(under.metadata)
    const over = Build.newPlan({ metadata: filling(small, limit + 32) })
    for (const caller of [one, wide]) await refused(caller.registerPlan(over), "OE0101")
    await refused(one.getPlan({ key: over.key }), "OE0002")
  })

  it("of a batch counts by itself", async () => {
    const fn = await Drive.aFunction(one)
    const plan = await Drive.aPlan(one)
    const small = await lastOf((await Drive.aTask(one, { fn, plan })).key)
    const task = (size: number) => Build.newTask(fn, plan, { worker: one.id, metadata: filling(small, size) })
    const batch = [task(limit - 64), task(limit - 64), task(limit - 64)]
    expect(await Drive.register(wide, ...batch)).toHaveLength(3)
    await refused(Drive.register(wide, task(1000), task(limit + 64)), "OE0101")
  })

  it("of a change of state is never refused for its size", async () => {
    const fn = await Drive.aFunction(one, { status: "FUNCTION_STATUS_WAITING" })
    const large = await one.registerFunction(Build.newFunction({ metadata: filling(await lastOf(fn.key), limit - 64) }))
    const plan = await Drive.aPlan(one)
    const inPlan = { fn: large, plan }
    const small = await lastOf((await Drive.aTask(one, inPlan)).key)
    const metadata = filling(small, limit - 64)
    const task = await Drive.aTask(wide, { ...inPlan, metadata })
    const child = await Drive.aTask(wide, { ...inPlan, metadata, inputs: [Build.from("models", task)] }).catch(
      () => task
    )
    await Drive.build(one, large)
    await Drive.act(one, task, "EXECUTING", "DONE")
    expect(await Drive.statusOf(one, child)).toBeOneOf(["STATUS_DONE", "STATUS_WAITING_FOR_EXECUTOR_SLOT"])
    const events = [...(await Recording.eventsOf(wide, task)), ...(await Recording.eventsOf(wide, large))]
    expect(events.map(sizeOf).every((size) => size > limit - 2 * kibibyte && size <= answerLimit)).toBe(true)
  })

  it("that an update would make too large is refused", async () => {
    const small = await lastOf((await one.registerFunction(Build.newFunction())).key)
    const { key } = await one.registerFunction(Build.newFunction({ metadata: filling(small, limit - 500) }))
    const image = { checksum: Build.checksum(), storageAddress: `https://a.example/${"x".repeat(2000)}` }
    await refused(wide.updateFunction({ key, name: "function", image }), "OE0101")
    await one.updateFunction({ key, name: "renamed" })
    expect(await one.getFunction({ key })).toMatchObject({ name: "renamed", image: { checksum: "" } })
  })

  it("that a log would make too large is refused, and nothing is done", async () => {
    const task = await Drive.aTask(one)
    const apply = (log: string) =>
      wide.applyTaskAction({ computeTaskKey: task.key, action: "TASK_ACTION_EXECUTING", log })
    const events = await Recording.recorded(one, () => refused(apply("x".repeat(limit)), "OE0101"))
    expect(events).toEqual([])
    expect(await one.getTask({ key: task.key })).toEqual(task)
    await apply("x".repeat(limit - 2 * kibibyte))
    expect(await Drive.statusOf(one, task)).toBe("STATUS_EXECUTING")
  })
})

describe("a page of small functions", () => {
  it("is not cut before its bound", async () => {
    const one = standard.client("MyOrg1MSP", "yourchannel")
    for (let n = 0; n < 40; n++) await one.registerFunction(Build.newFunction())
    const pageToken = ""
    const all = await one.queryFunctions({ pageToken, pageSize: 40, filter: undefined })
    const size = QueryFunctionsResponse.encode(all).finish().length
    const held = await takes(one, size + kibibyte).queryFunctions({ pageToken, pageSize: 40, filter: undefined })
    expect(held.Functions).toHaveLength(40)
  })
})
