/** Whatever bytes and texts come: keys in any letter case, numbers and characters that do not belong, broken messages. */
import { describe, expect, it } from "vitest"
import * as Build from "../Builders.ts"
import { paths } from "../Client.ts"
import * as Drive from "../Drivers.ts"
import * as ProtoJson from "../ProtoJson.ts"
import * as Recording from "../Recording.ts"
import { failure, refused } from "../Refusals.ts"
import { startServer } from "../Server.ts"
import type { JsonObject } from "../Transcript.ts"

const { one } = await startServer()

/** Of a key or filter that is no UUID. */
const notAKey = ["x", "", " ", `{${Build.newKey()}}`, `urn:uuid:${Build.newKey()}`, Build.newKey().replaceAll("-", "")]
const otherForms = [
  `${Build.newKey()} `,
  ` ${Build.newKey()}`,
  Build.newKey().replace(/[0-9a-f]$/, "g"),
  "ü".repeat(36),
  "\u0000"
]

describe("a key", () => {
  it("comes in any letter case, and is stored and answered in lower case", async () => {
    const [plan, fn, manager, sample, task] = Build.newKeys(5) as [string, string, string, string, string]
    const up = (key: string) => key.toUpperCase()
    expect((await one.registerPlan(Build.newPlan({ key: up(plan) }))).key).toBe(plan)
    expect((await one.registerFunction(Build.newFunction({ key: up(fn) }))).key).toBe(fn)
    expect((await one.registerDataManager(Build.newDataManager({ key: up(manager) }))).key).toBe(manager)
    const { dataSamples } = await one.registerDataSamples({ samples: [Build.newDataSample([up(manager)], up(sample))] })
    expect(dataSamples).toMatchObject([{ key: sample, dataManagerKeys: [manager] }])
    await Drive.build(one, up(fn))
    const { outputs } = await one.getFunction({ key: up(fn) })
    const registered = await Drive.register(
      one,
      Build.newTask({ key: up(fn), outputs }, up(plan), { key: up(task), worker: one.id })
    )
    expect(registered).toMatchObject([{ key: task, functionKey: fn, computePlanKey: plan }])
    await Drive.act(one, up(task), "EXECUTING")
    const model = Build.newModel(up(task))
    expect(await one.registerModel({ ...model, key: up(model.key) })).toMatchObject({
      key: model.key,
      computeTaskKey: task
    })
    for (const key of [plan, fn, manager, sample, task, model.key]) {
      for (const event of await Recording.eventsOf(one, up(key))) expect(event.assetKey).toBe(key)
      expect(await Recording.eventsOf(one, up(key))).not.toEqual([])
    }
    const { tasks } = await one.queryTasks({
      filter: { worker: "", status: "STATUS_UNKNOWN", computePlanKey: up(plan), functionKey: up(fn) }
    })
    expect(tasks.map(({ key }) => key)).toEqual([task])
    expect((await one.queryDataSamples({ filter: { keys: [up(sample)] } })).dataSamples).toEqual(dataSamples)
  })

  const reads = {
    getPlan: (key: string) => one.getPlan({ key }),
    isPlanRunning: (key: string) => one.isPlanRunning({ key }),
    getFunction: (key: string) => one.getFunction({ key }),
    getDataManager: (key: string) => one.getDataManager({ key }),
    getDataset: (key: string) => one.getDataset({ key }),
    getDataSample: (key: string) => one.getDataSample({ key }),
    getTask: (key: string) => one.getTask({ key }),
    getModel: (key: string) => one.getModel({ key }),
    getTaskInputAssets: (key: string) => one.getTaskInputAssets({ computeTaskKey: key }),
    getFailureReport: (key: string) => one.getFailureReport({ assetKey: key }),
    applyPlanAction: (key: string) => one.applyPlanAction({ key, action: "PLAN_ACTION_CANCELED" }),
    applyTaskAction: (key: string) => one.applyTaskAction({ computeTaskKey: key, action: "TASK_ACTION_DONE" }),
    applyFunctionAction: (key: string) =>
      one.applyFunctionAction({ functionKey: key, action: "FUNCTION_ACTION_READY" }),
    disableOutput: (key: string) => one.disableOutput({ computeTaskKey: key, identifier: "out" })
  }

  it.each(Object.entries(reads))("that is no UUID is invalid or not found: %s", async (_, read) => {
    for (const key of [...notAKey, ...otherForms]) {
      const { code, details } = await failure(read(key))
      expect([code, details.slice(0, 8)], JSON.stringify(key)).toBeOneOf([
        ["INVALID_ARGUMENT", "OE0101: "],
        ["NOT_FOUND", "OE0002: "]
      ])
    }
  })

  const filters = {
    "QueryTasks by plan": (key: string) => one.queryTasks({ filter: { ...noTasks, computePlanKey: key } }),
    "QueryTasks by function": (key: string) => one.queryTasks({ filter: { ...noTasks, functionKey: key } }),
    "QueryTasks by worker": (worker: string) => one.queryTasks({ filter: { ...noTasks, worker } }),
    QueryFunctions: (key: string) => one.queryFunctions({ filter: { computePlanKey: key } }),
    QueryDataSamples: (key: string) => one.queryDataSamples({ filter: { keys: [key] } }),
    QueryPlans: (owner: string) => one.queryPlans({ filter: { owner } }),
    "QueryPerformances by task": (key: string) =>
      one.queryPerformances({ filter: { computeTaskKey: key, computeTaskOutputIdentifier: "" } }),
    "QueryPerformances by output": (identifier: string) =>
      one.queryPerformances({ filter: { computeTaskKey: "", computeTaskOutputIdentifier: identifier } }),
    "QueryEvents by key": (assetKey: string) => Recording.eventsOf(one, assetKey).then((events) => ({ events })),
    GetComputeTaskOutputModels: (key: string) => one.getComputeTaskOutputModels({ computeTaskKey: key })
  }
  const noTasks = { worker: "", status: "STATUS_UNKNOWN", computePlanKey: "", functionKey: "" } as const

  it.each(Object.entries(filters))("that is no UUID finds nothing in a filter, or is invalid: %s", async (_, query) => {
    for (const key of [...notAKey, ...otherForms].filter((each) => each !== "")) {
      const outcome = await query(key).then(
        (answer) => Object.values(answer).find(Array.isArray),
        (error) => error.details.slice(0, 8)
      )
      expect(outcome, JSON.stringify(key)).toBeOneOf([[], "OE0101: "])
    }
  })
})

describe("a NUL character", async () => {
  const nul = "a\u0000b"
  const task = await Drive.aTask(one)
  const stored = {
    "a plan's name": () => one.registerPlan(Build.newPlan({ name: nul })),
    "a plan's tag": () => one.registerPlan(Build.newPlan({ tag: nul })),
    "a plan's new name": async () => one.updatePlan({ key: (await Drive.aPlan(one)).key, name: nul }),
    "a key of metadata": () => one.registerPlan(Build.newPlan({ metadata: new Map([[nul, "x"]]) })),
    "a value of metadata": () => one.registerPlan(Build.newPlan({ metadata: new Map([["x", nul]]) })),
    "a function's input": () => one.registerFunction(Build.newFunction({ inputs: { [nul]: Build.model } })),
    "a function's output": () => one.registerFunction(Build.newFunction({ outputs: { [nul]: Build.model } })),
    "an address": () =>
      one.registerFunction(
        Build.newFunction({ archive: { checksum: Build.checksum(), storageAddress: `http://a.example/${nul}` } })
      ),
    "an authorized id": () =>
      one.registerFunction(Build.newFunction({ newPermissions: { public: true, authorizedIds: [nul] } })),
    "a data manager's name": () => one.registerDataManager(Build.newDataManager({ name: nul })),
    "a task's metadata": () => Drive.aTask(one, { metadata: new Map([["x", nul]]) }),
    "an action's log": () =>
      one.applyTaskAction({ computeTaskKey: task.key, action: "TASK_ACTION_EXECUTING", log: nul }),
    "a profiling step": () => one.registerProfilingStep({ assetKey: Build.newKey(), step: nul, duration: 1 })
  }

  it.each(Object.entries(stored))("is refused in %s", async (_, call) => {
    await refused(call(), "OE0101")
  })
})

describe("a number that an enum does not have is refused in", () => {
  const send = (rpc: string, request: JsonObject) =>
    one.bytes(`/orchestrator.${rpc}`, ProtoJson.encodeRequest(`orchestrator.${rpc}`, request))
  const address = { checksum: "a".repeat(64), storage_address: "http://a.example/x" }
  const fn = (parts: JsonObject) => ({
    key: Build.newKey(),
    name: "function",
    description: address,
    archive: address,
    new_permissions: { public: true },
    ...parts
  })

  it.each([2, 13, 99, -1, 2147483647])("a function's inputs and outputs: %i", async (kind) => {
    await refused(send("FunctionService/RegisterFunction", fn({ inputs: { x: { kind } } })), "OE0101")
    await refused(send("FunctionService/RegisterFunction", fn({ outputs: { x: { kind } } })), "OE0101")
  })

  it.each([4, 99, -1])("a failure report: %i", async (number) => {
    const task = await Drive.aTaskIn(one, "STATUS_EXECUTING")
    const report = { asset_key: task.key, asset_type: 1, error_type: 3 }
    const rpc = "FailureReportService/RegisterFailureReport"
    await refused(send(rpc, { ...report, error_type: number }), "OE0101")
    await refused(send(rpc, { ...report, asset_type: number }), "OE0101")
    await send(rpc, report)
  })
})

describe("a message that cannot be decoded is refused:", () => {
  const keyIs = (key: string) => [10, 36, ...new TextEncoder().encode(key)]
  const nameIs = (...bytes: Array<number>) => [0x9a, 1, bytes.length, ...bytes]
  /** A good name, then what no message may have. */
  const thenBroken = (...bytes: Array<number>) => [...nameIs(65), ...bytes]
  const broken: Readonly<Record<string, ReadonlyArray<number>>> = {
    "an endless number": thenBroken(...Array(20).fill(255)),
    "a length beyond the end": thenBroken(10, 100, 65),
    "a field number 0": thenBroken(2, 1, 65),
    "a tag 0": thenBroken(0),
    "an unknown wire type": thenBroken(15, 1),
    "a truncated tag": thenBroken(0x9a),
    "a group that is not closed": thenBroken(11),
    "the end of a group without its start": thenBroken(12, ...nameIs(66)),
    "text that is no UTF-8": nameIs(0xc3, 0x28),
    "a lone surrogate": nameIs(0xed, 0xa0, 0x80),
    "an overlong character": nameIs(0xc0, 0x80)
  }
  const refusals = ["INTERNAL", "INVALID_ARGUMENT"]

  it.each(Object.entries(broken))("%s", async (_, bytes) => {
    const key = Build.newKey()
    const request = Uint8Array.of(...keyIs(key), ...bytes)
    expect((await failure(one.bytes(paths.registerPlan, request))).code).toBeOneOf(refusals)
    await refused(one.getPlan({ key }), "OE0002")
  })

  it.each([
    ["a tag 0 in an entry of a map", [0x8a, 1, 1, 0]],
    ["an end of a group in an entry of a map", [0x8a, 1, 1, 12]],
    ["a field number 0 in an entry of a map", [0x8a, 1, 3, 2, 1, 65]],
    ["a text that goes on beyond its entry of a map", [0x8a, 1, 2, 10, 1, 65]],
    ["an unknown field that goes on beyond its entry of a map", [0x8a, 1, 2, 0x1a, 1, 65]]
  ] as const)("%s", async (_, bytes) => {
    const key = Build.newKey()
    const request = Uint8Array.of(...keyIs(key), ...nameIs(65), ...bytes)
    expect((await failure(one.bytes(paths.registerPlan, request))).code).toBeOneOf(refusals)
    await refused(one.getPlan({ key }), "OE0002")
  })

  it("bytes that are no fields in a filter", async () => {
    for (const filter of [
      [0x1a, 1, 0],
      [0x1a, 2, 10, 4, 0x10, 5, 0x10, 5]
    ]) {
      expect((await failure(one.bytes(paths.queryPlans, Uint8Array.of(...filter)))).code).toBeOneOf(refusals)
    }
  })

  it("text that is no UTF-8, also in a map, in a filter, and on a stream", async () => {
    const metadata = [0x8a, 1, 5, 10, 3, 0xed, 0xa0, 0x80]
    const plan = Uint8Array.of(...keyIs(Build.newKey()), ...nameIs(65), ...metadata)
    expect((await failure(one.bytes(paths.registerPlan, plan))).code).toBeOneOf(refusals)
    const owner = Uint8Array.of(26, 4, 10, 2, 0xc3, 0x28)
    expect((await failure(one.bytes(paths.queryPlans, owner))).code).toBeOneOf(refusals)
    const start = Uint8Array.of(10, 2, 0xc3, 0x28)
    expect((await failure(one.byteStream(paths.subscribeToEvents, start))).code).toBeOneOf(refusals)
  })

  it("to any rpc, and no stream of another is harmed", async () => {
    await using stream = one.subscribeToEvents({ startEventId: await Recording.mark(one) })
    await stream.headers
    const endless = new Uint8Array(20).fill(255)
    for (const path of Object.values(paths)) {
      expect((await failure(one.bytes(path, endless))).code).toBeOneOf(refusals)
    }
    const next = await Recording.mark(one)
    expect((await stream.next()).id).toBe(next)
  })
})

describe("a message with fields that this server does not know", () => {
  it("is taken without them", async () => {
    const key = Build.newKey()
    const known = Uint8Array.of(10, 36, ...new TextEncoder().encode(key), 0x9a, 1, 1, 65)
    const unknown = Uint8Array.of(0x12, 1, 65, 0xe8, 7, 5, 0xf5, 7, 1, 2, 3, 4, 0xf1, 7, 1, 2, 3, 4, 5, 6, 7, 8)
    await one.bytes(paths.registerPlan, Buffer.concat([unknown, known, unknown]))
    expect(await one.getPlan({ key })).toMatchObject({ key, name: "A", tag: "" })
  })

  it("in which a field comes twice has the last", async () => {
    const key = Build.newKey()
    const request = Uint8Array.of(0x9a, 1, 1, 65, 10, 1, 65, 10, 36, ...new TextEncoder().encode(key), 0x9a, 1, 1, 66)
    await one.bytes(paths.registerPlan, request)
    expect((await one.getPlan({ key })).name).toBe("B")
  })
})

describe("a text", () => {
  it("of any characters comes back as it was", async () => {
    const texts = ["\u{1F9EA} ünïcode", "\u202e\ufeff\ufffd\uffff", "'; DROP TABLE x; --", '\\ " {} $1 %s \t\r\n', "é"]
    for (const text of texts) {
      const metadata = new Map([
        [text, text],
        ["__proto__", "constructor"]
      ])
      const plan = await one.registerPlan(Build.newPlan({ name: text, tag: text, metadata }))
      expect(plan).toMatchObject({ name: text, tag: text, metadata })
      expect(await one.getPlan({ key: plan.key })).toEqual(plan)
      expect((await Recording.eventsOf(one, plan)).map(Recording.assetOf)).toEqual([plan])
    }
  })
})
