/** Calls that decide over the same assets at once: whatever their order, what they leave is whole. */
import { describe, expect, it } from "vitest"
import * as Build from "../Builders.ts"
import type { CallError } from "../CallError.ts"
import * as Drive from "../Drivers.ts"
import * as Recording from "../Recording.ts"
import { startServer } from "../Server.ts"

const { one, two } = await startServer()
const fn = await Drive.aFunction(one)
const rounds = Array.from({ length: 6 }, (_, round) => round)

const inputs = (parents: ReadonlyArray<Build.Keyed>) => parents.map((parent) => Build.from("models", parent))
const executing = async (plan: Build.Keyed, count: number) => {
  const tasks = await Drive.register(
    one,
    ...Array.from({ length: count }, () => Build.newTask(fn, plan, { worker: one.id }))
  )
  for (const task of tasks) await Drive.act(one, task, "EXECUTING")
  return tasks
}
/** How often a task's events say that it came to a status. */
const times = async (task: Build.Keyed, status: string) =>
  (await Recording.eventsOf(one, task)).filter(
    ({ asset, eventKind }) =>
      eventKind === "EVENT_ASSET_UPDATED" && asset?.$case === "computeTask" && asset.value.status === status
  ).length

const free = "STATUS_WAITING_FOR_EXECUTOR_SLOT"

describe("parents that are done at once", () => {
  it.each(rounds)("free their children, each once (%i)", async () => {
    const plan = await Drive.aPlan(one)
    const parents = await executing(plan, 4)
    const children = await Promise.all(rounds.map(() => Drive.aTask(one, { fn, plan, inputs: inputs(parents) })))
    await Promise.all(parents.map((parent) => Drive.act(one, parent, "DONE")))
    for (const child of children) {
      expect(await Drive.statusOf(one, child)).toBe(free)
      expect(await times(child, free)).toBe(1)
    }
  })
})

describe("a parent that is done while its children are registered", () => {
  it.each(rounds)("leaves none waiting (%i)", async () => {
    const plan = await Drive.aPlan(one)
    const parents = await executing(plan, 2)
    const [, , ...children] = await Promise.all([
      ...parents.map((parent) => Drive.act(one, parent, "DONE")),
      ...rounds.map(() => Drive.aTask(one, { fn, plan, inputs: inputs(parents) }))
    ])
    for (const child of children as Array<Build.Keyed>) expect(await Drive.statusOf(one, child)).toBe(free)
  })
})

describe("a function that is ready while parents are done", () => {
  it.each(rounds)("leaves none of its tasks waiting (%i)", async () => {
    const building = await Drive.aFunction(one, { status: "FUNCTION_STATUS_BUILDING" })
    const plan = await Drive.aPlan(one)
    const parents = await executing(plan, 3)
    const children = await Promise.all(
      rounds.map(() => Drive.aTask(one, { fn: building, plan, inputs: inputs(parents) }))
    )
    await Promise.all([
      one.applyFunctionAction({ functionKey: building.key, action: "FUNCTION_ACTION_READY" }),
      ...parents.map((parent) => Drive.act(one, parent, "DONE"))
    ])
    for (const child of children) {
      expect(await Drive.statusOf(one, child)).toBe(free)
      expect(await times(child, free)).toBe(1)
    }
  })
})

describe("one call that many make at once", () => {
  it("starts a task once", async () => {
    const task = await Drive.aTask(one, { fn })
    const answers = await Promise.allSettled(rounds.map(() => Drive.act(one, task, "EXECUTING")))
    expect(answers.filter(({ status }) => status === "fulfilled")).toHaveLength(1)
    const refusals = answers.flatMap((answer) => (answer.status === "rejected" ? [answer.reason as CallError] : []))
    expect(refusals.map(({ details }) => details)).toEqual(
      refusals.map(() => "OE0104: event transitionExecuting inappropriate in current state STATUS_EXECUTING")
    )
    expect(await times(task, "STATUS_EXECUTING")).toBe(1)
  })

  it("fails a plan once", async () => {
    const plan = await Drive.aPlan(one)
    const tasks = await executing(plan, 6)
    await Promise.all(tasks.map((task) => Drive.act(one, task, "FAILED")))
    const events = await Recording.eventsOf(one, plan)
    expect(events.map(Recording.short)).toEqual([
      ["COMPUTE_PLAN", "CREATED", plan.key],
      ["COMPUTE_PLAN", "UPDATED", plan.key]
    ])
    expect(events.at(-1)?.asset?.value).toEqual(await one.getPlan({ key: plan.key }))
  })

  it("registers one model for a single output", async () => {
    const task = await Drive.aTaskIn(one, "STATUS_EXECUTING")
    const answers = await Promise.allSettled(rounds.map(() => Drive.aModel(one, task)))
    expect(answers.filter(({ status }) => status === "fulfilled")).toHaveLength(1)
    expect((await one.getComputeTaskOutputModels({ computeTaskKey: task.key })).models).toHaveLength(1)
    const codes = answers.flatMap((answer) => (answer.status === "rejected" ? [answer.reason.code] : []))
    expect(codes).toEqual(codes.map(() => "ALREADY_EXISTS"))
  })

  it("registers one batch of those that share a key", async () => {
    const key = Build.newKey()
    const batch = () => [Build.newDataSample(), Build.newDataSample([], key), Build.newDataSample()]
    const batches = rounds.map(batch)
    const answers = await Promise.allSettled(
      batches.map((samples, index) => (index % 2 === 0 ? one : two).registerDataSamples({ samples }))
    )
    expect(answers.filter(({ status }) => status === "fulfilled")).toHaveLength(1)
    const keys = batches.flat().map((sample) => sample.key)
    expect((await one.queryDataSamples({ filter: { keys } })).dataSamples).toHaveLength(3)
  })
})
