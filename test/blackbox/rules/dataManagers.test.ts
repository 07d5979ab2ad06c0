/** Data managers: registered, renamed, and the data set that each makes with its samples. */
import { describe, expect, it } from "vitest"
import * as Build from "../Builders.ts"
import * as Drive from "../Drivers.ts"
import * as Recording from "../Recording.ts"
import { refused } from "../Refusals.ts"
import { startServer } from "../Server.ts"

const { one, two } = await startServer()
const other = await Drive.aManager(one)

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

describe("GetDataset", () => {
  it("is the data manager and the keys of its samples, by creation date and key", async () => {
    const fresh = await Drive.aManager(one)
    expect(await two.getDataset({ key: fresh.key })).toEqual({ dataManager: fresh, dataSampleKeys: [] })
    const batch = Build.newKeys(4).reverse()
    await one.registerDataSamples({ samples: batch.map((key) => Build.newDataSample([other, fresh], key)) })
    const later = await Drive.aSample(one, fresh)
    await Drive.aSample(one, other)
    const { dataSampleKeys } = await two.getDataset({ key: fresh.key.toUpperCase() })
    expect(dataSampleKeys).toEqual([...batch.toSorted(), later.key])
  })

  it("of an unknown data manager is refused", async () => {
    const key = Build.newKey()
    await refused(one.getDataset({ key }), "OE0002", `datamanager with key "${key}" not found`)
  })
})
