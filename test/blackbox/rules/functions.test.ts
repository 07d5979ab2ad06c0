/** Functions, data managers and organizations: their permissions, updates and queries. */
import { describe, expect, it } from "vitest"
import type { NewPermissions } from "../../../src/layers/wire/generated/common.ts"
import { FunctionStatus } from "../../../src/schema/FunctionStatus.ts"
import * as Build from "../Builders.ts"
import * as Drive from "../Drivers.ts"
import * as Recording from "../Recording.ts"
import { invalid, refused } from "../Refusals.ts"
import { startServer } from "../Server.ts"

const { elsewhere, one, two } = await startServer()

describe("permissions", () => {
  const [a, b] = [one.id, two.id]
  const cases: ReadonlyArray<readonly [string, NewPermissions, NewPermissions]> = [
    ["nobody's get the owner", Build.only(), Build.only(a)],
    ["another's get the owner, last", Build.only(b), Build.only(b, a)],
    ["the owner's stay", Build.only(a, b), Build.only(a, b)],
    ["doubled ones stay doubled", Build.only(b, a, b), Build.only(b, a, b)],
    ["public ones get the owner", Build.everybody, { public: true, authorizedIds: [a] }],
    [
      "public ones may name whom they want",
      { public: true, authorizedIds: ["Nobody", ""] },
      { public: true, authorizedIds: ["Nobody", "", a] }
    ]
  ]

  it.each(cases)("%s", async (_, asked, given) => {
    const both = { process: given, download: given }
    const fn = await one.registerFunction(Build.newFunction({ newPermissions: asked }))
    const manager = await Drive.aManager(one, { newPermissions: asked, logsPermission: asked })
    expect([fn.permissions, manager.permissions, manager.logsPermission]).toEqual([both, both, given])
    expect(await two.getFunction({ key: fn.key })).toEqual(fn)
    expect(await two.getDataManager({ key: manager.key })).toEqual(manager)
  })

  it.each([["Nobody"], [one.id.toLowerCase()], [""], [one.id, "Nobody"]])(
    "that are not public name organizations of the channel: %j",
    async (...ids) => {
      const bad = Build.only(...ids)
      const text = "invalid permission input values"
      await refused(one.registerFunction(Build.newFunction({ newPermissions: bad })), "OE0003", text)
      await refused(Drive.aManager(one, { newPermissions: bad }), "OE0003", text)
      await refused(Drive.aManager(one, { logsPermission: bad }), "OE0003", text)
    }
  )
})

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

describe("a data manager", () => {
  it("is registered with one event, and read by anyone", async () => {
    const asked = Build.newDataManager({ type: "a type", metadata: new Map([["a", "b"]]) })
    let manager: unknown
    const events = await Recording.recorded(one, async () => {
      manager = await one.registerDataManager(asked)
    })
    const { key, description, metadata, name, opener } = asked
    const creationDate = events[0]?.timestamp
    expect(manager).toMatchObject({ key, description, metadata, name, opener, type: "", owner: one.id, creationDate })
    expect(events.map(Recording.short)).toEqual([["DATA_MANAGER", "CREATED", key]])
    expect(events.map(Recording.assetOf)).toEqual([manager])
    expect(await two.getDataManager({ key })).toEqual(manager)
    await refused(two.registerDataManager(asked), "OE0006", `datamanager with key "${key}" already exists`)
  })

  it("is renamed by its owner", async () => {
    const manager = await Drive.aManager(one)
    const { key } = manager
    const events = await Recording.recorded(one, () => one.updateDataManager({ key, name: "renamed" }))
    expect(events.map(Recording.short)).toEqual([["DATA_MANAGER", "UPDATED", key]])
    expect(events.map(Recording.assetOf)).toEqual([{ ...manager, name: "renamed" }])
    expect(await one.getDataManager({ key })).toEqual({ ...manager, name: "renamed" })
    await refused(two.updateDataManager({ key, name: "x" }), "OE0102")
    const absent = Build.newKey()
    await refused(
      one.updateDataManager({ key: absent, name: "x" }),
      "OE0002",
      `datamanager with key "${absent}" not found`
    )
  })
})

describe("organizations", () => {
  it("are registered once on each channel, and all are listed by creation date", async () => {
    await refused(one.registerOrganization(), "OE0006", `organization with key "${one.id}" already exists`)
    for (const reader of [one, elsewhere]) {
      const { organizations } = await reader.getAllOrganizations()
      expect(organizations.map(({ id }) => id).sort()).toEqual([one.id, two.id])
      const dates = organizations.map(
        ({ creationDate: date }) => (date?.seconds ?? 0n) * 10n ** 9n + BigInt(date?.nanos ?? 0)
      )
      expect(dates).toEqual(dates.toSorted((x, y) => Number(x - y)))
      const [event] = await Recording.eventsOf(reader, one.id)
      expect(event?.asset?.value).toEqual(organizations.find(({ id }) => id === one.id))
    }
  })
})
