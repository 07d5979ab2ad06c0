/** RegisterPerformance and QueryPerformances; a value comes back as it was sent, whatever float it is. */
import { describe, expect, it } from "vitest"
import { TaskStatus } from "../../../src/schema/TaskStatus.ts"
import * as Build from "../Builders.ts"
import * as Drive from "../Drivers.ts"
import * as Recording from "../Recording.ts"
import { invalid, refused } from "../Refusals.ts"
import { startServer } from "../Server.ts"

const { one, two } = await startServer()
const long = "ünïcode ".padEnd(100, "x")
const outputs = { score: Build.performance, other: Build.performance, [long]: Build.performance, out: Build.model }
const executing = () => Drive.aTaskIn(two, "STATUS_EXECUTING", { worker: one, outputs })
const task = await executing()

const performance = (task: Build.Keyed, computeTaskOutputIdentifier = "score", performanceValue = 0.5) => ({
  computeTaskKey: Build.keyOf(task),
  computeTaskOutputIdentifier,
  performanceValue
})
const performancesOf = async (task: Build.Keyed, computeTaskOutputIdentifier = "") => {
  const filter = { computeTaskKey: Build.keyOf(task), computeTaskOutputIdentifier }
  return (await two.queryPerformances({ filter })).Performances
}

describe("RegisterPerformance", () => {
  it("looks at the form first", async () => {
    await invalid(one.registerPerformance(), "compute_task_key", "compute_task_output_identifier")
  })

  it("refuses an unknown task", async () => {
    const key = Build.newKey()
    await refused(one.registerPerformance(performance(key)), "OE0002", `computetask with key "${key}" not found`)
  })

  it("is for the worker, not for the owner", async () => {
    await refused(two.registerPerformance(performance(task, "none")), "OE0102")
  })

  it.each(TaskStatus.literals.filter((status) => status !== "STATUS_EXECUTING"))(
    "is not for a task in %s",
    async (status) => {
      const waiting = await Drive.aTaskIn(one, status)
      const text = `cannot register performance for task with status "${status}"`
      await refused(one.registerPerformance(performance(waiting, "none")), "OE0003", text)
    }
  )

  it("refuses an output that the task does not have", async () => {
    const text = `Task "${task.key}" has no output named "none"`
    await refused(one.registerPerformance(performance(task, "none")), "OE0106", text)
  })

  it("refuses an output that is a model", async () => {
    const text = `Incompatible kind for task "${task.key}": output "out" expects "ASSET_MODEL", received "ASSET_PERFORMANCE"`
    await refused(one.registerPerformance(performance(task, "out")), "OE0107", text)
  })

  it("takes one for an output, and others for other outputs", async () => {
    const scored = await executing()
    await one.registerPerformance(performance(scored))
    const text = `performance with key "${scored.key}|score" already exists`
    await refused(one.registerPerformance(performance(scored, "score", 1)), "OE0006", text)
    await one.registerPerformance(performance(scored, "other"))
    await one.registerPerformance(performance(scored, long))
    expect((await performancesOf(scored)).map((each) => each.computeTaskOutputIdentifier)).toEqual([
      "score",
      "other",
      long
    ])
    expect(await performancesOf(scored, long)).toHaveLength(1)
  })

  it("sends the performance, then what it is the output of", async () => {
    const scored = await executing()
    const events = await Recording.recorded(one, async () => {
      await one.registerPerformance({ ...performance(scored), computeTaskKey: scored.key.toUpperCase() })
    })
    const key = `${scored.key}|score`
    expect(events.map(Recording.short)).toEqual([
      ["PERFORMANCE", "CREATED", key],
      ["COMPUTE_TASK_OUTPUT_ASSET", "CREATED", scored.key]
    ])
    expect(events.map(Recording.assetOf)).toEqual([
      { ...performance(scored), creationDate: events[0]?.timestamp },
      {
        computeTaskKey: scored.key,
        computeTaskOutputIdentifier: "score",
        assetKind: "ASSET_PERFORMANCE",
        assetKey: key
      }
    ])
    expect(await Drive.statusOf(one, scored)).toBe("STATUS_EXECUTING")
  })
})

describe("a performance's value", async () => {
  const fn = await Drive.aFunction(one, { outputs: { score: Build.performance } })
  const plan = await Drive.aPlan(one)
  const values = [0, -1.5, 2 ** -149, 3.4028234663852886e38, Math.fround(0.1), Infinity, -Infinity, NaN]

  it.each(values)("is %s as it was sent", async (value) => {
    const scored = await Drive.aTask(one, { fn, plan })
    await Drive.act(one, scored, "EXECUTING")
    let answered: unknown
    const [streamed] = await Recording.recorded(one, async () => {
      answered = await one.registerPerformance(performance(scored, "score", value))
    })
    const [queried] = await Recording.eventsOf(one, `${scored.key}|score`)
    const [read] = await performancesOf(scored)
    const expected = { ...performance(scored, "score", value), creationDate: streamed?.timestamp }
    expect([answered, read, streamed?.asset?.value, queried?.asset?.value]).toEqual(Array(4).fill(expected))
  })
})

describe("QueryPerformances", () => {
  it("combines its filters", async () => {
    const [first, second] = [await executing(), await executing()]
    for (const each of [first, second]) await one.registerPerformance(performance(each))
    await one.registerPerformance(performance(first, "other"))
    expect(await performancesOf(first)).toHaveLength(2)
    expect(await performancesOf(first, "other")).toHaveLength(1)
    expect(await performancesOf(second, "other")).toEqual([])
    expect(await performancesOf(Build.newKey())).toEqual([])
  })
})
