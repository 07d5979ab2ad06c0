/** Profiling steps: an event each, once for an asset and a name. */
import { describe, expect, it } from "vitest"
import * as Build from "../Builders.ts"
import * as Recording from "../Recording.ts"
import { invalid } from "../Refusals.ts"
import { startServer } from "../Server.ts"

const { one, two } = await startServer()

describe("a profiling step", () => {
  const stepsOf = (key: string) => Recording.eventsOf(one, key)

  it("makes one event, of any organization and for any key, in lower case", async () => {
    const assetKey = Build.newKey()
    const step = { assetKey: assetKey.toUpperCase(), step: "Build image 🧪", duration: 4294967295 }
    expect(await two.registerProfilingStep(step)).toEqual({})
    const events = await stepsOf(assetKey)
    expect(events.map(Recording.short)).toEqual([["PROFILING_STEP", "CREATED", assetKey]])
    expect(events.map(Recording.assetOf)).toEqual([{ ...step, assetKey }])
  })

  it("of a name that the asset already has is accepted, and makes no event", async () => {
    const assetKey = Build.newKey()
    const register = (step: string, duration: number, key = assetKey) =>
      one.registerProfilingStep({ assetKey: key, step, duration })
    await register("build", 1)
    expect(await register("build", 2, assetKey.toUpperCase())).toEqual({})
    await register("Build", 1)
    await two.registerProfilingStep({ assetKey, step: "build", duration: 3 })
    expect((await stepsOf(assetKey)).map(Recording.assetOf)).toEqual([
      { assetKey, step: "build", duration: 1 },
      { assetKey, step: "Build", duration: 1 }
    ])
  })

  it("makes one event also when it is registered many times at once", async () => {
    const assetKey = Build.newKey()
    const clients = [one, two, one, two, one, two, one, two]
    await Promise.all(
      clients.map((client, index) => client.registerProfilingStep({ assetKey, step: "s", duration: index + 1 }))
    )
    expect(await stepsOf(assetKey)).toHaveLength(1)
  })

  it.each([
    [{ assetKey: "" }, "asset_key"],
    [{ assetKey: "x" }, "asset_key"],
    [{ step: "" }, "step"],
    [{ step: "é".repeat(101) }, "step"],
    [{ duration: 0 }, "duration"]
  ])("is not valid with %j", async (fields, field) => {
    const step = { assetKey: Build.newKey(), step: "é".repeat(100), duration: 1 }
    await one.registerProfilingStep(step)
    await invalid(one.registerProfilingStep({ ...step, ...fields }), field)
  })
})
