/** Compute plans: who may do what, their dates, and whether they run. */
import { describe, expect, it } from "vitest"
import { finalStatuses, TaskStatus } from "../../../src/schema/TaskStatus.ts"
import * as Build from "../Builders.ts"
import * as Drive from "../Drivers.ts"
import * as Recording from "../Recording.ts"
import { refused } from "../Refusals.ts"
import { startServer } from "../Server.ts"

const { one, two } = await startServer()

const cancel = (key: string, actor = one) => actor.applyPlanAction({ key, action: "PLAN_ACTION_CANCELED" })

describe("RegisterPlan", () => {
  it("makes a plan of the requester, with one event", async () => {
    const asked = Build.newPlan({ tag: "a tag", metadata: new Map([["a", "b"]]) })
    let plan: unknown
    const events = await Recording.recorded(two, async () => {
      plan = await one.registerPlan(asked)
    })
    const creationDate = events[0]?.timestamp
    expect(plan).toEqual({ ...asked, owner: one.id, creationDate, cancelationDate: undefined, failureDate: undefined })
    expect(events.map(Recording.short)).toEqual([["COMPUTE_PLAN", "CREATED", asked.key]])
    expect(events.map(Recording.assetOf)).toEqual([plan])
    expect(await two.getPlan({ key: asked.key })).toEqual(plan)
    expect((creationDate?.nanos ?? 1) % 1000).toBe(0)
  })

  it("takes a key once", async () => {
    const plan = await Drive.aPlan(one)
    const again = two.registerPlan(Build.newPlan({ key: plan.key.toUpperCase() }))
    await refused(again, "OE0006", `computeplan with key "${plan.key}" already exists`)
  })

  it("of one key at once makes one plan", async () => {
    const { key } = Build.newPlan()
    const names = Array.from({ length: 8 }, (_, n) => `plan ${n}`)
    const answers = await Promise.allSettled(names.map((name) => one.registerPlan(Build.newPlan({ key, name }))))
    const plans = answers.flatMap((answer) => (answer.status === "fulfilled" ? [answer.value] : []))
    expect(plans).toEqual([await one.getPlan({ key })])
    const codes = answers.flatMap((answer) => (answer.status === "rejected" ? [answer.reason.code] : []))
    expect(codes).toEqual(codes.map(() => "ALREADY_EXISTS"))
    expect(await Recording.eventsOf(one, key)).toHaveLength(1)
  })
})

describe("UpdatePlan", () => {
  it("renames, also a plan that has ended", async () => {
    const plan = await Drive.aPlan(one)
    await cancel(plan.key)
    const events = await Recording.recorded(one, () => one.updatePlan({ key: plan.key, name: "renamed" }))
    expect(events.map(Recording.short)).toEqual([["COMPUTE_PLAN", "UPDATED", plan.key]])
    expect(events.map(Recording.assetOf)).toEqual([await one.getPlan({ key: plan.key })])
    expect(await one.getPlan({ key: plan.key })).toMatchObject({ name: "renamed", cancelationDate: expect.anything() })
  })

  it("is for the owner, of a plan that exists", async () => {
    const [{ key }, absent] = [await Drive.aPlan(one), Build.newKey()]
    await refused(two.updatePlan({ key, name: "x" }), "OE0102", "requester does not own the compute plan")
    await refused(one.updatePlan({ key: absent, name: "x" }), "OE0002", `computeplan with key "${absent}" not found`)
  })
})

describe("ApplyPlanAction", () => {
  it("cancels, and touches no task", async () => {
    const { key } = await Drive.aPlan(one)
    const fn = await Drive.aFunction(one)
    const tasks = [await Drive.aTask(one, { fn, plan: key }), await Drive.aTask(one, { fn, plan: key })]
    const events = await Recording.recorded(one, () => cancel(key.toUpperCase()))
    const plan = await one.getPlan({ key })
    expect(events.map(Recording.short)).toEqual([["COMPUTE_PLAN", "UPDATED", key]])
    expect(events.map(Recording.assetOf)).toEqual([plan])
    expect(plan.cancelationDate).toEqual(events[0]?.timestamp)
    for (const task of tasks) expect(await one.getTask({ key: task.key })).toEqual(task)
    await Drive.act(one, tasks[0] as Build.Keyed, "EXECUTING", "DONE")
  })

  it("is refused by an unknown plan, then to others, then for what it does not know, then when the plan has ended", async () => {
    const { key } = await Drive.aPlan(one)
    const absent = Build.newKey()
    const unknown = "PLAN_ACTION_UNKNOWN"
    await refused(
      one.applyPlanAction({ key: absent, action: unknown }),
      "OE0002",
      `computeplan with key "${absent}" not found`
    )
    await refused(two.applyPlanAction({ key, action: unknown }), "OE0102", "only plan owner can act on it")
    for (const action of [unknown, "UNRECOGNIZED"] as const)
      await refused(one.applyPlanAction({ key, action }), "OE0010")
    await cancel(key)
    await refused(one.applyPlanAction({ key, action: unknown }), "OE0010")
    await refused(cancel(key), "OE0109", `compute plan ${key} is already terminated`)
  })

  it("is refused by a plan that failed", async () => {
    const { computePlanKey } = await Drive.aTaskIn(one, "STATUS_FAILED")
    await refused(cancel(computePlanKey), "OE0109", `compute plan ${computePlanKey} is already terminated`)
  })

  it("at once takes effect once", async () => {
    const { key } = await Drive.aPlan(one)
    const answers = await Promise.allSettled(Array.from({ length: 6 }, () => cancel(key)))
    expect(answers.filter(({ status }) => status === "fulfilled")).toHaveLength(1)
    expect(await Recording.eventsOf(one, key)).toHaveLength(2)
  })
})

describe("IsPlanRunning", () => {
  const running = async (key: string) => (await two.isPlanRunning({ key })).isRunning
  const planOf = async (...statuses: ReadonlyArray<TaskStatus>) => {
    const plan = await Drive.aPlan(one)
    for (const status of statuses) await Drive.aTaskIn(one, status, { plan })
    return plan.key
  }

  it("of an unknown plan is refused", async () => {
    const key = Build.newKey()
    await refused(one.isPlanRunning({ key }), "OE0002", `computeplan with key "${key}" not found`)
  })

  it("is false without tasks, true with one that has not ended", async () => {
    expect(await running(await planOf())).toBe(false)
    for (const status of TaskStatus.literals) {
      expect([status, await running(await planOf(status))]).toEqual([status, !finalStatuses.includes(status)])
    }
  })

  it("is false once a task failed or was canceled, whatever the others do", async () => {
    for (const end of ["STATUS_CANCELED", "STATUS_FAILED"] as const) {
      for (const other of ["STATUS_BUILDING", "STATUS_EXECUTING", "STATUS_WAITING_FOR_PARENT_TASKS"] as const) {
        expect([end, other, await running(await planOf(end, other))]).toEqual([end, other, false])
      }
    }
    expect(await running(await planOf("STATUS_DONE", "STATUS_EXECUTING"))).toBe(true)
  })

  it("is false of a plan that is canceled", async () => {
    const key = await planOf("STATUS_EXECUTING")
    await cancel(key)
    expect(await running(key)).toBe(false)
  })
})

describe("QueryPlans", () => {
  it("finds the plans of an owner, by the id as it is", async () => {
    const mine = await Drive.aPlan(one)
    const theirs = await Drive.aPlan(two)
    const keysOf = async (owner: string) =>
      (await one.queryPlans({ filter: { owner }, pageSize: 10_000 })).plans.map(({ key }) => key)
    expect(await keysOf(one.id)).toContain(mine.key)
    expect(await keysOf(one.id)).not.toContain(theirs.key)
    expect(await keysOf("")).toEqual(expect.arrayContaining([mine.key, theirs.key]))
    expect(await keysOf(one.id.toLowerCase())).toEqual([])
  })
})
