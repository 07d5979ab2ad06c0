/** RegisterTasks, task by task: who may, the worker, who may read the logs, inputs and outputs of each kind, the rank. */
import { describe, expect, it } from "vitest"
import type { Permission } from "../../../src/layers/wire/generated/common.ts"
import type { NewComputeTask } from "../../../src/layers/wire/generated/computetask.ts"
import * as Build from "../Builders.ts"
import type { Client } from "../Client.ts"
import * as Drive from "../Drivers.ts"
import { refused } from "../Refusals.ts"
import { startServer } from "../Server.ts"

const { one, two } = await startServer()
const plan = await Drive.aPlan(one)
const fn = await Drive.aFunction(one)

const onData = await Drive.aFunction(one, {
  inputs: { opener: Build.dataManager, samples: Build.optional(Build.many(Build.dataSample)) }
})

const task = (fields: Build.TaskFields = {}) => Build.newTask(fn, plan, { worker: one.id, ...fields })
const register = (asked: NewComputeTask) => Drive.register(one, asked)
const withInputs = (...inputs: Build.TaskFields["inputs"] & object) => register(task({ inputs }))

/** Its ids in no promised order. */
const asSet = (permission: Permission | undefined) => ({
  public: permission?.public,
  authorizedIds: permission?.authorizedIds.toSorted()
})

describe("the plan", () => {
  it.each(["canceled", "failed"])("may be %s", async (end) => {
    const ended = await Drive.aPlan(one)
    if (end === "canceled") await one.applyPlanAction({ key: ended.key, action: "PLAN_ACTION_CANCELED" })
    else await Drive.act(one, await Drive.aTask(one, { fn, plan: ended }), "FAILED")
    const added = await Drive.aTask(one, { fn, plan: ended })
    expect(added.status).toBe("STATUS_WAITING_FOR_EXECUTOR_SLOT")
  })
})

describe("the function", () => {
  it("may be one that its owner lets the requester process", async () => {
    const shared = await Drive.aFunction(two, { newPermissions: Build.only(one.id) })
    expect((await Drive.aTask(one, { fn: shared, plan })).functionKey).toBe(shared.key)
  })

  it("need not be one that the worker may process", async () => {
    const own = await Drive.aFunction(one, { newPermissions: Build.only() })
    expect((await Drive.aTask(one, { fn: own, plan, worker: two.id })).worker).toBe(two.id)
  })
})

describe("a task with data", async () => {
  const logs = { public: false, authorizedIds: [one.id, two.id] }
  const manager = await Drive.aManager(two, { logsPermission: Build.only(one.id) })
  const [first, second] = [await Drive.aSample(two, manager), await Drive.aSample(two, manager)]
  const on = (manager: Build.Keyed, samples: ReadonlyArray<Build.Keyed>, worker = "") =>
    Build.newTask(onData, plan, {
      worker,
      inputs: [Build.asset("opener", manager), ...samples.map((sample) => Build.asset("samples", sample))]
    })

  it("is run by the owner of the data manager, named or not", async () => {
    const [inferred] = await register(on(manager, [first]))
    const [named] = await register(on(manager, [first], two.id))
    expect([inferred.worker, named.worker]).toEqual([two.id, two.id])
  })

  it("is run by nobody else", async () => {
    const text = `Specified worker "${one.id}" does not match data manager owner: "${two.id}"`
    await refused(register(on(manager, [first], one.id)), "OE0003", text)
  })

  it("is not inferred from a data manager that does not exist", async () => {
    const absent = Build.newKey()
    await refused(register(on(absent, [])), "OE0002", `datamanager with key "${absent}" not found`)
  })

  it("has the logs permission of the data manager", async () => {
    const [registered] = await register(on(manager, [first]))
    expect(asSet(registered.logsPermission)).toEqual(logs)
    const open = await Drive.aManager(one, { logsPermission: Build.everybody })
    expect((await register(on(open, [])))[0].logsPermission).toEqual(open.logsPermission)
  })

  it("takes many samples, or none where they are optional", async () => {
    const [both] = await register(on(manager, [second, first]))
    expect(both.inputs.map(({ ref }) => ref?.value)).toEqual(
      [second, first].map(Build.keyOf).toSpliced(0, 0, manager.key)
    )
    expect((await register(on(manager, [])))[0].inputs).toHaveLength(1)
  })

  it("takes no samples of another manager", async () => {
    const other = await Drive.aManager(two)
    const foreign = await Drive.aSample(two, other)
    const text = "datasamples do not share a common manager"
    await refused(register(on(manager, [first, foreign])), "OE0101", text)
    const shared = await Drive.aSample(two, other, manager)
    expect((await register(on(manager, [first, shared])))[0].inputs).toHaveLength(3)
  })

  it("needs a data manager that the requester may process", async () => {
    const closed = await Drive.aManager(two, { newPermissions: Build.only() })
    await refused(register(on(closed, [])), "OE0102")
  })

  it("takes managers and samples by their keys only", async () => {
    const parent = await Drive.aTask(one, { fn, plan })
    const [opener, sample] = [Build.asset("opener", manager), Build.asset("samples", first)]
    const given = (...inputs: Build.TaskFields["inputs"] & object) =>
      register(Build.newTask(onData, plan, { worker: two.id, inputs }))
    await refused(given(opener, Build.from("samples", parent)), "OE0101")
    await refused(given(Build.from("opener", parent), sample), "OE0101")
  })

  it("takes one manager", async () => {
    const twice = on(manager, [])
    await refused(register({ ...twice, inputs: [...twice.inputs, ...twice.inputs] }), "OE0101", /opener/)
  })
})

describe("a task without data", () => {
  it("may be run by another organization", async () => {
    expect((await register(task({ worker: two.id })))[0].worker).toBe(two.id)
  })

  it("has logs for the requester only", async () => {
    const [registered] = await register(task({ worker: two.id }))
    expect(registered.logsPermission).toEqual({ public: false, authorizedIds: [one.id] })
  })

  it("has the logs permissions of its parents too", async () => {
    const ownPlan = await Drive.aPlan(two)
    const foreign = await Drive.aTask(two, { plan: ownPlan })
    const [own] = await register(task())
    const [child] = await withInputs(Build.from("models", own), Build.from("models", foreign))
    expect(asSet(child.logsPermission)).toEqual({ public: false, authorizedIds: [one.id, two.id] })
    const [grandchild] = await withInputs(Build.from("models", child), Build.from("models", child))
    expect(asSet(grandchild.logsPermission)).toEqual({ public: false, authorizedIds: [one.id, two.id] })
  })

  it("has public logs, without ids, when a parent has them", async () => {
    const open = await Drive.aManager(one, { logsPermission: Build.everybody })
    const inputs = [Build.asset("opener", open)]
    const [parent, own] = [Build.newTask(onData, plan, { inputs }), task()]
    const child = task({ inputs: [Build.from("models", own), Build.from("models", parent)] })
    const registered = await Drive.register(one, own, parent, child)
    expect(registered.at(-1)?.logsPermission).toEqual({ public: true, authorizedIds: [] })
  })
})

describe("an input", async () => {
  const picky = await Drive.aFunction(one, {
    inputs: { model: Build.model, extra: Build.optional(Build.model), all: Build.optional(Build.many(Build.model)) }
  })
  const parents = await Promise.all([Drive.aTask(one, { fn, plan }), Drive.aTask(one, { fn, plan })])
  const [parent, other] = parents
  const given = (...inputs: Build.TaskFields["inputs"] & object) =>
    register(Build.newTask(picky, plan, { worker: one.id, inputs }))

  it("that is not optional must be there", async () => {
    const text = 'missing task input: this identifier is required by the Function: "model"'
    await refused(given(), "OE0101", text)
    await refused(given(Build.from("extra", parent)), "OE0101", text)
  })

  it("must be one that the function declares", async () => {
    await refused(given(Build.from("model", parent), Build.from("Model", parent)), "OE0101", /"Model"/)
  })

  it("comes twice only if it is multiple", async () => {
    await refused(given(Build.from("model", parent), Build.from("model", other)), "OE0101", /"model"/)
    const [taken] = await given(Build.from("model", parent), Build.from("all", parent), Build.from("all", other))
    expect(taken.inputs).toHaveLength(3)
  })

  it("is answered in the order given", async () => {
    const inputs = [Build.from("all", other), Build.from("model", parent), Build.from("all", parent)]
    const [taken] = await given(...inputs)
    expect(taken.inputs).toEqual(inputs)
    expect((await one.getTask({ key: taken.key })).inputs).toEqual(inputs)
  })

  it("may be a model by its key, which makes no parent", async () => {
    const made = await Drive.aTaskIn(one, "STATUS_EXECUTING")
    const model = await Drive.aModel(one, made)
    const [taken] = await given(Build.asset("model", model.key.toUpperCase()))
    expect(taken).toMatchObject({
      inputs: [Build.asset("model", model)],
      rank: 0,
      status: "STATUS_WAITING_FOR_EXECUTOR_SLOT",
      logsPermission: { public: false, authorizedIds: [one.id] }
    })
  })

  it("must be a model that exists", async () => {
    const manager = await Drive.aManager(one)
    await refused(given(Build.asset("model", manager)), "OE0002", `model with key "${manager.key}" not found`)
  })

  it("must be a model that the worker may process", async () => {
    const made = await Drive.aTaskIn(one, "STATUS_EXECUTING", { models: Build.output(Build.only()) })
    const model = await Drive.aModel(one, made)
    const by = (worker: Client) =>
      register(Build.newTask(picky, plan, { worker: worker.id, inputs: [Build.asset("model", model)] }))
    await refused(by(two), "OE0102")
    expect((await by(one))[0].worker).toBe(one.id)
  })

  it("may be a model that is disabled, by its key", async () => {
    const made = await Drive.aTaskIn(one, "STATUS_EXECUTING", { models: Build.output(Build.everybody, true) })
    const model = await Drive.aModel(one, made)
    await Drive.act(one, made, "DONE")
    const child = await Drive.aTask(one, { fn, plan, inputs: [Build.from("models", made)] })
    await Drive.act(one, child, "EXECUTING", "DONE")
    await one.disableOutput({ computeTaskKey: made.key, identifier: "out" })
    expect((await given(Build.asset("model", model)))[0].inputs).toEqual([Build.asset("model", model)])
  })

  it("must be an output that the parent's function declares", async () => {
    const text = `invalid task input "model": parent task ${parent.key}: function output not found: "none"`
    await refused(given(Build.from("model", parent, "none")), "OE0101", text)
  })

  it("must be an output that the worker may process", async () => {
    const [closed] = await register(task({ outputs: { out: Build.output(Build.only()) } }))
    const by = (worker: Client) =>
      register(Build.newTask(picky, plan, { worker: worker.id, inputs: [Build.from("model", closed)] }))
    await refused(by(two), "OE0102")
    expect((await by(one))[0].rank).toBe(1)
  })

  it("must be of the kind of the output", async () => {
    const scored = await Drive.aTask(one, {
      fn: await Drive.aFunction(one, { outputs: { score: Build.performance } }),
      plan
    })
    await refused(given(Build.from("model", scored, "score")), "OE0101", /"model"/)
  })

  it("takes a multiple output only if it is multiple, and a single one in any case", async () => {
    const several = await Drive.aTask(one, {
      fn: await Drive.aFunction(one, { outputs: { out: Build.many(Build.model) } }),
      plan
    })
    await refused(given(Build.from("model", several)), "OE0101", /"model"/)
    const [taken] = await given(Build.from("model", parent), Build.from("all", several))
    expect(taken.inputs).toHaveLength(2)
  })
})

describe("outputs", async () => {
  const scoring = await Drive.aFunction(one, { outputs: { model: Build.model, score: Build.performance } })
  const given = (outputs: Build.TaskFields["outputs"] & object) =>
    register(Build.newTask(scoring, plan, { worker: one.id, outputs }))
  const everything = { model: Build.output(), score: Build.output() }

  it("are exactly those that the function declares", async () => {
    await refused(given({ model: Build.output() }), "OE0101", /"score"/)
    await refused(given({ ...everything, more: Build.output() }), "OE0101", /"more"/)
  })

  it("get the owner into their permissions", async () => {
    const [taken] = await given({ ...everything, model: Build.output(Build.only(two.id), true) })
    const permission = { public: false, authorizedIds: [two.id, one.id] }
    expect(taken.outputs.get("model")).toEqual({
      permissions: { process: permission, download: permission },
      transient: true
    })
  })

  it("that are performances are public and not transient", async () => {
    await refused(given({ ...everything, score: Build.output(Build.only()) }), "OE0101", /"score"/)
    await refused(given({ ...everything, score: Build.output(Build.everybody, true) }), "OE0101", /"score"/)
  })
})

describe("the rank", () => {
  it("is one more than the highest of the parents'", async () => {
    const chain = [task()]
    for (let n = 0; n < 3; n++) chain.push(task({ inputs: [Build.from("models", chain.at(-1) as Build.Keyed)] }))
    const [root, , , last] = chain as unknown as [Build.Keyed, Build.Keyed, Build.Keyed, Build.Keyed]
    const joined = task({ inputs: [Build.from("models", root), Build.from("models", last)] })
    expect((await Drive.register(one, joined, ...chain)).map(({ rank }) => rank)).toEqual([0, 1, 2, 3, 4])
    expect((await withInputs(Build.from("models", joined)))[0].rank).toBe(5)
  })
})
