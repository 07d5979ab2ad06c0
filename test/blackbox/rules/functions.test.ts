/** Functions: registered, updated, and found by the plans that use them. Their states: functionActions.test.ts. */
import { describe, expect, it } from "vitest"
import { FunctionStatus } from "../../../src/schema/FunctionStatus.ts"
import * as Build from "../Builders.ts"
import * as Drive from "../Drivers.ts"
import * as Recording from "../Recording.ts"
import { invalid, refused } from "../Refusals.ts"
import { startServer } from "../Server.ts"

const { one, two } = await startServer()

describe("RegisterFunction", () => {
  it("makes a function that waits, with an empty image and one event", async () => {
    const asked = Build.newFunction({ metadata: new Map([["a", "b"]]) })
    let fn: unknown
    const events = await Recording.recorded(two, async () => {
      fn = await one.registerFunction(asked)
    })
    const { newPermissions: _, ...same } = asked
    expect(fn).toMatchObject({
      ...same,
      owner: one.id,
      status: "FUNCTION_STATUS_WAITING",
      image: { checksum: "", storageAddress: "" },
      creationDate: events[0]?.timestamp
    })
    expect(events.map(Recording.short)).toEqual([["FUNCTION", "CREATED", asked.key]])
    expect(events.map(Recording.assetOf)).toEqual([fn])
    expect(await two.getFunction({ key: asked.key })).toEqual(fn)
  })

  it("looks at the form, then the key, then the permissions", async () => {
    const { key } = await one.registerFunction(Build.newFunction())
    const bad = Build.only("Nobody")
    await invalid(two.registerFunction(Build.newFunction({ key, name: "", newPermissions: bad })), "name")
    const taken = two.registerFunction(Build.newFunction({ key, newPermissions: bad }))
    await refused(taken, "OE0006", `function with key "${key}" already exists`)
  })
})

describe("UpdateFunction", () => {
  const image = Build.addressable()

  it.each(FunctionStatus.literals)("changes name and image of a function in %s", async (status) => {
    const { key } = await Drive.aFunction(one, { status })
    const before = await one.getFunction({ key })
    const events = await Recording.recorded(one, async () => {
      await one.updateFunction({ key, name: "renamed", image })
    })
    const after = { ...before, name: "renamed", image }
    expect(await one.getFunction({ key })).toEqual(after)
    expect(events.map(Recording.short)).toEqual([["FUNCTION", "UPDATED", key]])
    expect(events.map(Recording.assetOf)).toEqual([after])
  })

  it("keeps the image when none is named, or one without checksum", async () => {
    const { key } = await Drive.aFunction(one, { status: "FUNCTION_STATUS_WAITING" })
    await one.updateFunction({ key, name: "a", image })
    await one.updateFunction({ key, name: "b" })
    await one.updateFunction({ key, name: "c", image: { checksum: "", storageAddress: "https://other.example" } })
    expect(await one.getFunction({ key })).toMatchObject({ name: "c", image })
  })

  it("of a READY function ends with an image", async () => {
    const { key } = await Drive.aFunction(one)
    const events = await Recording.recorded(one, () => refused(one.updateFunction({ key, name: "x" }), "OE0101"))
    expect(events).toEqual([])
    await one.updateFunction({ key, name: "x", image })
    await one.updateFunction({ key, name: "y" })
    expect(await one.getFunction({ key })).toMatchObject({ name: "y", image })
  })

  it("is for the owner, of a function that exists", async () => {
    const [{ key }, absent] = [await Drive.aFunction(one), Build.newKey()]
    await refused(two.updateFunction({ key, name: "x" }), "OE0102", "requester does not own the function")
    await refused(one.updateFunction({ key: absent, name: "x" }), "OE0002", `function with key "${absent}" not found`)
  })
})

describe("QueryFunctions", () => {
  it("finds the functions that tasks of a plan use, each once", async () => {
    const plan = await Drive.aPlan(one)
    const [first, second, unused] = [await Drive.aFunction(one), await Drive.aFunction(two), await Drive.aFunction(one)]
    for (const fn of [second, first, second]) await Drive.aTask(one, { fn, plan })
    await Drive.aTask(one, { fn: unused })
    const { Functions } = await two.queryFunctions({ filter: { computePlanKey: plan.key.toUpperCase() } })
    expect(Functions.map(({ key }) => key)).toEqual([first.key, second.key])
    expect((await one.queryFunctions({ filter: { computePlanKey: Build.newKey() } })).Functions).toEqual([])
  })
})
