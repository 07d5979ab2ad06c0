/** RegisterTasks, in which order: what is checked first, how a batch is sorted, and that it is taken whole or not. */
import { describe, expect, it } from "vitest"
import type { NewComputeTask } from "../../../src/layers/wire/generated/computetask.ts"
import * as Build from "../Builders.ts"
import * as Drive from "../Drivers.ts"
import * as Recording from "../Recording.ts"
import { invalid, type Kind, refused } from "../Refusals.ts"
import { startServer } from "../Server.ts"

const { one, two } = await startServer()
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
const exists = (asset: Build.Keyed) => `computetask with key "${Build.keyOf(asset)}" already exists`

describe("RegisterTasks looks", () => {
  it("first whether there is a task", async () => {
    await refused(register(), "OE0003", "no task to register")
  })

  it("then at the form of every task, and names all that is wrong in all of them", async () => {
    const [taken] = await Drive.register(one, task())
    const bad = { ...task(), key: "no-key", inputs: [{ identifier: "", ref: undefined }] }
    await invalid(
      register({ ...task(), key: taken.key }, bad, { ...task(), functionKey: "" }),
      "tasks[1].key",
      "tasks[1].inputs[0].identifier",
      "tasks[1].inputs[0].ref",
      "tasks[2].function_key"
    )
  })

  it("then whether a key is taken, and names the first such task", async () => {
    const [first, second] = await Drive.register(one, task(), task())
    const orphan = { ...childOf(Build.newKey()), key: first.key }
    await refused(register(task(), orphan, { ...task(), key: second.key }), "OE0006", exists(first))
  })

  it("whether a key comes twice in the batch", async () => {
    const doubled = task()
    await refused(
      register(task(), doubled, { ...childOf(Build.newKey()), key: doubled.key }),
      "OE0006",
      exists(doubled)
    )
  })

  it("at keys in whatever letter case", async () => {
    const doubled = task()
    const shouted = { ...task(), key: doubled.key.toUpperCase() }
    await refused(register(doubled, shouted), "OE0006", exists(doubled))
    await register(doubled)
    await refused(register(shouted), "OE0006", exists(doubled))
  })

  it("then at the graph, before any asset that a task names", async () => {
    const lost = { ...childOf(Build.newKey()), computePlanKey: Build.newKey() }
    await refused(register({ ...task(), functionKey: Build.newKey() }, lost), "OE0101", unsorted(1))
  })

  it("then at one sorted task after the other, so that parents are refused before their children", async () => {
    const parent = { ...task(), functionKey: Build.newKey() }
    const child = { ...childOf(parent), computePlanKey: Build.newKey() }
    await refused(register(child, parent), "OE0002", `function with key "${parent.functionKey}" not found`)
    const other = { ...task(), computePlanKey: Build.newKey() }
    await refused(register(other, child, parent), "OE0002", `computeplan with key "${other.computePlanKey}" not found`)
  })
})

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

/** A model that is disabled, and the task that made it. */
const disabledModel = async () => {
  const made = await Drive.aTaskIn(one, "STATUS_EXECUTING", { models: Build.output(Build.everybody, true) })
  const { key } = await Drive.aModel(one, made)
  await Drive.act(one, made, "DONE")
  const child = await Drive.aTask(one, { fn, inputs: [Build.from("models", made)] })
  await Drive.act(one, child, "EXECUTING", "DONE")
  await one.disableOutput({ computeTaskKey: made.key, identifier: "out" })
  return { key, taskKey: made.key }
}

const secret = await Drive.aFunction(two, { newPermissions: Build.only() })
const theirs = await Drive.aPlan(two)
const disabled = await disabledModel()

describe("of several faults of one task, RegisterTasks names the first in its order:", () => {
  interface Fault {
    readonly name: string
    /** Two faults of one aspect cannot be had together. */
    readonly aspect: string
    readonly of: (task: NewComputeTask) => NewComputeTask
    readonly kind: Kind
    readonly text: string | RegExp
  }

  const absent = Build.newKey()
  const outputsOf = (task: NewComputeTask, outputs: Build.TaskFields["outputs"]) => ({
    ...task,
    outputs: new Map(Object.entries(outputs ?? {}))
  })
  const inputsOf = (task: NewComputeTask, ...inputs: NewComputeTask["inputs"]) => ({
    ...task,
    inputs: [...task.inputs, ...inputs]
  })

  const faults: ReadonlyArray<Fault> = [
    {
      name: "the plan is unknown",
      aspect: "plan",
      of: (task) => ({ ...task, computePlanKey: absent }),
      kind: "OE0002",
      text: `computeplan with key "${absent}" not found`
    },
    {
      name: "the plan is another organization's",
      aspect: "plan",
      of: (task) => ({ ...task, computePlanKey: theirs.key }),
      kind: "OE0102",
      text: "Cannot register tasks to a compute plan you don't own"
    },
    {
      name: "the function is unknown",
      aspect: "function",
      of: (task) => ({ ...task, functionKey: absent }),
      kind: "OE0002",
      text: `function with key "${absent}" not found`
    },
    {
      name: "the function is not for the requester",
      aspect: "function",
      of: (task) => ({ ...task, functionKey: secret.key }),
      kind: "OE0102",
      text: `not authorized to process function "${secret.key}"`
    },
    {
      name: "a parent's model is disabled",
      aspect: "parent",
      of: (task) => inputsOf(task, Build.from("models", disabled.taskKey)),
      kind: "OE0101",
      text: `Model "${disabled.key}" has been disabled`
    },
    {
      name: "an output is for an unknown organization",
      aspect: "outputs",
      of: (task) => outputsOf(task, { out: Build.output(Build.only("Nobody")) }),
      kind: "OE0003",
      text: "invalid permission input values"
    },
    {
      name: "there is no worker",
      aspect: "worker",
      of: (task) => ({ ...task, worker: "" }),
      kind: "OE0003",
      text: "Worker cannot be inferred and must be explicitly set"
    },
    {
      name: "the worker is unknown",
      aspect: "worker",
      of: (task) => ({ ...task, worker: "Nobody" }),
      kind: "OE0002",
      text: 'organization with key "Nobody" not found'
    },
    {
      name: "an input's model is unknown",
      aspect: "model",
      of: (task) => inputsOf(task, Build.asset("models", absent)),
      kind: "OE0002",
      text: `model with key "${absent}" not found`
    },
    { name: "an output is missing", aspect: "outputs", of: (task) => outputsOf(task, {}), kind: "OE0101", text: /out/ }
  ]

  const pairs = faults.flatMap((first, index) =>
    faults
      .slice(index + 1)
      .filter(({ aspect }) => aspect !== first.aspect)
      .map((second) => ({ first, second }))
  )

  it.each(faults)("$name", async ({ kind, of, text }) => {
    await refused(register(of(task())), kind, text)
  })

  it.each(pairs)("$first.name, before: $second.name", async ({ first, second }) => {
    await refused(register(first.of(second.of(task()))), first.kind, first.text)
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
