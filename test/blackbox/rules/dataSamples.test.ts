/** Data samples: batches, their managers, and updates. The data set that they make: dataManagers.test.ts. */
import { describe, expect, it } from "vitest"
import * as Build from "../Builders.ts"
import * as Drive from "../Drivers.ts"
import * as Recording from "../Recording.ts"
import { refused } from "../Refusals.ts"
import { startServer } from "../Server.ts"

const { one, two } = await startServer()

const manager = await Drive.aManager(one)
const other = await Drive.aManager(one)
const theirs = await Drive.aManager(two)
const register = (...samples: Array<ReturnType<typeof Build.newDataSample>>) => one.registerDataSamples({ samples })
const sampleOf = (key: string) => two.getDataSample({ key })
const notOwned = (key: string) => `requester does not own the datamanager "${key}"`
const exists = (key: string) => `datasample with key "${key}" already exists`

describe("RegisterDataSamples", () => {
  it("registers in the order of the batch, one event each", async () => {
    const samples = [
      Build.newDataSample([other, manager]),
      { ...Build.newDataSample(), testOnly: true },
      Build.newDataSample([manager])
    ]
    let registered: Awaited<ReturnType<typeof register>>["dataSamples"] = []
    const events = await Recording.recorded(one, async () => {
      registered = (await register(...samples)).dataSamples
    })
    const creationDate = events[0]?.timestamp
    expect(registered).toEqual(samples.map((sample) => ({ ...sample, testOnly: false, owner: one.id, creationDate })))
    expect(events.map(Recording.short)).toEqual(samples.map(({ key }) => ["DATA_SAMPLE", "CREATED", key]))
    expect(events.map(Recording.assetOf)).toEqual(registered)
    expect(await Promise.all(samples.map(({ key }) => sampleOf(key)))).toEqual(registered)
  })

  it("registers nothing of an empty batch", async () => {
    const events = await Recording.recorded(one, async () => expect(await register()).toEqual({ dataSamples: [] }))
    expect(events).toEqual([])
  })

  it("counts a manager that is named twice once, at its first place", async () => {
    const twice = Build.newDataSample([other, manager, other.key.toUpperCase(), manager])
    const { dataSamples } = await register(twice)
    expect(dataSamples[0]?.dataManagerKeys).toEqual([other.key, manager.key])
    expect((await sampleOf(twice.key)).dataManagerKeys).toEqual([other.key, manager.key])
  })

  it("goes sample by sample: its managers, then its key", async () => {
    const [taken, absent] = [(await Drive.aSample(one)).key, Build.newKey()]
    const unknown = `datamanager with key "${absent}" not found`
    await refused(register(Build.newDataSample([theirs, absent], taken)), "OE0102", notOwned(theirs.key))
    await refused(register(Build.newDataSample([absent, theirs], taken)), "OE0002", unknown)
    await refused(
      register(Build.newDataSample([manager], taken), Build.newDataSample([absent])),
      "OE0006",
      exists(taken)
    )
    await refused(register(Build.newDataSample([absent]), Build.newDataSample([], taken)), "OE0002", unknown)
  })

  it("refuses a key that comes twice in the batch, and takes all or nothing", async () => {
    const [first, second] = [Build.newDataSample(), Build.newDataSample()]
    const again = { ...second, key: second.key.toUpperCase() }
    const events = await Recording.recorded(one, () =>
      refused(register(first, second, again), "OE0006", exists(second.key))
    )
    expect(events).toEqual([])
    await refused(sampleOf(first.key), "OE0002", `datasample with key "${first.key}" not found`)
    expect((await register(first, second)).dataSamples).toHaveLength(2)
  })
})

describe("UpdateDataSamples", () => {
  const update = (keys: ReadonlyArray<string>, managers: ReadonlyArray<Build.Keyed>) =>
    one.updateDataSamples({ keys: [...keys], dataManagerKeys: managers.map(Build.keyOf) })

  it("adds managers after the old ones, one event each, in the order of the keys", async () => {
    const [a, b] = [await Drive.aSample(one, manager), await Drive.aSample(one)]
    const events = await Recording.recorded(one, async () => {
      expect(await update([b.key, a.key], [other, manager, other])).toEqual({})
    })
    const expected = [
      { ...b, dataManagerKeys: [other.key, manager.key] },
      { ...a, dataManagerKeys: [manager.key, other.key] }
    ]
    expect(events.map(Recording.short)).toEqual([b, a].map(({ key }) => ["DATA_SAMPLE", "UPDATED", key]))
    expect(events.map(Recording.assetOf)).toEqual(expected)
    expect([await sampleOf(b.key), await sampleOf(a.key)]).toEqual(expected)
  })

  it("makes events also when nothing changes, and two for a key named twice", async () => {
    const { key } = await Drive.aSample(one, manager)
    const events = await Recording.recorded(one, () => update([key, key.toUpperCase()], []))
    expect(events.map(Recording.short)).toEqual([key, key].map((each) => ["DATA_SAMPLE", "UPDATED", each]))
    expect((await sampleOf(key)).dataManagerKeys).toEqual([manager.key])
  })

  it("looks at the managers, then at each sample, and takes all or nothing", async () => {
    const [mine, foreign, absent] = [await Drive.aSample(one), await Drive.aSample(two), Build.newKey()]
    const events = await Recording.recorded(one, async () => {
      await refused(update([foreign.key], [absent]), "OE0002", `datamanager with key "${absent}" not found`)
      await refused(update([absent], [theirs]), "OE0102", notOwned(theirs.key))
      await refused(
        update([mine.key, absent, foreign.key], [manager]),
        "OE0002",
        `datasample with key "${absent}" not found`
      )
      await refused(update([mine.key, foreign.key], [manager]), "OE0102", "requester does not own the datasample")
    })
    expect(events).toEqual([])
    expect(await sampleOf(mine.key)).toEqual(mine)
  })

  it("at once loses no manager", async () => {
    const { key } = await Drive.aSample(one)
    const managers = await Promise.all(Array.from({ length: 8 }, () => Drive.aManager(one)))
    await Promise.all(managers.map((each) => update([key], [each])))
    expect((await sampleOf(key)).dataManagerKeys.toSorted()).toEqual(managers.map(Build.keyOf).sort())
  })
})

describe("QueryDataSamples", () => {
  it("finds those of some keys, in its order, whatever else is asked for", async () => {
    const [a, b] = [await Drive.aSample(one), await Drive.aSample(two)]
    const keys = [b.key, Build.newKey(), a.key.toUpperCase(), b.key]
    const { dataSamples } = await one.queryDataSamples({ filter: { keys } })
    expect(dataSamples).toEqual([a, b])
  })
})
