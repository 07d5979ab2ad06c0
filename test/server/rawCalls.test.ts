/** Odd clients: whatever they send, they get a status that they can take, and everybody else is served as before. */
import { once } from "node:events"
import * as net from "node:net"
import { gzipSync } from "node:zlib"
import fc from "fast-check"
import { afterAll, afterEach, describe, expect, it, vi } from "vitest"
import {
  GetComputePlanParam,
  NewComputePlan,
  UpdateComputePlanParam
} from "../../src/layers/wire/generated/computeplan.ts"
import { DisableOutputParam, RegisterTasksParam } from "../../src/layers/wire/generated/computetask.ts"
import { SubscribeToEventsParam } from "../../src/layers/wire/generated/event.ts"
import * as Build from "../blackbox/Builders.ts"
import { paths } from "../blackbox/Client.ts"
import * as Drive from "../blackbox/Drivers.ts"
import * as Recording from "../blackbox/Recording.ts"
import { failure } from "../blackbox/Refusals.ts"
import * as Metrics from "./Metrics.ts"
import * as Program from "./Program.ts"
import * as RawCall from "./RawCall.ts"
import * as Session from "./Session.ts"

const ok = 0
const invalidArgument = 3
const deadlineExceeded = 4
const notFound = 5
const permissionDenied = 7
const resourceExhausted = 8
const failedPrecondition = 9
const unimplemented = 12
const internal = 13

const database = await Program.database()
const requestLimit = 1024 * 1024
const server = await Program.serve({
  ...(await Program.envOf(database)),
  METRICS_ENABLED: "true",
  ORCHESTRATOR_GRPC_MAX_REQUEST_SIZE: String(requestLimit)
})
const one = server.client()
await one.registerOrganization()
const plan = await Drive.aPlan(one)
const done = await Drive.aTaskIn(one, "STATUS_DONE")
const raw = await RawCall.connect(server.address)
afterAll(() => raw[Symbol.asyncDispose]())

const getPlan = (key = plan.key) => RawCall.framed(GetComputePlanParam.encode({ key }).finish())
const read = (headers: Readonly<Record<string, string | Array<string>>>) =>
  raw.call({ path: paths.getPlan, headers, frames: [getPlan()] })

/** A client of long standing: its connection and its stream outlive everything here. */
const bystander = server.client("MyOrg2MSP")
const feed = bystander.subscribeToEvents({ startEventId: await Recording.mark(bystander) })
afterEach(async () => {
  const { key } = await Drive.aPlan(bystander)
  for (let next = await feed.next(); next.assetKey !== key; ) next = await feed.next()
})

describe("a status text", () => {
  /** An error that names this identifier. */
  const echo = (client: RawCall.RawClient, identifier: string) =>
    client.call({
      path: paths.disableOutput,
      frames: [RawCall.framed(DisableOutputParam.encode({ computeTaskKey: done.key, identifier }).finish())]
    })

  it.each([
    ["percent signs", "100 % %0A %ZZ"],
    ["quotes and backslashes", "\"\\'`$"],
    ["control characters", "a\r\nb\tc\u0001\u007f"],
    ["characters of all planes", "é 組織 \u{1F9EA} \u2028 \u202e \ufffd \uffff"]
  ])("brings %s as they were", async (_, identifier) => {
    const { code, details } = await echo(raw, identifier)
    expect(code).toBeGreaterThan(ok)
    expect(details).toContain(identifier)
    const error = await failure(one.disableOutput({ computeTaskKey: done.key, identifier }))
    expect([error.code, error.details, error.info?.message]).toEqual([expect.any(String), details, details])
  })

  const long: Readonly<Record<string, string>> = {
    "100,000 letters": "x".repeat(100_000),
    "100,000 characters of four bytes": "\u{1F9EA}".repeat(100_000),
    "100,000 characters that are escaped": "\n".repeat(100_000)
  }

  describe.each(Object.entries(long))("that would have %s", (_, identifier) => {
    it("is cut, for grpc-js", async () => {
      const error = await failure(one.disableOutput({ computeTaskKey: done.key, identifier }))
      expect(error.details).toMatch(/^OE0\d+: .*…$/s)
      expect(error.info).toMatchObject({ message: error.details, domain: "orchestrator" })
    })

    it("is cut to what fits into 8 KiB of headers", async () => {
      await using narrow = await RawCall.connect(server.address, { maxHeaderListSize: 8192 })
      const { code, details, headerListSize } = await echo(narrow, identifier)
      expect(code).toBeGreaterThan(ok)
      expect(details.isWellFormed()).toBe(true)
      expect(headerListSize).toBeLessThan(8192)
    })
  })

  it("is cut beside a long reqid too, also where headers and trailers are one", async () => {
    await using narrow = await RawCall.connect(server.address, { maxHeaderListSize: 8192 })
    const { code, headerListSize } = await narrow.call({
      path: paths.subscribeToEvents,
      headers: { reqid: "x".repeat(1000) },
      frames: [RawCall.framed(SubscribeToEventsParam.encode({ startEventId: "x".repeat(100_000) }).finish())]
    })
    expect(code).toBeGreaterThan(ok)
    expect(headerListSize).toBeLessThan(8192)
  })

  it("and the violations of 5,000 wrong fields fit too, and say how many there are", async () => {
    const task = Build.newTask({ key: "x", outputs: new Map() }, "y", {
      key: "z",
      metadata: new Map([["k", "v".repeat(101)]])
    })
    const request = RegisterTasksParam.encode({ tasks: Array(1250).fill(task) }).finish()
    await using narrow = await RawCall.connect(server.address, { maxHeaderListSize: 8192 })
    const answer = await narrow.call({ path: paths.registerTasks, frames: [RawCall.framed(request)] })
    expect(answer).toMatchObject({
      code: invalidArgument,
      details: expect.stringMatching(/^OE0101: .*\(5000 wrong fields in all\)\.$/s)
    })
    expect(answer.headerListSize).toBeLessThan(8192)
    const error = await failure(one.bytes(paths.registerTasks, request))
    expect(error.details).toBe(answer.details)
    expect(error.info?.violations?.size).toBeGreaterThan(10)
  })
})

describe("a header", () => {
  const missing = (name: string) => ({
    code: failedPrecondition,
    details: `OE0003: missing or invalid header '${name}'`
  })

  it.each<[string, Record<string, string | Array<string>>, object]>([
    ["mspid twice", { mspid: ["MyOrg1MSP", "MyOrg1MSP"] }, missing("mspid")],
    ["mspid twice in one", { mspid: "MyOrg1MSP,MyOrg2MSP" }, missing("mspid")],
    ["mspid empty", { mspid: "" }, { code: permissionDenied, details: 'OE0102: organization "" is unknown' }],
    ["mspid beyond ASCII", { mspid: "MyÖrg" }, missing("mspid")],
    ["mspid as bytes instead", { mspid: [], "mspid-bin": "TXlPcmcxTVNQ" }, missing("mspid")],
    ["mspid as bytes too", { "mspid-bin": "TXlPcmcxTVNQ" }, { code: ok }],
    ["bytes that are no base64", { "mspid-bin": "%%%" }, { code: ok }],
    ["channel twice", { channel: ["mychannel", "mychannel"] }, missing("channel")],
    ["channel beyond ASCII", { channel: "mÿchannel" }, missing("channel")]
  ])("%s", async (_, headers, outcome) => {
    expect(await read(headers)).toMatchObject(outcome)
  })

  it.each(["é", "a,b", "  ", "a\tb", ""])("reqid %j is replaced", async (reqid) => {
    expect((await read({ reqid })).metadata.reqid).toMatch(/^[0-9a-f]{8}$/)
  })

  it.each(["x".repeat(200), "%0A'\"\\<>", "a b"])("reqid %j comes back", async (reqid) => {
    expect((await read({ reqid })).metadata.reqid).toBe(reqid)
  })
})

describe("a call that the gRPC library refuses", () => {
  const counted = async (labels: Readonly<Record<string, string>>) => {
    const found = Metrics.parse(await (await fetch(`${server.http}/metrics`)).text())
    return ["started", "handled"].map((name) => Metrics.sum(found, `grpc_server_${name}_total`, labels))
  }
  const getPlanLabels = { grpc_service: "orchestrator.ComputePlanService", grpc_method: "GetPlan" }
  const unknownLabels = { grpc_service: "unknown", grpc_method: "unknown" }

  it.each<[string, RawCall.RawRequest, number | undefined, Record<string, string>]>([
    ["an rpc that there is not", { path: "/orchestrator.ComputePlanService/NoSuchRpc" }, unimplemented, unknownLabels],
    [
      "a service that there is not",
      { path: "/no.such.Service/Rpc", frames: [getPlan()] },
      unimplemented,
      unknownLabels
    ],
    ["no message", { path: paths.getPlan }, unimplemented, getPlanLabels],
    [
      "a message too large",
      { path: paths.getPlan, frames: [Buffer.of(0, 255, 255, 255, 255)] },
      resourceExhausted,
      getPlanLabels
    ],
    [
      "an unknown compression",
      { path: paths.getPlan, headers: { "grpc-encoding": "br" }, frames: [RawCall.framed(getPlan(), true)] },
      unimplemented,
      getPlanLabels
    ],
    [
      "a deadline that is none",
      { path: paths.getPlan, headers: { "grpc-timeout": "soon" }, frames: [getPlan()] },
      internal,
      getPlanLabels
    ],
    [
      "another protocol",
      { path: paths.getPlan, headers: { "content-type": "application/json" }, frames: [getPlan()] },
      undefined,
      getPlanLabels
    ]
  ])("for %s brings its reqid back, is counted and logged", async (name, request, code, labels) => {
    const reqid = name.replaceAll(" ", "-")
    const [started = 0, handled = 0] = await counted(labels)
    const answer = await raw.call({ ...request, headers: { ...request.headers, reqid } })
    expect([answer.metadata.reqid, answer.code]).toEqual([reqid, code])
    expect(await counted(labels)).toEqual([started + 1, handled + 1])
    await server.prints(new RegExp(`"reqid":"${reqid}"`))
  })

  it("has a reqid of its own when it brings none, or one that cannot be sent back", async () => {
    for (const headers of [{}, { reqid: "é" }, { reqid: "a\tb" }, { reqid: "a,b" }, { reqid: "" }]) {
      const { code, metadata } = await raw.call({ path: "/no.such.Service/Rpc", headers })
      expect([code, metadata.reqid]).toEqual([unimplemented, expect.stringMatching(/^[0-9a-f]{8}$/)])
    }
  })

  it("leaves the server as it is, whatever its headers are", async () => {
    const text = fc.string({ unit: fc.integer({ min: 0x20, max: 0xff }).map((code) => String.fromCharCode(code)) })
    const some = (...usual: ReadonlyArray<string>) =>
      fc.option(fc.oneof(text, fc.constantFrom(...usual)), { nil: undefined })
    const headers = fc.record({
      reqid: some("a", "a\tb", "é"),
      mspid: some("MyOrg1MSP"),
      channel: some("mychannel"),
      traceparent: some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
      "max-response-size": some("1", "-1"),
      "grpc-timeout": some("1n", "soon", "10S"),
      "grpc-encoding": some("gzip", "br"),
      "grpc-accept-encoding": some("gzip", "br"),
      "content-type": some("application/grpc", "application/json"),
      "x-bin": some("%%%", "AAAA")
    })
    const path = fc.oneof(fc.constantFrom("/no.such.Service/Rpc", ...Object.values(paths)), text)
    const frames = fc.array(fc.constantFrom(RawCall.framed(getPlan()), getPlan(), Buffer.of(0, 255, 255, 255, 255)), {
      maxLength: 2
    })
    await fc.assert(
      fc.asyncProperty(path, headers, frames, async (path, headers, frames) => {
        const given = Object.fromEntries(Object.entries(headers).filter(([, value]) => value !== undefined))
        await raw.leave({ path, headers: given, frames }, async () => {
          expect((await read({})).code).toBe(ok)
        })
      }),
      { numRuns: 300 }
    )
  })

  it("because a stream's deadline was over is counted once", async () => {
    const labels = { grpc_type: "server_stream", grpc_code: "DeadlineExceeded" }
    const [, before = 0] = await counted(labels)
    const ended = await raw.call({
      path: paths.subscribeToEvents,
      headers: { "grpc-timeout": "1n" },
      frames: [RawCall.framed(Buffer.of())]
    })
    expect(ended.code).toBe(deadlineExceeded)
    await vi.waitFor(async () => expect((await counted(labels))[1]).toBe(before + 1))
  })
})

describe("a deadline", () => {
  it.each(["99999999H", "99999999M", "99999999S", "597H", "596H", "10000000u"])(
    "of %s is not at once",
    async (timeout) => {
      await using session = await Session.open(database.url)
      await Session.lockPlan(session, plan.key)
      const call = raw.call({
        path: paths.updatePlan,
        headers: { "grpc-timeout": timeout },
        frames: [RawCall.framed(UpdateComputePlanParam.encode({ key: plan.key, name: "in time" }).finish())]
      })
      await Session.waiters(session)
      await session.query("ROLLBACK")
      expect((await call).code).toBe(ok)
    }
  )

  it("that is over before the call begins lets it do nothing", async () => {
    await using session = await Session.open(database.url)
    await Session.lockPlan(session, plan.key)
    const update = RawCall.framed(UpdateComputePlanParam.encode({ key: plan.key, name: "too late" }).finish())
    const calls = ["0n", "0H", "1n", "1000n"].flatMap((timeout) =>
      Array.from({ length: 30 }, () =>
        raw.call({ path: paths.updatePlan, headers: { "grpc-timeout": timeout }, frames: [update] })
      )
    )
    expect(new Set((await Promise.all(calls)).map(({ code }) => code))).toEqual(new Set([deadlineExceeded]))
    await session.query("ROLLBACK")
    // Whatever went on behind the status would be done by now: these wait in the same lines.
    await Promise.all(Array.from({ length: 30 }, () => one.updatePlan({ key: plan.key, name: "in time" })))
    const states = (await Recording.eventsOf(one, plan)).map(Recording.assetOf)
    expect(states).not.toContainEqual(expect.objectContaining({ name: "too late" }))
  })

  it.each(["soon", ""])("of %j is a status", async (timeout) => {
    expect((await read({ "grpc-timeout": timeout })).code).toBe(internal)
  })
})

describe("a message", () => {
  const send = (path: string, ...frames: ReadonlyArray<Buffer>) => raw.call({ path, frames })
  const newPlan = () => RawCall.framed(NewComputePlan.encode(Build.newPlan()).finish())

  it("may come byte by byte", async () => {
    expect((await send(paths.registerPlan, ...Array.from(newPlan(), (byte) => Buffer.of(byte)))).code).toBe(ok)
  })

  it("that never comes is a status", async () => {
    for (const path of [paths.getPlan, paths.subscribeToEvents]) expect((await send(path)).code).toBe(unimplemented)
  })

  it("that ends too early is a status", async () => {
    for (const length of [1, 5, 10])
      expect((await send(paths.getPlan, getPlan().subarray(0, length))).code).toBeGreaterThan(ok)
  })

  it("that follows another is a status, and the first has no effect", async () => {
    const key = Build.newKey()
    const first = RawCall.framed(NewComputePlan.encode(Build.newPlan({ key })).finish())
    expect((await send(paths.registerPlan, first, newPlan())).code).toBe(unimplemented)
    expect((await send(paths.registerPlan, Buffer.concat([first, newPlan()]))).code).toBe(unimplemented)
    expect((await send(paths.subscribeToEvents, RawCall.framed(Buffer.of()), RawCall.framed(Buffer.of()))).code).toBe(
      unimplemented
    )
    expect((await send(paths.getPlan, getPlan(key))).code).toBe(notFound)
  })

  it("of 4 GiB is refused before it is there", async () => {
    expect((await send(paths.getPlan, Buffer.of(0, 255, 255, 255, 255, 1))).code).toBe(resourceExhausted)
  })

  const zipped = (bytes: Uint8Array) =>
    raw.call({ path: paths.getPlan, headers: { "grpc-encoding": "gzip" }, frames: [RawCall.framed(bytes, true)] })

  it.each([
    ["inputs", 18],
    ["outputs", 19]
  ])("has the default value in an entry of %s that has none, which is refused", async (name, field) => {
    const tag = (field << 3) | 2
    const entry = Buffer.from([(tag & 127) | 128, tag >> 7, 3, 0x0a, 1, 0x6d])
    const { code, details } = await send(paths.registerFunction, RawCall.framed(entry))
    expect(code).toBe(invalidArgument)
    expect(details).toContain(`${name}: "m" `)
  })

  it("may be compressed", async () => {
    expect((await zipped(gzipSync(getPlan().subarray(5)))).code).toBe(ok)
  })

  it("that is not what its encoding says is a status", async () => {
    expect((await zipped(Buffer.from("no gzip"))).code).toBe(internal)
  })

  it("that grows beyond the limit is refused", async () => {
    expect((await zipped(gzipSync(Buffer.alloc(100 * requestLimit)))).code).toBe(resourceExhausted)
  })

  it("of another protocol is refused by HTTP", async () => {
    expect((await read({ "content-type": "application/json" })).status).toBe(415)
  })
})

describe("a connection", () => {
  it("that speaks no HTTP/2 is closed", async () => {
    const [host = "", port = ""] = server.address.split(":")
    for (const greeting of ["GET / HTTP/1.1\r\nHost: x\r\n\r\n", "\x16\x03\x01\x02\x00\x01\x00", "\0".repeat(100)]) {
      const socket = net.connect(Number(port), host)
      socket.on("error", () => {})
      socket.write(greeting)
      socket.resume()
      await once(socket, "close")
    }
  })

  it("with 200 streams brings every event to each", async () => {
    const client = server.client()
    const start = await Recording.mark(client)
    const streams = Array.from({ length: 200 }, () => client.subscribeToEvents({ startEventId: start }))
    await Promise.all(streams.map(({ headers }) => headers))
    const { key } = await Drive.aPlan(client)
    expect(
      new Set((await Promise.all(streams.map((stream) => stream.next()))).map(({ assetKey }) => assetKey))
    ).toEqual(new Set([key]))
    await Promise.all(streams.map((stream) => stream[Symbol.asyncDispose]()))
  })

  /** Event streams that the server has open; told once a second. */
  const streamsOpen = async () => {
    const text = await (await fetch(`${server.http}/metrics`)).text()
    return Metrics.sum(Metrics.parse(text), "orc_event_subscribers")
  }
  const subscription = { path: paths.subscribeToEvents, frames: [RawCall.framed(Buffer.of())] }

  it("on which 500 streams are opened and cancelled is served on, and nothing of them stays", async () => {
    await using client = await RawCall.connect(server.address)
    await Promise.all(Array.from({ length: 500 }, () => client.reset(subscription)))
    const { code } = await client.call({ path: paths.getPlan, frames: [getPlan()] })
    expect(code).toBe(ok)
    await vi.waitFor(async () => expect(await streamsOpen()).toBe(1), { timeout: 20_000, interval: 50 })
  })

  it("that resets 5,000 streams harms nobody but itself", async () => {
    await using client = await RawCall.connect(server.address)
    await Promise.all(Array.from({ length: 5000 }, () => client.reset(subscription)))
    expect(await one.getPlan({ key: plan.key })).toMatchObject({ key: plan.key })
  })

  it("that is cut in the middle of its calls harms nobody", async () => {
    const doomed = await RawCall.connect(server.address)
    const streams = Array.from({ length: 50 }, () =>
      doomed.call({ path: paths.subscribeToEvents, frames: [RawCall.framed(Buffer.of())] })
    )
    const calls = Array.from({ length: 50 }, () =>
      doomed.call({
        path: paths.registerPlan,
        frames: [RawCall.framed(NewComputePlan.encode(Build.newPlan()).finish())]
      })
    )
    await calls[0]
    doomed.session.destroy()
    await Promise.all([...streams, ...calls])
    expect(await one.getPlan({ key: plan.key })).toMatchObject({ key: plan.key })
  })
})

it("none of all this was a defect", () => {
  expect(server.output()).not.toMatch(/defect|uncaught|unhandled/i)
})
