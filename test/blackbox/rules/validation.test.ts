/** What is not valid: every field that is wrong is named, by its path in the contract, with a reason. */
import { describe, expect, it } from "vitest"
import type { Addressable } from "../../../src/layers/wire/generated/common.ts"
import type { NewComputePlan } from "../../../src/layers/wire/generated/computeplan.ts"
import type { NewDataManager } from "../../../src/layers/wire/generated/datamanager.ts"
import type { NewFunction } from "../../../src/layers/wire/generated/function.ts"
import * as Build from "../Builders.ts"
import * as Drive from "../Drivers.ts"
import { invalid, refused } from "../Refusals.ts"
import { startServer } from "../Server.ts"

const { one } = await startServer()

/** Code points count, not bytes or UTF-16 units. */
const long = (count: number) => "\u{1F9EA}".repeat(count)
const tooLong = long(101)

const badMetadata: ReadonlyArray<Map<string, string>> = [new Map([[tooLong, "x"]]), new Map([["x", tooLong]])]

describe("a plan", () => {
  const cases: ReadonlyArray<readonly [Partial<NewComputePlan>, string]> = [
    [{ key: "" }, "key"],
    [{ key: "x" }, "key"],
    [{ name: "" }, "name"],
    [{ name: tooLong }, "name"],
    [{ tag: tooLong }, "tag"],
    ...badMetadata.map((metadata) => [{ metadata }, "metadata"] as const)
  ]
  it.each(cases)("is not valid with %o", async (fields, field) => {
    const error = await invalid(one.registerPlan(Build.newPlan(fields)), field)
    expect(error.details).toMatch(new RegExp(`^OE0101: computeplan is not valid: ${field}: [^;]+\\.$`))
  })

  it("names all that is wrong", async () => {
    const error = await invalid(one.registerPlan({ key: "x", tag: tooLong }), "key", "name", "tag")
    expect(error.details).toMatch(/^OE0101: computeplan is not valid: \w+: [^;]+; \w+: [^;]+; \w+: [^;]+\.$/)
  })

  it("may have texts of 100 characters of any kind, and as many entries of metadata as there are", async () => {
    const metadata = new Map(Array.from({ length: 500 }, (_, n) => [`${n}${long(90)}`, long(100)]))
    const plan = Build.newPlan({ name: long(100), tag: long(100), metadata: metadata.set("", "") })
    expect(await one.registerPlan(plan)).toMatchObject(plan)
  })

  it("has a new name that is valid", async () => {
    const { key } = await Drive.aPlan(one)
    await invalid(one.updatePlan({ key, name: "" }), "name")
    await invalid(one.updatePlan({ key: "", name: tooLong }), "key", "name")
  })
})

const badAddresses: ReadonlyArray<readonly [Addressable | undefined, ReadonlyArray<string>]> = [
  [undefined, [""]],
  [{ checksum: "", storageAddress: "" }, [".checksum", ".storage_address"]],
  [{ ...Build.addressable(), checksum: "a".repeat(63) }, [".checksum"]],
  [{ ...Build.addressable(), checksum: "a".repeat(65) }, [".checksum"]],
  [{ ...Build.addressable(), checksum: "g".repeat(64) }, [".checksum"]],
  [{ ...Build.addressable(), storageAddress: "x" }, [".storage_address"]]
]
const named = (name: string, parts: ReadonlyArray<string>) => parts.map((part) => `${name}${part}`)

describe("a function", () => {
  const slots = (inputs: Build.FunctionFields["inputs"] & object) => Build.newFunction({ inputs }).inputs
  const outputs = (outputs: Build.FunctionFields["outputs"] & object) => Build.newFunction({ outputs }).outputs
  const { dataManager, dataSample, many, model, optional, performance } = Build
  const unset = { ...model, kind: "ASSET_UNKNOWN" } as const
  const data = { manager: dataManager, samples: dataSample }

  const cases: ReadonlyArray<readonly [string, Partial<NewFunction>, string]> = [
    ["no key", { key: "" }, "key"],
    ["no name", { name: "" }, "name"],
    ["a long name", { name: tooLong }, "name"],
    ["no permissions", { newPermissions: undefined }, "new_permissions"],
    ["long metadata", { metadata: new Map([["x", tooLong]]) }, "metadata"],
    ["an input without identifier", { inputs: slots({ "": model }) }, "inputs"],
    ["an input with a long one", { inputs: slots({ [tooLong]: model }) }, "inputs"],
    ["an input of no kind", { inputs: slots({ x: unset }) }, "inputs"],
    ["an input that is a performance", { inputs: slots({ x: performance }) }, "inputs"],
    ["an input that is a function", { inputs: slots({ x: { ...model, kind: "ASSET_FUNCTION" } }) }, "inputs"],
    ["many data managers in one", { inputs: slots({ ...data, manager: many(dataManager) }) }, "inputs"],
    ["an optional data manager", { inputs: slots({ ...data, manager: optional(dataManager) }) }, "inputs"],
    ["two data managers", { inputs: slots({ ...data, other: dataManager }) }, "inputs"],
    ["a data manager without samples", { inputs: slots({ manager: dataManager }) }, "inputs"],
    ["samples without a data manager", { inputs: slots({ samples: dataSample }) }, "inputs"],
    ["an output without identifier", { outputs: outputs({ "": model }) }, "outputs"],
    ["an output with a long one", { outputs: outputs({ [tooLong]: model }) }, "outputs"],
    ["an output of no kind", { outputs: outputs({ x: unset }) }, "outputs"],
    ["an output that is data", { outputs: outputs({ x: dataSample }) }, "outputs"],
    ["many performances in one output", { outputs: outputs({ x: many(performance) }) }, "outputs"]
  ]
  it.each(cases)("is not valid with %s", async (_, fields, field) => {
    await invalid(one.registerFunction({ ...Build.newFunction(), ...fields }), field)
  })

  it.each(["description", "archive"] as const)("has a valid %s", async (field) => {
    for (const [address, parts] of badAddresses) {
      await invalid(one.registerFunction({ ...Build.newFunction(), [field]: address }), ...named(field, parts))
    }
  })

  it.each([
    ["nothing in and out", {}, {}],
    ["identifiers of 100 characters", { [long(100)]: model }, { [long(100)]: performance }],
    ["data", { ...data, more: many(dataSample), maybe: optional(many(dataSample)) }, {}],
    [
      "models of all sorts",
      { a: model, b: many(model), c: optional(model), d: optional(many(model)) },
      { e: many(model) }
    ]
  ])("may have %s", async (_, inputs, outputs) => {
    const fn = Build.newFunction({ inputs: inputs as never, outputs: outputs as never })
    expect(await one.registerFunction(fn)).toMatchObject({ inputs: fn.inputs })
  })

  it("names all that is wrong", async () => {
    const all = ["key", "name", "description", "archive", "new_permissions"]
    await invalid(one.registerFunction(), ...all)
  })

  it("has a valid new name, and image where there is a checksum", async () => {
    const { key } = await one.registerFunction(Build.newFunction())
    const name = "renamed"
    await invalid(one.updateFunction({ key, name: "" }), "name")
    const image = { checksum: "x", storageAddress: "x" }
    await invalid(one.updateFunction({ key, name, image }), "image.checksum", "image.storage_address")
    await one.updateFunction({ key, name, image: { checksum: "", storageAddress: "x" } })
    expect(await one.getFunction({ key })).toMatchObject({ name, image: { checksum: "", storageAddress: "" } })
  })
})

describe("a data manager", () => {
  const cases: ReadonlyArray<readonly [Partial<NewDataManager>, string]> = [
    [{ key: "x" }, "key"],
    [{ name: "" }, "name"],
    [{ name: tooLong }, "name"],
    [{ newPermissions: undefined }, "new_permissions"],
    [{ logsPermission: undefined }, "logs_permission"],
    ...badMetadata.map((metadata) => [{ metadata }, "metadata"] as const)
  ]
  it.each(cases)("is not valid with %o", async (fields, field) => {
    await invalid(one.registerDataManager(Build.newDataManager(fields)), field)
  })

  it.each(["description", "opener"] as const)("has a valid %s", async (field) => {
    for (const [address, parts] of badAddresses) {
      await invalid(one.registerDataManager({ ...Build.newDataManager(), [field]: address }), ...named(field, parts))
    }
  })

  it("may be of any type, which is ignored", async () => {
    expect((await Drive.aManager(one, { type: tooLong })).type).toBe("")
  })

  it("has a new name that is valid", async () => {
    await invalid(one.updateDataManager({ key: "x", name: tooLong }), "key", "name")
  })
})

describe("data samples", () => {
  const register = (...fields: ReadonlyArray<Partial<ReturnType<typeof Build.newDataSample>>>) =>
    one.registerDataSamples({ samples: fields.map((each) => ({ ...Build.newDataSample(), ...each })) })

  it("are named by their place, the first wrong one only", async () => {
    await invalid(register({}, { key: "x", checksum: "x" }, { key: "" }), "samples[1].key", "samples[1].checksum")
    await invalid(
      register({ dataManagerKeys: ["", "x"] }),
      "samples[0].data_manager_keys[0]",
      "samples[0].data_manager_keys[1]"
    )
    await invalid(register({ checksum: "" }), "samples[0].checksum")
  })

  it("are updated with keys that are valid", async () => {
    const update = (keys: Array<string>, dataManagerKeys: Array<string> = []) =>
      one.updateDataSamples({ keys, dataManagerKeys })
    const { key } = await Drive.aSample(one)
    await invalid(update([]), "keys")
    await invalid(update([key, "", "x"], [""]), "keys[1]", "keys[2]", "data_manager_keys[0]")
  })
})

describe("tasks", () => {
  it("are named by their places, all of them", async () => {
    const fn = Build.newFunction()
    const task = Build.newTask(fn, Build.newKey())
    const tasks = [
      { ...task, key: "x", metadata: new Map([["x", tooLong]]) },
      { ...task, functionKey: "", computePlanKey: "x" },
      { ...task, inputs: [Build.asset("m", "x"), Build.from("", "x", ""), { identifier: "m", ref: undefined }] },
      { ...task, outputs: new Map([["out", Build.output(undefined)]]) },
      { ...task, outputs: new Map([["", { permissions: undefined, transient: false }]]) }
    ]
    const error = await refused(one.registerTasks({ tasks }), "OE0101", /^OE0101: computetask is not valid: /)
    const fields = [...(error.info?.violations?.keys() ?? [])]
    expect(fields).toEqual(
      expect.arrayContaining([
        "tasks[0].key",
        "tasks[0].metadata",
        "tasks[1].function_key",
        "tasks[1].compute_plan_key",
        "tasks[2].inputs[0].asset_key",
        "tasks[2].inputs[1].identifier",
        "tasks[2].inputs[1].parent_task_output.parent_task_key",
        "tasks[2].inputs[1].parent_task_output.output_identifier",
        "tasks[4].outputs"
      ])
    )
    expect(fields.filter((field) => field.startsWith("tasks[2].inputs[2]"))).toHaveLength(1)
    expect(fields.filter((field) => field.startsWith("tasks[3]"))).toEqual([])
  })
})

describe("models", () => {
  it("are named by their place", async () => {
    const task = await Drive.aTaskIn(one, "STATUS_EXECUTING")
    const bad = { key: "", computeTaskKey: task.key, computeTaskOutputIdentifier: "", address: undefined }
    await invalid(
      one.registerModels({ models: [bad] }),
      "models[0].key",
      "models[0].compute_task_output_identifier",
      "models[0].address"
    )
    const address = { checksum: "x", storageAddress: "" }
    await invalid(
      one.registerModels({ models: [{ ...Build.newModel(task), address }] }),
      "models[0].address.checksum",
      "models[0].address.storage_address"
    )
  })
})

describe("an organization's address", () => {
  it.each(["x", "a.example", "/x", "http://", "https:", " ", "http://a b"])("is not valid as %j", async (address) => {
    const error = await invalid(one.registerOrganization({ address }), "address")
    expect(error.details).toMatch(/^OE0101: organization is not valid: address: /)
  })

  it.each(["", "https://a.example", "http://10.0.0.1:80/x"])("is valid as %j", async (address) => {
    await refused(one.registerOrganization({ address }), "OE0006", `organization with key "${one.id}" already exists`)
  })
})

describe("a storage address", () => {
  const withAddress = (storageAddress: string) =>
    one.registerFunction(Build.newFunction({ archive: { checksum: Build.checksum(), storageAddress } }))

  it.each([
    ...["http", "https", "ftp", "ws", "wss", "tcp", "udp"].map((scheme) => `${scheme}://host.example/x`),
    "host.example/x",
    "localhost:80/x",
    "user:secret@localhost/x",
    "[2001:db8::1]/x",
    "[2001:db8::1]:80/x",
    "http://localhost",
    "http://10.1.2.3:8080/a/b?c=d#e",
    "https://[2001:db8::1]/x",
    "https://[2001:db8::1]:9000/x",
    "https://user@host.example/x",
    "https://user:secret@host.example:1/x",
    "https://bücher.example/straße/🧪",
    `https://host.example/${"x".repeat(2082 - 21)}`
  ])("is valid as %s", async (address) => {
    expect((await withAddress(address)).archive?.storageAddress).toBe(address)
  })

  it.each([
    "file:///x",
    "s3://bucket/x",
    "/a/path",
    "word",
    "@word",
    "http://",
    "http:///x",
    "http://host..example/x",
    "http://.example/x",
    "http://host.example/a b",
    " http://host.example/x",
    "http://host.example/x\n",
    `https://host.example/${"x".repeat(2083 - 21)}`
  ])("is not valid as %j", async (address) => {
    await invalid(withAddress(address), "archive.storage_address")
  })

  it("may be that of another asset, and of another field", async () => {
    const [description, archive] = [Build.addressable(), Build.addressable()]
    const same = { ...archive, storageAddress: description.storageAddress }
    const first = await one.registerFunction(Build.newFunction({ description, archive: same }))
    const second = await one.registerFunction(Build.newFunction({ description: same, archive: description }))
    expect([first.archive, second.description]).toEqual([same, same])
    expect(await one.getFunction({ key: first.key })).toEqual(first)
  })
})

describe("a checksum", () => {
  it("may be in any letter case, and is kept as it is", async () => {
    const archive = { ...Build.addressable(), checksum: "aB".repeat(32) }
    expect((await one.registerFunction(Build.newFunction({ archive }))).archive).toEqual(archive)
  })
})
