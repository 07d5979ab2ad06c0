/** A call that is cancelled, or takes too long, has done everything or nothing. */
import { describe, expect, it } from "vitest"
import type { NewComputeTask } from "../../../src/layers/wire/generated/computetask.ts"
import * as Build from "../Builders.ts"
import { CallError } from "../CallError.ts"
import { type CallOptions, client } from "../Client.ts"
import * as Drive from "../Drivers.ts"
import * as Recording from "../Recording.ts"
import { failure } from "../Refusals.ts"
import { startServer } from "../Server.ts"

const { one, two } = await startServer()
const fn = await Drive.aFunction(one)

const outcomeOf = (call: Promise<unknown>): Promise<string> =>
  call.then(
    () => "OK",
    (error: unknown) => (error instanceof CallError ? error.code : String(error))
  )

/**
 * A batch is registered with these options, then again: that waits for what may still go on, and shows what the
 * first call did. Either way the batch is there once, whole.
 */
const twice = async (options: CallOptions, meanwhile: () => Promise<unknown> = async () => {}) => {
  const plan = await Drive.aPlan(one)
  const tasks: Array<NewComputeTask> = Array.from({ length: 300 }, () => Build.newTask(fn, plan, { worker: one.id }))
  const outcomes: Array<string> = []
  const events = await Recording.recorded(two, async () => {
    const first = outcomeOf(one.registerTasks({ tasks }, options))
    await meanwhile()
    outcomes.push(await first, await outcomeOf(one.registerTasks({ tasks })))
  })
  expect(events.map(({ assetKey }) => assetKey)).toEqual(tasks.map(({ key }) => key))
  const filter = { worker: "", status: "STATUS_UNKNOWN", functionKey: "", computePlanKey: plan.key } as const
  const stored = await one.queryTasks({ filter, pageSize: 1000 })
  expect(stored.tasks.map(({ key }) => key)).toEqual(tasks.map(({ key }) => key).sort())
  return outcomes
}

describe("a call that is past its deadline", () => {
  it.each([1, 3, 6, 10, 15, 20, 30, 40, 60, 90])("after %i ms has done all or nothing", async (timeout) => {
    const [first, second] = await twice({ timeout })
    expect(first).toBeOneOf(["OK", "DEADLINE_EXCEEDED"])
    expect(second).toBeOneOf(first === "OK" ? ["ALREADY_EXISTS"] : ["OK", "ALREADY_EXISTS"])
  })
})

describe("a call that its client cancels", () => {
  it.each([0, 1, 2, 4, 8, 12])("after the time of %i other calls has done all or nothing", async (count) => {
    const controller = new AbortController()
    const [first, second] = await twice({ signal: controller.signal }, async () => {
      for (let n = 0; n < count; n++) await two.queryVersion()
      controller.abort()
    })
    expect(first).toBeOneOf(["OK", "CANCELLED"])
    expect(second).toBeOneOf(first === "OK" ? ["ALREADY_EXISTS"] : ["OK", "ALREADY_EXISTS"])
  })

  it("has done nothing once a later call is answered, or all of it", async () => {
    const plan = await Drive.aPlan(one)
    const calls = Array.from({ length: 40 }, () => {
      const controller = new AbortController()
      const call = outcomeOf(one.updatePlan({ key: plan.key, name: "renamed" }, { signal: controller.signal }))
      setImmediate(() => controller.abort()) // what is cancelled any earlier, grpc-js does not tell the server
      return call
    })
    for (const outcome of await Promise.all(calls)) expect(outcome).toBeOneOf(["OK", "CANCELLED"])
    await one.updatePlan({ key: plan.key, name: "at last" })
    const names = (await Recording.eventsOf(one, plan)).map((event) => Recording.assetOf(event))
    expect(names.at(-1)).toMatchObject({ name: "at last" })
    expect(await one.getPlan({ key: plan.key })).toEqual(names.at(-1))
  })
})

describe("a call without a deadline", async () => {
  const short = await startServer({ organizations: false, env: { ORCHESTRATOR_GRPC_CALL_TIMEOUT: "100ms" } })
  const samples = Array.from({ length: 40_000 }, () => Build.newDataSample())

  it.skipIf(short.foreign)("is bounded by the server, and has done nothing then", async () => {
    const caller = client(short.address, { mspid: "MyOrg1MSP", channel: "mychannel" })
    expect((await failure(caller.registerDataSamples({ samples }))).code).toBe("DEADLINE_EXCEEDED")
    const first = { key: samples[0]?.key ?? "" }
    const read = () =>
      caller.getDataSample(first).then(
        () => "found",
        (error: CallError) => error.code
      )
    let outcome = await read()
    while (outcome === "DEADLINE_EXCEEDED") outcome = await read()
    expect(outcome).toBe("NOT_FOUND")
    caller.close()
  })

  it.skipIf(short.foreign)("that is a stream is not bounded", async () => {
    await using stream = short.one.subscribeToEvents()
    await stream.headers
    const stands = stream.next()
    expect((await failure(short.one.registerDataSamples({ samples }))).code).toBe("DEADLINE_EXCEEDED")
    let registered = false
    while (!registered) registered = (await outcomeOf(short.one.registerOrganization())) !== "DEADLINE_EXCEEDED"
    expect((await stands).assetKey).toBe(short.one.id)
  })
})
