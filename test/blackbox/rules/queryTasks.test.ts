/** GetTask and QueryTasks: what each filter finds. */
import { describe, expect, it } from "vitest"
import { TaskQueryFilter } from "../../../src/layers/wire/generated/computetask.ts"
import { TaskStatus } from "../../../src/schema/TaskStatus.ts"
import * as Build from "../Builders.ts"
import { message } from "../Client.ts"
import * as Drive from "../Drivers.ts"
import { refused } from "../Refusals.ts"
import { startServer } from "../Server.ts"

const { one, two } = await startServer()

const query = async (filter: Partial<TaskQueryFilter>) =>
  (await two.queryTasks({ filter: message(TaskQueryFilter, filter), pageSize: 10_000 })).tasks

const plan = await Drive.aPlan(one)
const [fn, other] = [await Drive.aFunction(one), await Drive.aFunction(one)]
const inPlan = { computePlanKey: plan.key }
const mine = await Drive.aTask(one, { fn, plan, metadata: new Map([["a", "b"]]) })
const theirs = await Drive.aTask(one, { fn, plan, worker: two.id })
const another = await Drive.aTask(one, { fn: other, plan, inputs: [Build.from("models", mine)] })
const elsewhere = await Drive.aTask(one, { fn })

describe("QueryTasks", () => {
  it("finds whole tasks by their plan, as GetTask answers them", async () => {
    expect(await query(inPlan)).toEqual([mine, theirs, another])
    expect(await query({ computePlanKey: plan.key.toUpperCase() })).toHaveLength(3)
    for (const task of [mine, another]) expect(await two.getTask({ key: task.key })).toEqual(task)
  })

  it("finds them by their function", async () => {
    expect(await query({ functionKey: fn.key })).toEqual([mine, theirs, elsewhere])
  })

  it("finds them by their worker, an id as it is", async () => {
    expect(await query({ ...inPlan, worker: two.id })).toEqual([theirs])
    expect(await query({ ...inPlan, worker: two.id.toLowerCase() })).toEqual([])
  })

  it.each(TaskStatus.literals)("finds them by %s", async (status) => {
    const fresh = await Drive.aPlan(one)
    const found = await Drive.aTaskIn(one, status, { plan: fresh })
    await Drive.aTaskIn(one, status === "STATUS_DONE" ? "STATUS_EXECUTING" : "STATUS_DONE", { plan: fresh })
    const keys = (await query({ computePlanKey: fresh.key, status })).map(({ key }) => key)
    expect(keys).toContain(found.key)
    expect(keys).not.toHaveLength(0)
    for (const task of await query({ computePlanKey: fresh.key, status })) expect(task.status).toBe(status)
  })

  it("combines filters with and", async () => {
    const status = "STATUS_WAITING_FOR_EXECUTOR_SLOT"
    expect(await query({ ...inPlan, functionKey: fn.key, worker: one.id, status })).toEqual([mine])
    expect(await query({ ...inPlan, functionKey: other.key, worker: two.id })).toEqual([])
  })

  it("finds nothing by a status that the contract does not know, and everything by none", async () => {
    expect(await query({ ...inPlan, status: "UNRECOGNIZED" })).toEqual([])
    expect(await query({ ...inPlan, status: "STATUS_UNKNOWN" })).toHaveLength(3)
    expect((await two.queryTasks({ pageSize: 10_000 })).tasks.map(({ key }) => key)).toContain(elsewhere.key)
  })
})

describe("GetTask", () => {
  it("of an unknown task is refused", async () => {
    const key = Build.newKey()
    await refused(one.getTask({ key }), "OE0002", `computetask with key "${key}" not found`)
  })
})
