/**
 * ApplyTaskAction: every action on every status by everyone, as the state machine's data has it. The transitions that
 * follow a function or a parent, BUILDING among them: cascades.test.ts.
 */
import { describe, expect, it } from "vitest"
import { ComputeTaskAction } from "../../../src/layers/wire/generated/computetask.ts"
import { type TaskAction, TaskStatus, taskActions, taskTransitions } from "../../../src/schema/TaskStatus.ts"
import * as Build from "../Builders.ts"
import type { Client } from "../Client.ts"
import * as Drive from "../Drivers.ts"
import * as Recording from "../Recording.ts"
import { refused } from "../Refusals.ts"
import { startServer } from "../Server.ts"

const { one, two } = await startServer()

/** Who acts, and whose the task is. */
const casts = {
  "its owner": { actor: one, owner: one, worker: two, roles: ["owner"] },
  "its worker": { actor: one, owner: two, worker: one, roles: ["worker"] },
  "its owner and worker": { actor: one, owner: one, worker: one, roles: ["owner", "worker"] },
  "another organization": { actor: one, owner: two, worker: two, roles: [] }
} as const satisfies Record<string, { actor: Client; owner: Client; worker: Client; roles: ReadonlyArray<string> }>
type Who = keyof typeof casts

interface Case {
  readonly action: ComputeTaskAction
  readonly status: TaskStatus
  readonly who: Who
  readonly outcome: { readonly becomes: TaskStatus } | { readonly refusal: readonly ["OE0102" | "OE0104", string] }
}

const outcomeOf = (action: ComputeTaskAction, status: TaskStatus, who: Who): Case["outcome"] => {
  const known = action in taskActions ? taskActions[action as TaskAction] : undefined
  if (known === undefined || !casts[who].roles.some((role) => (known.actors as ReadonlyArray<string>).includes(role))) {
    return { refusal: ["OE0102", "only task owner can update it"] }
  }
  const { from, to } = taskTransitions[known.transition]
  return from.includes(status)
    ? { becomes: to }
    : { refusal: ["OE0104", `event ${known.transition} inappropriate in current state ${status}`] }
}

const cases = Object.values(ComputeTaskAction).flatMap((action) =>
  TaskStatus.literals.flatMap((status) =>
    (Object.keys(casts) as Array<Who>).map((who) => ({ action, status, who, outcome: outcomeOf(action, status, who) }))
  )
)
const title = ({ action, outcome, status, who }: Case) =>
  `${action} by ${who} on ${status}: ${"becomes" in outcome ? outcome.becomes : outcome.refusal[0]}`

/** What is refused changes nothing, so that one task is enough for all such cases. */
const untouched = new Map<string, ReturnType<typeof Drive.aTaskIn>>()
const taskFor = ({ outcome, status, who }: Case) => {
  const { owner, worker } = casts[who]
  const fresh = () => Drive.aTaskIn(owner, status, { worker })
  if ("becomes" in outcome) return fresh()
  const task = untouched.get(`${status} ${who}`) ?? fresh()
  untouched.set(`${status} ${who}`, task)
  return task
}

describe("ApplyTaskAction", () => {
  it.each(cases.map((each) => ({ ...each, title: title(each) })))("$title", async (each) => {
    const task = await taskFor(each)
    const { actor } = casts[each.who]
    const apply = () => actor.applyTaskAction({ computeTaskKey: task.key, action: each.action })
    const events = await Recording.recorded(one, async () => {
      if ("becomes" in each.outcome) expect(await apply()).toEqual({})
      else await refused(apply(), ...each.outcome.refusal)
    })
    const after = await one.getTask({ key: task.key })
    if ("becomes" in each.outcome) {
      const failed = each.outcome.becomes === "STATUS_FAILED"
      expect(after).toEqual({ ...task, status: each.outcome.becomes })
      expect(events.map(Recording.short)).toEqual([
        ["COMPUTE_TASK", "UPDATED", task.key, "User action"],
        ...(failed ? [["COMPUTE_PLAN", "UPDATED", task.computePlanKey]] : [])
      ])
      expect(Recording.assetOf(events[0] as never)).toEqual(after)
    } else {
      expect(after).toEqual(task)
      expect(events).toEqual([])
    }
  })

  it("of an unknown task is refused, whatever the action", async () => {
    const key = Build.newKey()
    for (const action of ["TASK_ACTION_DONE", "TASK_ACTION_UNKNOWN"] as const) {
      await refused(
        one.applyTaskAction({ computeTaskKey: key, action }),
        "OE0002",
        `computetask with key "${key}" not found`
      )
    }
  })

  it("gives its log as the event's reason, whatever is in it", async () => {
    const task = await Drive.aTask(one)
    const log = 'started "now"\n\t{1} ünïcode 🧪 %s __proto__'
    const events = await Recording.recorded(one, () =>
      one.applyTaskAction({ computeTaskKey: task.key.toUpperCase(), action: "TASK_ACTION_EXECUTING", log })
    )
    expect(events.map(Recording.short)).toEqual([["COMPUTE_TASK", "UPDATED", task.key, log]])
  })
})
