/** GetTaskInputAssets: when it may be asked, and what stands for each input. */
import { describe, expect, it } from "vitest"
import { TaskStatus } from "../../../src/schema/TaskStatus.ts"
import * as Build from "../Builders.ts"
import * as Drive from "../Drivers.ts"
import { refused } from "../Refusals.ts"
import { startServer } from "../Server.ts"

const { one, two } = await startServer()
const plan = await Drive.aPlan(one)
const ofMany = await Drive.aFunction(one, { outputs: { out: Build.many(Build.model), other: Build.model } })
const taking = await Drive.aFunction(one)

const assetsOf = async (task: Build.Keyed, reader = one) =>
  (await reader.getTaskInputAssets({ computeTaskKey: Build.keyOf(task) })).assets

const answered: ReadonlyArray<TaskStatus> = ["STATUS_WAITING_FOR_EXECUTOR_SLOT", "STATUS_EXECUTING", "STATUS_FAILED"]

describe("GetTaskInputAssets", () => {
  it.each(TaskStatus.literals)("of a task in %s is answered or refused", async (status) => {
    const task = await Drive.aTaskIn(one, status)
    if (answered.includes(status)) expect(await assetsOf(task)).toEqual([])
    else {
      const text = `Task inputs may not be defined in current task status ("${status}")`
      await refused(assetsOf(task), "OE0003", text)
    }
  })

  it("of an unknown task is refused", async () => {
    const key = Build.newKey()
    await refused(assetsOf(key), "OE0002", `computetask with key "${key}" not found`)
  })

  it("answers one asset for each input by key, in the order of the inputs, to anyone", async () => {
    const onData = await Drive.aFunction(one, {
      inputs: { opener: Build.dataManager, samples: Build.many(Build.dataSample), models: Build.many(Build.model) }
    })
    const manager = await Drive.aManager(one)
    const samples = await Drive.samplesOf(one, [manager], 2)
    const made = await Drive.aTaskIn(one, "STATUS_EXECUTING", { outputs: { out: Build.many(Build.model) } })
    const models = [await Drive.aModel(one, made), await Drive.aModel(one, made)] as const
    const inputs = [
      Build.asset("models", models[1]),
      Build.asset("samples", samples[1] as Build.Keyed),
      Build.asset("opener", manager),
      Build.asset("samples", samples[0] as Build.Keyed),
      Build.asset("models", models[0])
    ]
    const task = await Drive.aTask(one, { fn: onData, plan, inputs })
    const expected = [
      { identifier: "models", asset: { $case: "model", value: models[1] } },
      { identifier: "samples", asset: { $case: "dataSample", value: samples[1] } },
      { identifier: "opener", asset: { $case: "dataManager", value: manager } },
      { identifier: "samples", asset: { $case: "dataSample", value: samples[0] } },
      { identifier: "models", asset: { $case: "model", value: models[0] } }
    ]
    expect(await assetsOf(task)).toEqual(expected)
    expect(await assetsOf(task, two)).toEqual(expected)
  })

  it("answers the assets as they are now", async () => {
    const onData = await Drive.aFunction(one, {
      inputs: { opener: Build.dataManager, samples: Build.many(Build.dataSample) }
    })
    const [manager, other] = [await Drive.aManager(one), await Drive.aManager(one)]
    const sample = await Drive.aSample(one, manager)
    const inputs = [Build.asset("opener", manager), Build.asset("samples", sample)]
    const task = await Drive.aTask(one, { fn: onData, plan, inputs })
    await one.updateDataManager({ key: manager.key, name: "renamed" })
    await one.updateDataSamples({ keys: [sample.key], dataManagerKeys: [other.key] })
    expect((await assetsOf(task)).map(({ asset }) => asset?.value)).toEqual([
      { ...manager, name: "renamed" },
      { ...sample, dataManagerKeys: [manager.key, other.key] }
    ])
  })

  it("answers for a parent's output all of its models, none, one or many, in the order of their registration", async () => {
    const parent = () => Drive.aTask(one, { fn: ofMany, plan })
    const [none, single, several] = [await parent(), await parent(), await parent()]
    const parents = [none, single, several]
    for (const parent of parents) await Drive.act(one, parent, "EXECUTING")
    const elsewhere = await Drive.aModel(one, several, "other")
    const keys = Build.newKeys(4).reverse()
    const { models } = await one.registerModels({ models: keys.map((key) => Build.newModel(several, "out", key)) })
    const later = await Drive.aModel(one, several)
    const alone = await Drive.aModel(one, single)
    for (const parent of parents) await Drive.act(one, parent, "DONE")
    const inputs = [several, none, single].map((parent) => Build.from("models", parent))
    const task = await Drive.aTask(one, { fn: taking, plan, inputs })
    expect(await assetsOf(task)).toEqual(
      [...models, later, alone].map((value) => ({ identifier: "models", asset: { $case: "model", value } }))
    )
    expect(models.map(({ key }) => key)).toEqual(keys)
    const of = await Drive.aTask(one, { fn: taking, plan, inputs: [Build.from("models", several, "other")] })
    expect((await assetsOf(of)).map(({ asset }) => asset?.value)).toEqual([elsewhere])
  })

  it("answers a disabled model without its address", async () => {
    const parent = await Drive.aTaskIn(one, "STATUS_EXECUTING", { models: Build.output(Build.everybody, true) })
    const model = await Drive.aModel(one, parent)
    await Drive.act(one, parent, "DONE")
    const child = await Drive.aTask(one, { fn: taking, plan, inputs: [Build.from("models", parent)] })
    await Drive.act(one, child, "FAILED")
    await one.disableOutput({ computeTaskKey: parent.key, identifier: "out" })
    expect((await assetsOf(child)).map(({ asset }) => asset?.value)).toEqual([{ ...model, address: undefined }])
  })
})
