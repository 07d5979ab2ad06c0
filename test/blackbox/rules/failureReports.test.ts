/** Failure reports, with all that fails with them. */
import { describe, expect, it } from "vitest"
import type { NewFailureReport } from "../../../src/layers/wire/generated/failure_report.ts"
import { FunctionStatus } from "../../../src/schema/FunctionStatus.ts"
import { TaskStatus } from "../../../src/schema/TaskStatus.ts"
import * as Build from "../Builders.ts"
import * as Drive from "../Drivers.ts"
import * as Recording from "../Recording.ts"
import { invalid, refused } from "../Refusals.ts"
import { startServer } from "../Server.ts"

const { one, two } = await startServer()

const report = (asset: Build.Keyed, fields: Partial<NewFailureReport> = {}): NewFailureReport => ({
  assetKey: Build.keyOf(asset),
  errorType: "ERROR_TYPE_EXECUTION",
  logsAddress: Build.addressable(),
  assetType: "FAILED_ASSET_COMPUTE_TASK",
  ...fields
})
const ofFunction = { assetType: "FAILED_ASSET_FUNCTION", errorType: "ERROR_TYPE_BUILD" } as const
const reason = "failure report registered"

describe("a failure report of a task", () => {
  it("fails the task and its plan, and is the last event, all of one time", async () => {
    const task = await Drive.aTaskIn(one, "STATUS_EXECUTING", { worker: two })
    const child = await Drive.aTask(one, { inputs: [Build.from("models", task)] })
    const asked = report(task.key.toUpperCase())
    let answered: unknown
    const events = await Recording.recorded(one, async () => {
      answered = await two.registerFailureReport(asked)
    })
    const creationDate = events[0]?.timestamp
    expect(answered).toEqual({ ...asked, assetKey: task.key, owner: two.id, creationDate })
    expect(events.map(Recording.short)).toEqual([
      ["COMPUTE_TASK", "UPDATED", task.key, reason],
      ["COMPUTE_PLAN", "UPDATED", task.computePlanKey],
      ["FAILURE_REPORT", "CREATED", task.key]
    ])
    expect(events.map(Recording.assetOf)).toEqual([
      await one.getTask({ key: task.key }),
      await one.getPlan({ key: task.computePlanKey }),
      answered
    ])
    expect(events.map(({ timestamp }) => timestamp)).toEqual(events.map(() => creationDate))
    expect((await one.getPlan({ key: task.computePlanKey })).failureDate).toEqual(creationDate)
    expect(await Drive.statusOf(one, task)).toBe("STATUS_FAILED")
    expect(await Drive.statusOf(one, child)).toBe("STATUS_WAITING_FOR_PARENT_TASKS")
    expect(await one.getFailureReport({ assetKey: task.key.toUpperCase() })).toEqual(answered)
  })

  it("changes no plan that is canceled", async () => {
    const task = await Drive.aTaskIn(one, "STATUS_EXECUTING")
    await one.applyPlanAction({ key: task.computePlanKey, action: "PLAN_ACTION_CANCELED" })
    const events = await Recording.recorded(one, () => one.registerFailureReport(report(task)))
    expect(events.map(Recording.short)).toEqual([
      ["COMPUTE_TASK", "UPDATED", task.key, reason],
      ["FAILURE_REPORT", "CREATED", task.key]
    ])
  })

  it("is for the worker, not for the owner", async () => {
    const task = await Drive.aTaskIn(one, "STATUS_EXECUTING", { worker: two })
    await refused(one.registerFailureReport(report(task)), "OE0102")
  })

  it.each(TaskStatus.literals.filter((status) => status !== "STATUS_EXECUTING"))(
    "is not for one in %s",
    async (status) => {
      const task = await Drive.aTaskIn(one, status)
      const text = `cannot register failure report for task with status "${status}"`
      await refused(one.registerFailureReport(report(task)), "OE0003", text)
    }
  )

  it("needs a task that exists", async () => {
    const { key } = await Drive.aFunction(one)
    await refused(one.registerFailureReport(report(key)), "OE0002", `computetask with key "${key}" not found`)
  })
})

describe("a failure report of a function", () => {
  it("fails the function, its tasks and their plans, and is the last event", async () => {
    const fn = await Drive.aFunction(one, { status: "FUNCTION_STATUS_BUILDING" })
    const first = await Drive.aTask(one, { fn })
    const theirs = await Drive.aTask(two, { fn })
    const again = await Drive.aTask(one, { fn, plan: first.computePlanKey })
    const events = await Recording.recorded(one, () => one.registerFailureReport(report(fn, ofFunction)))
    expect(events.map(Recording.short)).toEqual([
      ["FUNCTION", "UPDATED", fn.key, reason],
      ...[first, theirs, again].map(({ key }) => ["COMPUTE_TASK", "UPDATED", key, reason]),
      ["COMPUTE_PLAN", "UPDATED", first.computePlanKey],
      ["COMPUTE_PLAN", "UPDATED", theirs.computePlanKey],
      ["FAILURE_REPORT", "CREATED", fn.key]
    ])
    expect(events.map(({ timestamp }) => timestamp)).toEqual(events.map(() => events[0]?.timestamp))
    expect((await two.getFunction({ key: fn.key })).status).toBe("FUNCTION_STATUS_FAILED")
  })

  it("is for the owner", async () => {
    const fn = await Drive.aFunction(one, { status: "FUNCTION_STATUS_BUILDING" })
    await refused(two.registerFailureReport(report(fn, ofFunction)), "OE0102")
  })

  it.each(FunctionStatus.literals.filter((status) => status !== "FUNCTION_STATUS_BUILDING"))(
    "is not for one in %s",
    async (status) => {
      const fn = await Drive.aFunction(one, { status })
      const text = `event transitionFailed inappropriate in current state ${status}`
      await refused(one.registerFailureReport(report(fn, ofFunction)), "OE0104", text)
    }
  )

  it("needs a function that exists", async () => {
    const key = Build.newKey()
    const unknown = one.registerFailureReport(report(key, ofFunction))
    await refused(unknown, "OE0002", `function with key "${key}" not found`)
  })
})

describe("a failure report", () => {
  it("names the kind of asset that failed", async () => {
    const task = await Drive.aTaskIn(one, "STATUS_EXECUTING")
    await refused(one.registerFailureReport(report(task, { assetType: "FAILED_ASSET_UNKNOWN" })), "OE0003")
    await refused(one.registerFailureReport(report(task, { assetType: "UNRECOGNIZED" })), "OE0101")
  })

  it.each([
    [
      "a build or execution error has no logs",
      { errorType: "ERROR_TYPE_BUILD", logsAddress: undefined },
      "logs_address"
    ],
    ["an execution error has no logs", { logsAddress: undefined }, "logs_address"],
    ["an internal error has logs", { errorType: "ERROR_TYPE_INTERNAL" }, "logs_address"],
    ["the type of error is not set", { errorType: "ERROR_TYPE_UNSPECIFIED", logsAddress: undefined }, "error_type"],
    ["the type of error is unknown", { errorType: "UNRECOGNIZED", logsAddress: undefined }, "error_type"],
    ["the asset is not named", { assetKey: "" }, "asset_key"]
  ] as const)("is not valid when %s", async (_, fields, field) => {
    await invalid(one.registerFailureReport(report(Build.newKey(), fields)), field)
  })

  it("of an internal error has no logs", async () => {
    const task = await Drive.aTaskIn(one, "STATUS_EXECUTING")
    const asked = report(task, { errorType: "ERROR_TYPE_INTERNAL", logsAddress: undefined })
    expect(await one.registerFailureReport(asked)).toMatchObject(asked)
    expect(await two.getFailureReport({ assetKey: task.key })).toMatchObject(asked)
  })

  it("that there is not is not found", async () => {
    const task = await Drive.aTaskIn(one, "STATUS_FAILED")
    const text = `failurereport with key "${task.key}" not found`
    await refused(one.getFailureReport({ assetKey: task.key }), "OE0002", text)
  })
})
