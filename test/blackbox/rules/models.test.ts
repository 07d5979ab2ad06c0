/** RegisterModels, RegisterModel and what reads them. */
import { describe, expect, it } from "vitest"
import type { NewModel } from "../../../src/layers/wire/generated/model.ts"
import { TaskStatus } from "../../../src/schema/TaskStatus.ts"
import * as Build from "../Builders.ts"
import * as Drive from "../Drivers.ts"
import * as Recording from "../Recording.ts"
import { invalid, refused } from "../Refusals.ts"
import { startServer } from "../Server.ts"

const { one, two } = await startServer()
const outputs = { out: Build.model, many: Build.many(Build.model), score: Build.performance }
const executing = (worker = one) => Drive.aTaskIn(two, "STATUS_EXECUTING", { worker, outputs })
const register = (...models: Array<NewModel>) => one.registerModels({ models })
const task = await executing()
const taken = await Drive.aModel(one, task, "many")

describe("RegisterModels", async () => {
  it("refuses an empty list", async () => {
    await refused(register(), "OE0003")
  })

  it("looks for the task of the first, before anything else", async () => {
    const absent = Build.newKey()
    const models = [{ ...Build.newModel(absent), key: "no key" }, Build.newModel(task, "none")]
    await refused(register(...models), "OE0002", `computetask with key "${absent}" not found`)
  })

  const other = await executing(two)
  const faults = [
    ["it is of another task", { computeTaskKey: other.key }, "OE0003", "All models should be part of the same task"],
    [
      "it is not valid",
      { address: undefined },
      "OE0101",
      /^OE0101: model is not valid: models\[1\]\.address: [^;]+\.$/
    ],
    [
      "the task has no such output",
      { computeTaskOutputIdentifier: "none" },
      "OE0106",
      `Task "${task.key}" has no output named "none"`
    ],
    [
      "the output is no model",
      { computeTaskOutputIdentifier: "score" },
      "OE0107",
      `Incompatible kind for task "${task.key}": output "score" expects "ASSET_PERFORMANCE", received "ASSET_MODEL"`
    ],
    ["its key is taken", { key: taken.key.toUpperCase() }, "OE0006", `model with key "${taken.key}" already exists`]
  ] as const

  it.each(faults)("refuses the whole batch when %s, at its turn", async (_, change, kind, text) => {
    const [first, last] = [Build.newModel(task, "many"), { ...Build.newModel(task, "none"), key: taken.key }]
    const bad = { ...Build.newModel(task, "many"), ...change }
    const events = await Recording.recorded(one, () => refused(register(first, bad, last), kind, text))
    expect(events).toEqual([])
    await refused(one.getModel({ key: first.key }), "OE0002", `model with key "${first.key}" not found`)
  })

  const pairs = faults.flatMap((first, index) => faults.slice(index + 1).map((second) => [first, second] as const))
  it.each(pairs.filter(([[, a], [, b]]) => !Object.keys(a).some((name) => name in b)))(
    "of two faults names the first in its order (%$)",
    async ([, first, kind, text], [, second]) => {
      const model = { ...Build.newModel(task, "many"), ...second, ...first }
      await refused(register(Build.newModel(task, "many"), model), kind, text)
    }
  )

  it("is for the worker, not for the owner", async () => {
    const wrong = Build.newModel(task, "none")
    await refused(two.registerModels({ models: [wrong] }), "OE0102", `only "${one.id}" worker can register model`)
    await invalid(two.registerModels({ models: [{ ...wrong, key: "" }] }), "models[0].key")
  })

  it.each(TaskStatus.literals.filter((status) => status !== "STATUS_EXECUTING"))(
    "is not for a task in %s",
    async (status) => {
      const waiting = await Drive.aTaskIn(one, status)
      const text = `cannot register model for task with status "${status}"`
      await refused(register(Build.newModel(waiting, "none")), "OE0003", text)
    }
  )

  it("takes one model for a single output, however they come", async () => {
    const single = await executing()
    const text = `compute task "${single.key}" already has its unique output "out" registered`
    await refused(register(Build.newModel(single), Build.newModel(single)), "OE0006", text)
    await register(Build.newModel(single))
    await refused(register(Build.newModel(single)), "OE0006", text)
    await refused(register({ ...Build.newModel(single), key: taken.key }), "OE0006", text)
  })

  it("takes a key once", async () => {
    const twice = Build.newModel(task, "many")
    await refused(register(twice, { ...twice, key: twice.key.toUpperCase() }), "OE0006", /already exists/)
  })

  it("makes models with the output's permissions, owned by the worker, each followed by what it is the output of", async () => {
    const outputPermissions = Build.output(Build.only(two.id))
    const made = await Drive.aTaskIn(one, "STATUS_EXECUTING", { outputs, models: outputPermissions })
    const models = [Build.newModel(made, "many"), Build.newModel(made), Build.newModel(made, "many")]
    let answered: Awaited<ReturnType<typeof register>>["models"] = []
    const events = await Recording.recorded(one, async () => {
      answered = (await register(...models)).models
    })
    const permission = { public: false, authorizedIds: [two.id, one.id] }
    expect(answered).toEqual(
      models.map(({ address, key }) => ({
        key,
        computeTaskKey: made.key,
        address,
        permissions: { process: permission, download: permission },
        owner: one.id,
        creationDate: events[0]?.timestamp
      }))
    )
    expect(events.map(Recording.short)).toEqual(
      models.flatMap(({ key }) => [
        ["MODEL", "CREATED", key],
        ["COMPUTE_TASK_OUTPUT_ASSET", "CREATED", made.key]
      ])
    )
    expect(events.map(Recording.assetOf)).toEqual(
      answered.flatMap((model, index) => [
        model,
        {
          computeTaskKey: made.key,
          computeTaskOutputIdentifier: models[index]?.computeTaskOutputIdentifier,
          assetKind: "ASSET_MODEL",
          assetKey: model.key
        }
      ])
    )
    expect(await Promise.all(models.map(({ key }) => two.getModel({ key })))).toEqual(answered)
    expect(await Drive.statusOf(one, made)).toBe("STATUS_EXECUTING")
  })

  it("may name one storage address twice", async () => {
    const [first, second] = [Build.newModel(task, "many"), Build.newModel(task, "many")]
    const { models } = await register(first, { ...second, address: first.address })
    expect(models.map(({ address }) => address)).toEqual([first.address, first.address])
  })
})

describe("RegisterModel", () => {
  it("is RegisterModels with one", async () => {
    const single = await executing()
    const model = Build.newModel(single)
    const events = await Recording.recorded(one, async () => {
      expect(await one.registerModel(model)).toMatchObject({
        key: model.key,
        computeTaskKey: single.key,
        owner: one.id
      })
    })
    expect(events.map(Recording.short)).toEqual([
      ["MODEL", "CREATED", model.key],
      ["COMPUTE_TASK_OUTPUT_ASSET", "CREATED", single.key]
    ])
    const again = `compute task "${single.key}" already has its unique output "out" registered`
    await refused(one.registerModel(Build.newModel(single)), "OE0006", again)
    await invalid(one.registerModel({ ...Build.newModel(single), key: "", address: undefined }), "key", "address")
  })
})

describe("GetComputeTaskOutputModels", () => {
  it("answers in the order of registration", async () => {
    const made = await executing()
    const keys = Build.newKeys(6).reverse()
    await register(...keys.slice(0, 4).map((key) => Build.newModel(made, "many", key)))
    for (const key of keys.slice(4)) await register(Build.newModel(made, "many", key))
    const { models } = await two.getComputeTaskOutputModels({ computeTaskKey: made.key.toUpperCase() })
    expect(models.map(({ key }) => key)).toEqual(keys)
  })

  it("of an unknown task is empty", async () => {
    expect(await one.getComputeTaskOutputModels({ computeTaskKey: Build.newKey() })).toEqual({ models: [] })
  })
})
