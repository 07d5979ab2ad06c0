/** DisableOutput: what it refuses, and that the models of one output lose their addresses. */
import { describe, expect, it } from "vitest"
import type { ComputeTask } from "../../../src/layers/wire/generated/computetask.ts"
import { finalStatuses, TaskStatus } from "../../../src/schema/TaskStatus.ts"
import * as Build from "../Builders.ts"
import type { Client } from "../Client.ts"
import * as Drive from "../Drivers.ts"
import * as Recording from "../Recording.ts"
import { refused } from "../Refusals.ts"
import { startServer } from "../Server.ts"

const { one, two } = await startServer()
const plan = await Drive.aPlan(one)
const taking = await Drive.aFunction(one)
const transient = Build.output(Build.everybody, true)

const disable = (actor: Client, task: Build.Keyed, identifier = "out") =>
  actor.disableOutput({ computeTaskKey: Build.keyOf(task), identifier })

/** A task that has ended, with models of its output `out`. */
const ended = async ({ by = one, end = "DONE" as Drive.Action, models = transient, count = 1 } = {}) => {
  const outputs = { out: Build.many(Build.model), other: Build.model }
  const task = await Drive.aTaskIn(one, "STATUS_EXECUTING", { worker: by, outputs, models })
  for (let n = 0; n < count; n++) await Drive.aModel(by, task)
  await Drive.act(by, task, end)
  return task
}
const childOf = (parent: Build.Keyed, identifier = "out") =>
  Drive.aTask(one, { fn: taking, plan, inputs: [Build.from("models", parent, identifier)] })
const endedChildOf = async (parent: Build.Keyed, end: Drive.Action = "CANCELED") => {
  const child = await childOf(parent)
  if (end === "DONE") await Drive.act(one, child, "EXECUTING")
  await Drive.act(one, child, end)
}

describe("DisableOutput is refused", () => {
  it("of an unknown task", async () => {
    const key = Build.newKey()
    await refused(disable(one, key), "OE0002", `computetask with key "${key}" not found`)
  })

  it("to anyone but the worker, the owner too, whatever else is wrong", async () => {
    const task = await Drive.aTaskIn(one, "STATUS_EXECUTING", { worker: two })
    await refused(disable(one, task, "none"), "OE0102", "only the worker can disable a task output")
  })

  const unfinished = TaskStatus.literals.filter((status) => !finalStatuses.includes(status))
  it.each(unfinished)("while the task is in %s", async (status) => {
    await refused(disable(one, await Drive.aTaskIn(one, status, { models: transient })), "OE0108")
  })

  it("of an output that the task does not have", async () => {
    const task = await ended()
    await endedChildOf(task)
    await refused(disable(one, task, "none"), "OE0108")
  })

  it("of an output that is not transient", async () => {
    const task = await ended({ models: Build.output() })
    await endedChildOf(task)
    await refused(disable(one, task), "OE0108")
  })

  it("of an output that nothing is registered for", async () => {
    const task = await ended()
    await endedChildOf(task)
    await refused(disable(one, task, "other"), "OE0108")
  })

  it("of a performance", async () => {
    const outputs = { out: Build.many(Build.model), score: Build.performance }
    const task = await Drive.aTaskIn(one, "STATUS_EXECUTING", { outputs, models: transient })
    await one.registerPerformance({
      computeTaskKey: task.key,
      computeTaskOutputIdentifier: "score",
      performanceValue: 1
    })
    await Drive.act(one, task, "DONE")
    await endedChildOf(task)
    await refused(disable(one, task, "score"), "OE0108")
  })

  it("of a task without children", async () => {
    await refused(disable(one, await ended()), "OE0108")
  })

  it("while a child has not ended, though another has, and whatever output it takes", async () => {
    const task = await ended()
    await endedChildOf(task)
    const child = await childOf(task, "other")
    await refused(disable(one, task), "OE0108")
    await Drive.act(one, child, "EXECUTING")
    await refused(disable(one, task), "OE0108")
    await Drive.act(one, child, "DONE")
    await disable(one, task)
  })

  it("the second time", async () => {
    const task = await ended()
    await endedChildOf(task)
    await disable(one, task)
    await refused(disable(one, task), "OE0108")
  })
})

describe("DisableOutput", () => {
  const events = (task: ComputeTask, identifier = "out") =>
    Recording.recorded(one, async () => expect(await disable(one, task, identifier)).toEqual({}))
  const modelsOf = async (task: ComputeTask) =>
    (await one.getComputeTaskOutputModels({ computeTaskKey: task.key })).models

  it.each(["DONE", "FAILED", "CANCELED"] as const)("works when the task is %s", async (end) => {
    const task = await ended({ end })
    const child = await childOf(task)
    if (end === "DONE") await Drive.act(one, child, "FAILED")
    else expect(child.status).toBe("STATUS_CANCELED")
    expect(await events(task)).toHaveLength(1)
  })

  it.each(["DONE", "FAILED", "CANCELED"] as const)("works when the children are %s", async (end) => {
    const task = await ended()
    await endedChildOf(task, end)
    expect(await events(task)).toHaveLength(1)
  })

  it("takes every model of the output its address, in the order of their registration, and no other's", async () => {
    const outputs = { out: Build.many(Build.model), other: Build.model }
    const task = await Drive.aTaskIn(one, "STATUS_EXECUTING", { outputs, models: transient })
    await Drive.aModel(one, task)
    const kept = await Drive.aModel(one, task, "other")
    const keys = Build.newKeys(3).reverse()
    await one.registerModels({ models: keys.map((key) => Build.newModel(task, "out", key)) })
    await Drive.act(one, task, "DONE")
    await endedChildOf(task)
    const before = await modelsOf(task)
    const disabled = before.filter(({ key }) => key !== kept.key).map((model) => ({ ...model, address: undefined }))

    const sent = await events(task)
    expect(sent.map(Recording.short)).toEqual(disabled.map(({ key }) => ["MODEL", "DISABLED", key]))
    expect(sent.map(Recording.assetOf)).toEqual(disabled)
    expect(await one.getModel({ key: kept.key })).toEqual(kept)
    expect(await Promise.all(disabled.map(({ key }) => one.getModel({ key })))).toEqual(disabled)
    expect((await modelsOf(task)).map(({ key }) => key)).toEqual(before.map(({ key }) => key))
  })

  it("keeps the parent from getting children", async () => {
    const task = await ended({ count: 2 })
    await endedChildOf(task)
    await events(task)
    const [first] = await modelsOf(task)
    await refused(childOf(task, "other"), "OE0101", `Model "${first?.key}" has been disabled`)
  })

  it("leaves the same output of other tasks", async () => {
    const [task, other] = [await ended(), await ended()]
    await endedChildOf(task)
    const before = await modelsOf(other)
    await events(task)
    expect(await modelsOf(other)).toEqual(before)
  })
})
