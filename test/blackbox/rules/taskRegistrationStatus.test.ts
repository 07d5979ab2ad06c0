/** The status that a task is registered with, for every state of its function and of its parents. */
import { describe, expect, it } from "vitest"
import { FunctionStatus } from "../../../src/schema/FunctionStatus.ts"
import { TaskStatus } from "../../../src/schema/TaskStatus.ts"
import * as Build from "../Builders.ts"
import * as Drive from "../Drivers.ts"
import { startServer } from "../Server.ts"

const { one } = await startServer()

const inEach = async <Status extends string, A>(
  statuses: ReadonlyArray<Status>,
  make: (status: Status) => Promise<A>
): Promise<Readonly<Record<Status, A>>> =>
  Object.fromEntries(await Promise.all(statuses.map(async (status) => [status, await make(status)])))

const functions = await inEach(FunctionStatus.literals, (status) => Drive.aFunction(one, { status }))
const parents = await inEach(TaskStatus.literals, (status) => Drive.aTaskIn(one, status))
const plan = await Drive.aPlan(one)

/** The rule. */
const expectedStatus = (fn: FunctionStatus, parents: ReadonlyArray<TaskStatus>): TaskStatus => {
  if (parents.includes("STATUS_FAILED") || parents.includes("STATUS_CANCELED")) return "STATUS_CANCELED"
  if (fn === "FUNCTION_STATUS_WAITING") return "STATUS_WAITING_FOR_BUILDER_SLOT"
  if (fn === "FUNCTION_STATUS_BUILDING") return "STATUS_BUILDING"
  if (fn === "FUNCTION_STATUS_FAILED") return "STATUS_FAILED"
  if (fn === "FUNCTION_STATUS_CANCELED") return "STATUS_CANCELED"
  return parents.every((parent) => parent === "STATUS_DONE")
    ? "STATUS_WAITING_FOR_EXECUTOR_SLOT"
    : "STATUS_WAITING_FOR_PARENT_TASKS"
}

const name = (status: string) => status.replace(/^.*STATUS_/, "")

const combinations: ReadonlyArray<ReadonlyArray<TaskStatus>> = [
  [],
  ...TaskStatus.literals.map((status) => [status]),
  ["STATUS_DONE", "STATUS_DONE"],
  ["STATUS_DONE", "STATUS_EXECUTING"],
  ["STATUS_DONE", "STATUS_FAILED"],
  ["STATUS_EXECUTING", "STATUS_CANCELED"]
]

const cases = FunctionStatus.literals.flatMap((fn) =>
  combinations.map((of) => ({
    fn,
    of,
    expected: expectedStatus(fn, of),
    title: `of a function ${name(fn)} ${of.length === 0 ? "without parents" : `with parents ${of.map(name)}`}`
  }))
)

const newTask = (fn: FunctionStatus, ...of: ReadonlyArray<Build.Keyed>) =>
  Build.newTask(functions[fn], plan, {
    worker: one.id,
    inputs: of.map((parent) => Build.from("models", parent))
  })

describe("a new task", () => {
  it.each(cases)("$title is $expected", async ({ expected, fn, of }) => {
    // One parent in twice gives no other status.
    const [task] = await Drive.register(one, newTask(fn, ...of.map((status) => parents[status])))
    expect(task.status).toBe(expected)
    expect(await Drive.statusOf(one, task.key)).toBe(expected)
  })

  it.each(FunctionStatus.literals)("whose parent is in the same batch follows from it (function %s)", async (fn) => {
    const parent = newTask(fn)
    const child = newTask("FUNCTION_STATUS_READY", parent)
    const grandchild = newTask("FUNCTION_STATUS_BUILDING", child)
    const tasks = await Drive.register(one, grandchild, child, parent)
    const [first, second] = [expectedStatus(fn, []), expectedStatus("FUNCTION_STATUS_READY", [expectedStatus(fn, [])])]
    expect(tasks.map(({ status }) => status)).toEqual([
      first,
      second,
      expectedStatus("FUNCTION_STATUS_BUILDING", [second])
    ])
  })

  it("that is FAILED from the start does not fail its plan", async () => {
    const fresh = await Drive.aPlan(one)
    await Drive.register(one, { ...newTask("FUNCTION_STATUS_FAILED"), computePlanKey: fresh.key })
    expect(await one.getPlan({ key: fresh.key })).toEqual(fresh)
  })
})
