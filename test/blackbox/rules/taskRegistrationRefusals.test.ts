/** RegisterTasks, what it refuses: what is looked at first, and every fault that a task can have, alone and beside another. */
import { describe, it } from "vitest"
import type { NewComputeTask } from "../../../src/layers/wire/generated/computetask.ts"
import * as Build from "../Builders.ts"
import * as Drive from "../Drivers.ts"
import { invalid, type Kind, refused } from "../Refusals.ts"
import { startServer } from "../Server.ts"

const { one, two } = await startServer()
const fn = await Drive.aFunction(one)
const plan = await Drive.aPlan(one)

const task = (fields: Build.TaskFields = {}) => Build.newTask(fn, plan, { worker: one.id, ...fields })
const childOf = (...parents: ReadonlyArray<Build.Keyed>) =>
  task({ inputs: parents.map((parent) => Build.from("models", parent)) })
const register = (...tasks: Array<NewComputeTask>) => one.registerTasks({ tasks })

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
