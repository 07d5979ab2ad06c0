/** Permissions: what is made of those that are asked for, and that they never limit reading. */
import { describe, expect, it } from "vitest"
import type { NewPermissions } from "../../../src/layers/wire/generated/common.ts"
import * as Build from "../Builders.ts"
import * as Drive from "../Drivers.ts"
import * as Recording from "../Recording.ts"
import { refused } from "../Refusals.ts"
import { startServer } from "../Server.ts"

const { one, two } = await startServer()

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

it("every organization of a channel reads every asset and event of it, whatever the permissions", async () => {
  const nobody = Build.only()
  const fn = await Drive.aFunction(one, { newPermissions: nobody })
  const manager = await Drive.aManager(one, { newPermissions: nobody, logsPermission: nobody })
  const sample = await Drive.aSample(one, manager)
  const made = await Drive.aTaskIn(one, "STATUS_EXECUTING", { models: Build.output(nobody) })
  const model = await Drive.aModel(one, made)
  await Drive.act(one, made, "FAILED")
  const task = await one.getTask({ key: made.key })
  expect(await two.getFunction({ key: fn.key })).toEqual(await one.getFunction({ key: fn.key }))
  expect(await two.getDataManager({ key: manager.key })).toEqual(manager)
  expect(await two.getDataset({ key: manager.key })).toMatchObject({ dataSampleKeys: [sample.key] })
  expect(await two.getDataSample({ key: sample.key })).toEqual(sample)
  expect(await two.getTask({ key: made.key })).toEqual(task)
  expect(await two.getModel({ key: model.key })).toEqual(await one.getModel({ key: model.key }))
  for (const { key } of [fn, manager, sample, made, model]) {
    const events = await Recording.eventsOf(one, key)
    expect(events.length).toBeGreaterThan(0)
    expect(await Recording.eventsOf(two, key)).toEqual(events)
  }
})
