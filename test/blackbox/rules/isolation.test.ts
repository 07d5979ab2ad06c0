/** A channel never sees another one's assets; keys are unique for each kind over all channels. */
import { describe, expect, it } from "vitest"
import { TaskQueryFilter } from "../../../src/layers/wire/generated/computetask.ts"
import * as Build from "../Builders.ts"
import type { Client } from "../Client.ts"
import * as Drive from "../Drivers.ts"
import * as Recording from "../Recording.ts"
import { failure, refused } from "../Refusals.ts"
import { startServer } from "../Server.ts"

const { elsewhere, one } = await startServer()

const fn = await Drive.aFunction(one, { outputs: { out: Build.model, score: Build.performance } })
const waiting = await Drive.aFunction(one, { status: "FUNCTION_STATUS_WAITING" })
const plan = await Drive.aPlan(one)
const manager = await Drive.aManager(one)
const sample = await Drive.aSample(one, manager)
const task = await Drive.aTask(one, { fn, plan })
await Drive.act(one, task, "EXECUTING")
const model = await Drive.aModel(one, task)
const failed = await Drive.aTaskIn(one, "STATUS_EXECUTING")
await one.registerFailureReport({
  assetKey: failed.key,
  assetType: "FAILED_ASSET_COMPUTE_TASK",
  errorType: "ERROR_TYPE_INTERNAL"
})

describe("an asset of another channel is not found by", () => {
  const calls: Readonly<Record<string, (caller: Client) => Promise<unknown>>> = {
    GetPlan: (caller) => caller.getPlan({ key: plan.key }),
    IsPlanRunning: (caller) => caller.isPlanRunning({ key: plan.key }),
    UpdatePlan: (caller) => caller.updatePlan({ key: plan.key, name: "stolen" }),
    ApplyPlanAction: (caller) => caller.applyPlanAction({ key: plan.key, action: "PLAN_ACTION_CANCELED" }),
    GetFunction: (caller) => caller.getFunction({ key: fn.key }),
    UpdateFunction: (caller) => caller.updateFunction({ key: fn.key, name: "stolen" }),
    ApplyFunctionAction: (caller) =>
      caller.applyFunctionAction({ functionKey: waiting.key, action: "FUNCTION_ACTION_BUILDING" }),
    GetDataManager: (caller) => caller.getDataManager({ key: manager.key }),
    UpdateDataManager: (caller) => caller.updateDataManager({ key: manager.key, name: "stolen" }),
    GetDataset: (caller) => caller.getDataset({ key: manager.key }),
    GetDataSample: (caller) => caller.getDataSample({ key: sample.key }),
    UpdateDataSamples: (caller) => caller.updateDataSamples({ keys: [sample.key] }),
    "RegisterDataSamples, its manager": (caller) =>
      caller.registerDataSamples({ samples: [Build.newDataSample([manager])] }),
    GetTask: (caller) => caller.getTask({ key: task.key }),
    ApplyTaskAction: (caller) => caller.applyTaskAction({ computeTaskKey: task.key, action: "TASK_ACTION_DONE" }),
    GetTaskInputAssets: (caller) => caller.getTaskInputAssets({ computeTaskKey: task.key }),
    DisableOutput: (caller) => caller.disableOutput({ computeTaskKey: task.key, identifier: "out" }),
    RegisterModels: (caller) => caller.registerModels({ models: [Build.newModel(task)] }),
    GetModel: (caller) => caller.getModel({ key: model.key }),
    RegisterPerformance: (caller) =>
      caller.registerPerformance({ computeTaskKey: task.key, computeTaskOutputIdentifier: "score" }),
    "RegisterFailureReport, of a task": (caller) =>
      caller.registerFailureReport({
        assetKey: task.key,
        assetType: "FAILED_ASSET_COMPUTE_TASK",
        errorType: "ERROR_TYPE_INTERNAL"
      }),
    "RegisterFailureReport, of a function": (caller) =>
      caller.registerFailureReport({
        assetKey: fn.key,
        assetType: "FAILED_ASSET_FUNCTION",
        errorType: "ERROR_TYPE_INTERNAL"
      }),
    GetFailureReport: (caller) => caller.getFailureReport({ assetKey: failed.key }),
    "RegisterTasks, its plan": (caller) => caller.registerTasks({ tasks: [Build.newTask(fn, plan)] }),
    "RegisterTasks, its function": async (caller) =>
      caller.registerTasks({ tasks: [Build.newTask(fn, await Drive.aPlan(elsewhere))] })
  }

  it.each(Object.entries(calls))("%s", async (_, call) => {
    const events = await Recording.recorded(one, () => refused(call(elsewhere), "OE0002", /not found$/))
    expect(events).toEqual([])
  })

  it("RegisterTasks, its parent", async () => {
    const inputs = [Build.from("models", task)]
    const child = { plan: await Drive.aPlan(elsewhere), fn: await Drive.aFunction(elsewhere), inputs }
    await refused(Drive.aTask(elsewhere, child), "OE0101", /unsorted_tasks_count: 1$/)
  })
})

describe("queries find nothing of another channel", () => {
  it("by their filters", async () => {
    const { tasks } = await elsewhere.queryTasks({ filter: { ...noFilter(), computePlanKey: plan.key } })
    const { Functions } = await elsewhere.queryFunctions({ filter: { computePlanKey: plan.key } })
    const { dataSamples } = await elsewhere.queryDataSamples({ filter: { keys: [sample.key] } })
    const { models } = await elsewhere.getComputeTaskOutputModels({ computeTaskKey: task.key })
    expect([tasks, Functions, dataSamples, models]).toEqual([[], [], [], []])
    expect(await Recording.eventsOf(elsewhere, task)).toEqual([])
  })

  it("without filters", async () => {
    const own = await Drive.aPlan(elsewhere)
    const keys = (await elsewhere.queryPlans({ pageSize: 10_000 })).plans.map(({ key }) => key)
    expect(keys).toContain(own.key)
    expect(keys).not.toContain(plan.key)
    const managers = (await elsewhere.queryDataManagers({ pageSize: 10_000 })).dataManagers.map(({ key }) => key)
    expect(managers).not.toContain(manager.key)
  })
})

describe("a key that another channel uses", () => {
  const registrations: Readonly<Record<string, (caller: Client, key: string) => Promise<unknown>>> = {
    computeplan: (caller, key) => caller.registerPlan(Build.newPlan({ key })),
    function: (caller, key) => caller.registerFunction(Build.newFunction({ key })),
    datamanager: (caller, key) => caller.registerDataManager(Build.newDataManager({ key })),
    datasample: (caller, key) => caller.registerDataSamples({ samples: [Build.newDataSample([], key)] }),
    computetask: (caller, key) => Drive.aTask(caller, { key }),
    model: async (caller, key) => {
      const task = await Drive.aTaskIn(caller, "STATUS_EXECUTING")
      return caller.registerModels({ models: [Build.newModel(task, "out", key)] })
    }
  }

  it.each(Object.entries(registrations))("for a %s is taken", async (kind, register) => {
    const key = Build.newKey()
    await register(one, key)
    const events = await Recording.recorded(elsewhere, async () => {
      await failure(elsewhere.getPlan({ key: Build.newKey() }))
    })
    expect(events).toEqual([])
    await refused(register(elsewhere, key), "OE0006", `${kind} with key "${key}" already exists`)
    await refused(register(elsewhere, key.toUpperCase()), "OE0006", `${kind} with key "${key}" already exists`)
  })

  it("is free for other kinds", async () => {
    const key = Build.newKey()
    for (const register of Object.values(registrations)) await register(one, key)
    expect((await Recording.eventsOf(one, key)).map((event) => Recording.short(event)[0])).toEqual([
      "COMPUTE_PLAN",
      "FUNCTION",
      "DATA_MANAGER",
      "DATA_SAMPLE",
      "COMPUTE_TASK",
      "MODEL"
    ])
  })

  it("is free for organizations and profiling steps, which each channel has for itself", async () => {
    const assetKey = Build.newKey()
    for (const caller of [one, elsewhere]) await caller.registerProfilingStep({ assetKey, step: "s", duration: 1 })
    expect([await Recording.eventsOf(one, assetKey), await Recording.eventsOf(elsewhere, assetKey)]).toMatchObject([
      [{ channel: one.channel }],
      [{ channel: elsewhere.channel }]
    ])
  })
})

function noFilter() {
  return TaskQueryFilter.decode(new Uint8Array())
}
