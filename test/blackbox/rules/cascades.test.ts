/** What one change moves besides: the tasks of a function, the children of a task, the plan of a task that fails. */
import { describe, expect, it } from "vitest"
import type { ComputeTask } from "../../../src/layers/wire/generated/computetask.ts"
import type { Event } from "../../../src/layers/wire/generated/event.ts"
import type { FunctionMessage } from "../../../src/layers/wire/generated/function.ts"
import type { TaskStatus } from "../../../src/schema/TaskStatus.ts"
import * as Build from "../Builders.ts"
import type { Client } from "../Client.ts"
import * as Drive from "../Drivers.ts"
import * as Recording from "../Recording.ts"
import { startServer } from "../Server.ts"

const { one, two } = await startServer()

const tasksOf = (
  owner: Client,
  fn: FunctionMessage,
  plan: Build.Keyed,
  count: number,
  ...parents: Array<Build.Keyed>
) => {
  const inputs = parents.map((parent) => Build.from("models", parent))
  return Drive.register(
    owner,
    ...Build.newKeys(count)
      .reverse()
      .map((key) => Build.newTask(fn, plan, { key, worker: owner.id, inputs }))
  )
}

/** Of one call: the keys alone decide. */
const byKey = (tasks: ReadonlyArray<ComputeTask>) => tasks.toSorted((a, b) => (a.key < b.key ? -1 : 1))

const moved = (tasks: ReadonlyArray<Build.Keyed>, reason: string) =>
  tasks.map((task) => ["COMPUTE_TASK", "UPDATED", Build.keyOf(task), reason])
const planUpdated = (plan: Build.Keyed) => ["COMPUTE_PLAN", "UPDATED", Build.keyOf(plan)]
const functionUpdated = ({ key }: FunctionMessage) => ["FUNCTION", "UPDATED", key, "User action"]

const statuses = (tasks: ReadonlyArray<Build.Keyed>): Promise<Array<TaskStatus>> =>
  Promise.all(tasks.map((task) => Drive.statusOf(one, task)))

/** Every event shows its asset as it is now, and all have one time. */
const expectWhole = async (events: ReadonlyArray<Event>) => {
  for (const event of events) {
    const asset = event.asset
    if (asset?.$case === "computeTask") expect(asset.value).toEqual(await one.getTask({ key: event.assetKey }))
    if (asset?.$case === "computePlan") expect(asset.value).toEqual(await one.getPlan({ key: event.assetKey }))
  }
  expect(new Set(events.map(({ timestamp }) => `${timestamp?.seconds}.${timestamp?.nanos}`)).size).toBe(1)
}

const expectEvents = async (calls: () => Promise<unknown>, expected: ReadonlyArray<ReadonlyArray<string>>) => {
  const events = await Recording.recorded(one, calls)
  expect(events.map(Recording.short)).toEqual(expected)
  if (events.length > 0) await expectWhole(events)
  return events
}

const apply = (fn: FunctionMessage, action: "BUILDING" | "READY" | "CANCELED" | "FAILED") => () =>
  one.applyFunctionAction({ functionKey: fn.key, action: `FUNCTION_ACTION_${action}` })

describe("a function that starts to build", () => {
  it("takes its waiting tasks along, of every plan and owner, oldest first, then by key", async () => {
    const fn = await Drive.aFunction(one, { status: "FUNCTION_STATUS_WAITING" })
    const plan = await Drive.aPlan(one)
    const first = await tasksOf(one, fn, plan, 3)
    const second = await tasksOf(two, fn, await Drive.aPlan(two), 3)
    const third = await tasksOf(one, fn, plan, 1, first[0] as ComputeTask)
    const all = [...byKey(first), ...byKey(second), ...third]
    await expectEvents(apply(fn, "BUILDING"), [functionUpdated(fn), ...moved(all, "User action")])
    expect(await statuses(all)).toEqual(all.map(() => "STATUS_BUILDING"))
  })

  it("leaves tasks that have ended", async () => {
    const fn = await Drive.aFunction(one, { status: "FUNCTION_STATUS_WAITING" })
    const [canceled, failed, waiting] = await tasksOf(one, fn, await Drive.aPlan(one), 3)
    await Drive.act(one, canceled as ComputeTask, "CANCELED")
    await Drive.act(one, failed as ComputeTask, "FAILED")
    await expectEvents(apply(fn, "BUILDING"), [functionUpdated(fn), ...moved([waiting as ComputeTask], "User action")])
  })
})

describe("a function that becomes ready", () => {
  it("sends each of its tasks where its parents stand", async () => {
    const fn = await Drive.aFunction(one, { status: "FUNCTION_STATUS_WAITING" })
    const plan = await Drive.aPlan(one)
    const parents = {
      DONE: await Drive.aTaskIn(one, "STATUS_EXECUTING"),
      EXECUTING: await Drive.aTaskIn(one, "STATUS_EXECUTING"),
      FAILED: await Drive.aTaskIn(one, "STATUS_EXECUTING"),
      CANCELED: await Drive.aTaskIn(one, "STATUS_EXECUTING")
    }
    const child = async (...of: Array<keyof typeof parents>) =>
      (await tasksOf(one, fn, plan, 1, ...of.map((name) => parents[name])))[0] as ComputeTask
    const children = [
      await child(),
      await child("DONE"),
      await child("DONE", "DONE"),
      await child("EXECUTING"),
      await child("DONE", "EXECUTING"),
      await child("FAILED"),
      await child("CANCELED", "DONE")
    ]
    await apply(fn, "BUILDING")()
    for (const name of ["DONE", "FAILED", "CANCELED"] as const) await Drive.act(one, parents[name], name)
    await expectEvents(apply(fn, "READY"), [
      functionUpdated(fn),
      ...moved(children, `Function ${fn.key} finished building`)
    ])
    const [free, waiting] = ["STATUS_WAITING_FOR_EXECUTOR_SLOT", "STATUS_WAITING_FOR_PARENT_TASKS"]
    expect(await statuses(children)).toEqual([free, free, free, waiting, waiting, waiting, waiting])
  })
})

describe("a function that is canceled", () => {
  it.each(["WAITING", "BUILDING"] as const)("while %s cancels its tasks, and no plan", async (status) => {
    const fn = await Drive.aFunction(one, { status: `FUNCTION_STATUS_${status}` })
    const tasks = byKey(await tasksOf(one, fn, await Drive.aPlan(one), 3))
    await expectEvents(apply(fn, "CANCELED"), [functionUpdated(fn), ...moved(tasks, "User action")])
    expect(await statuses(tasks)).toEqual(tasks.map(() => "STATUS_CANCELED"))
  })
})

describe("a function that fails", () => {
  it("fails its tasks, then their plans, in the order of their first tasks", async () => {
    const fn = await Drive.aFunction(one, { status: "FUNCTION_STATUS_BUILDING" })
    const [early, late, ended] = [await Drive.aPlan(one), await Drive.aPlan(two), await Drive.aPlan(one)]
    const tasks = [
      ...(await tasksOf(one, fn, ended, 1)),
      ...(await tasksOf(two, fn, late, 1)),
      ...byKey(await tasksOf(one, fn, early, 2)),
      ...(await tasksOf(two, fn, late, 1))
    ]
    await one.applyPlanAction({ key: ended.key, action: "PLAN_ACTION_CANCELED" })
    const events = await expectEvents(apply(fn, "FAILED"), [
      functionUpdated(fn),
      ...moved(tasks, "User action"),
      planUpdated(late),
      planUpdated(early)
    ])
    expect(await statuses(tasks)).toEqual(tasks.map(() => "STATUS_FAILED"))
    expect((await one.getPlan({ key: early.key })).failureDate).toEqual(events[0]?.timestamp)
    expect((await one.getPlan({ key: ended.key })).failureDate).toBeUndefined()
  })
})

describe("a task that is done", async () => {
  const fn = await Drive.aFunction(one)
  const plan = await Drive.aPlan(one)
  const executing = async () => {
    const task = await Drive.aTask(one, { fn, plan })
    await Drive.act(one, task, "EXECUTING")
    return task
  }
  const done = (task: ComputeTask) => () => Drive.act(one, task, "DONE")
  const last = (task: ComputeTask) => `Last parent task ${task.key} done`

  it("frees its children, of whatever plan and owner, oldest first, then by key", async () => {
    const parent = await executing()
    const first = await tasksOf(one, fn, plan, 3, parent)
    const theirs = await tasksOf(two, fn, await Drive.aPlan(two), 1, parent)
    const second = await tasksOf(one, fn, await Drive.aPlan(one), 3, parent)
    const children = [...byKey(first), ...theirs, ...byKey(second)]
    await expectEvents(done(parent), [...moved([parent], "User action"), ...moved(children, last(parent))])
    expect(await statuses(children)).toEqual(children.map(() => "STATUS_WAITING_FOR_EXECUTOR_SLOT"))
  })

  it("frees a child once, however often it is named", async () => {
    const parent = await executing()
    const children = await tasksOf(one, fn, plan, 1, parent, parent, parent)
    await expectEvents(done(parent), [...moved([parent], "User action"), ...moved(children, last(parent))])
  })

  it("frees a child only as its last parent", async () => {
    const [first, second] = [await executing(), await executing()]
    const children = await tasksOf(one, fn, plan, 1, first, second)
    await expectEvents(done(first), moved([first], "User action"))
    expect(await statuses(children)).toEqual(["STATUS_WAITING_FOR_PARENT_TASKS"])
    await expectEvents(done(second), [...moved([second], "User action"), ...moved(children, last(second))])
  })

  it("frees no child that another parent has left waiting for ever", async () => {
    const [first, second] = [await executing(), await executing()]
    const children = await tasksOf(one, fn, plan, 1, first, second)
    await expectEvents(() => Drive.act(one, first, "CANCELED"), moved([first], "User action"))
    await expectEvents(done(second), moved([second], "User action"))
    expect(await statuses(children)).toEqual(["STATUS_WAITING_FOR_PARENT_TASKS"])
  })

  it("frees no child that is built, canceled, or a grandchild", async () => {
    const parent = await executing()
    const building = await tasksOf(
      one,
      await Drive.aFunction(one, { status: "FUNCTION_STATUS_BUILDING" }),
      plan,
      1,
      parent
    )
    const canceled = await tasksOf(one, fn, plan, 1, parent)
    await Drive.act(one, canceled[0] as ComputeTask, "CANCELED")
    const child = await tasksOf(one, fn, plan, 1, parent)
    const grandchild = await tasksOf(one, fn, plan, 1, child[0] as ComputeTask)
    await expectEvents(done(parent), [...moved([parent], "User action"), ...moved(child, last(parent))])
    expect(await statuses([...building, ...canceled, ...grandchild])).toEqual([
      "STATUS_BUILDING",
      "STATUS_CANCELED",
      "STATUS_WAITING_FOR_PARENT_TASKS"
    ])
  })

  it("gives its own reason to itself only", async () => {
    const parent = await executing()
    const children = await tasksOf(one, fn, plan, 1, parent)
    const apply = () => one.applyTaskAction({ computeTaskKey: parent.key, action: "TASK_ACTION_DONE", log: "at last" })
    await expectEvents(apply, [...moved([parent], "at last"), ...moved(children, last(parent))])
  })
})

describe("a task that fails", () => {
  it("fails its plan, once, and leaves its children", async () => {
    const plan = await Drive.aPlan(one)
    const fn = await Drive.aFunction(one)
    const [first, second] = (await tasksOf(one, fn, plan, 2)) as [ComputeTask, ComputeTask]
    const children = await tasksOf(one, fn, plan, 2, first)
    const events = await expectEvents(
      () => Drive.act(one, first, "FAILED"),
      [...moved([first], "User action"), planUpdated(plan)]
    )
    const { failureDate } = await one.getPlan({ key: plan.key })
    expect(failureDate).toEqual(events[0]?.timestamp)
    await expectEvents(() => Drive.act(one, second, "FAILED"), moved([second], "User action"))
    expect((await one.getPlan({ key: plan.key })).failureDate).toEqual(failureDate)
    expect(await statuses(children)).toEqual(children.map(() => "STATUS_WAITING_FOR_PARENT_TASKS"))
  })

  it("changes no plan that is canceled, also not later", async () => {
    const plan = await Drive.aPlan(one)
    const task = await Drive.aTask(one, { plan })
    await one.applyPlanAction({ key: plan.key, action: "PLAN_ACTION_CANCELED" })
    const canceled = await one.getPlan({ key: plan.key })
    await expectEvents(() => Drive.act(one, task, "FAILED"), moved([task], "User action"))
    expect(await one.getPlan({ key: plan.key })).toEqual(canceled)
  })
})

describe("a task that is canceled", () => {
  it("changes neither its plan nor its children", async () => {
    const plan = await Drive.aPlan(one)
    const fn = await Drive.aFunction(one)
    const [task] = (await tasksOf(one, fn, plan, 1)) as [ComputeTask]
    const children = await tasksOf(one, fn, plan, 2, task)
    await expectEvents(() => Drive.act(one, task, "CANCELED"), moved([task], "User action"))
    expect(await statuses(children)).toEqual(children.map(() => "STATUS_WAITING_FOR_PARENT_TASKS"))
    expect(await one.getPlan({ key: plan.key })).toEqual(plan)
  })
})
