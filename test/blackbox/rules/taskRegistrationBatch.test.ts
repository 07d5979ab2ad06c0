/** RegisterTasks, a batch: its graph, how it is sorted, and that it is taken whole or not. */
import { describe, expect, it } from "vitest"
import type { NewComputeTask } from "../../../src/layers/wire/generated/computetask.ts"
import * as Build from "../Builders.ts"
import * as Drive from "../Drivers.ts"
import * as Recording from "../Recording.ts"
import { refused } from "../Refusals.ts"
import { startServer } from "../Server.ts"

const { one } = await startServer()
const fn = await Drive.aFunction(one)
const plan = await Drive.aPlan(one)

const task = (fields: Build.TaskFields = {}) => Build.newTask(fn, plan, { worker: one.id, ...fields })
const childOf = (...parents: ReadonlyArray<Build.Keyed>) =>
  task({ inputs: parents.map((parent) => Build.from("models", parent)) })
const register = (...tasks: Array<NewComputeTask>) => one.registerTasks({ tasks })
type Keyed = { readonly key: string }
const keysOf = (tasks: ReadonlyArray<Keyed>) => tasks.map(({ key }) => key)

const unsorted = (count: number) =>
  `cyclic dependency in compute plan graph or unknown task parent, unsorted_tasks_count: ${count}`

describe("the graph of a batch", () => {
  const cycle = () => {
    const [a, b] = [task(), task()]
    const behind = (parent: Keyed) => ({ inputs: [Build.from("models", parent)] })
    return [
      { ...a, ...behind(b) },
      { ...b, ...behind(a) }
    ] as const
  }

  it("may not have a cycle: all that is in it or behind it counts", async () => {
    await refused(register(...cycle()), "OE0101", unsorted(2))
    const [a, b] = cycle()
    const behind = childOf(a)
    await refused(register(task(), behind, a, b, childOf(behind)), "OE0101", unsorted(4))
  })

  it("may not have a task that is its own parent", async () => {
    const alone = task()
    await refused(register({ ...alone, inputs: [Build.from("models", alone)] }), "OE0101", unsorted(1))
  })

  it("may not name an unknown parent: its children and theirs count", async () => {
    const lost = childOf(Build.newKey())
    await refused(register(task(), childOf(lost), lost), "OE0101", unsorted(2))
  })

  it("may have parents in another plan of the channel", async () => {
    const other = await Drive.aTask(one, { fn })
    const { tasks } = await register(childOf(other))
    expect(tasks.map(({ rank }) => rank)).toEqual([1])
  })

  it("is sorted: first those whose parents are registered, in their order, then first in, first out", async () => {
    const registered = await Drive.aTask(one, { fn, plan })
    const [p1, p2, early] = [task(), task(), childOf(registered)]
    const [both, second, first] = [childOf(p1, p2), childOf(p2), childOf(p1)]
    const batch = [both, second, p1, early, first, p2]
    const sorted = [p1, early, p2, first, both, second]
    const events = await Recording.recorded(one, async () => {
      const { tasks } = await register(...batch)
      expect(keysOf(tasks)).toEqual(keysOf(sorted))
      expect(tasks.map(({ rank }) => rank)).toEqual([0, 1, 0, 1, 1, 1])
    })
    expect(events.map(Recording.short)).toEqual(sorted.map(({ key }) => ["COMPUTE_TASK", "CREATED", key]))
  })

  it("is sorted also where a child names a parent several times", async () => {
    const parent = task()
    const child = childOf(parent, parent, parent)
    expect(keysOf((await register(child, parent)).tasks)).toEqual(keysOf([parent, child]))
  })

  it("may be a long chain in reverse", async () => {
    const chain = [task()]
    while (chain.length < 500) chain.push(childOf(chain.at(-1) as NewComputeTask))
    const { tasks } = await register(...chain.toReversed())
    expect(keysOf(tasks)).toEqual(keysOf(chain))
    expect(tasks.map(({ rank }) => rank)).toEqual(chain.map((_, index) => index))
  })
})

describe("a batch is taken whole or not at all", () => {
  it("when a task of it is refused", async () => {
    const batch = Array.from({ length: 5 }, () => task())
    const events = await Recording.recorded(one, async () => {
      await refused(register(...batch, { ...task(), worker: "" }), "OE0003")
    })
    expect(events).toEqual([])
    for (const { key } of batch)
      await refused(one.getTask({ key }), "OE0002", `computetask with key "${key}" not found`)
    expect(keysOf((await register(...batch)).tasks)).toEqual(keysOf(batch))
  })

  it("with one creation date, that of its events, which carry the tasks as they are answered", async () => {
    const batch = [task(), task({ metadata: new Map([["a", "b"]]) })]
    let tasks: Awaited<ReturnType<typeof register>>["tasks"] = []
    const events = await Recording.recorded(one, async () => {
      tasks = (await register(...batch)).tasks
    })
    expect(new Set(tasks.map(({ creationDate }) => `${creationDate?.seconds}.${creationDate?.nanos}`)).size).toBe(1)
    expect(events.map(Recording.assetOf)).toEqual(tasks)
    expect(events.map(({ timestamp }) => timestamp)).toEqual(tasks.map(({ creationDate }) => creationDate))
    expect(await Promise.all(tasks.map(({ key }) => one.getTask({ key })))).toEqual(tasks)
  })
})
