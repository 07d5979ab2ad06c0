/** Clients that mean harm, or look like it: what one of them sends, or does not read, costs the server a bounded amount. */
import { EventEmitter, once } from "node:events"
import type { ServerHttp2Stream } from "node:http2"
import { Duplex } from "node:stream"
import { gzipSync } from "node:zlib"
import type { Server, UntypedServiceImplementation } from "@grpc/grpc-js"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { describe, expect, it } from "vitest"
import * as MemoryStore from "../../src/layers/memory/MemoryStore.ts"
import * as ServiceLayers from "../../src/layers/Services.ts"
import { UpdateDataSamplesParam } from "../../src/layers/wire/generated/datasample.ts"
import { HeldBytes } from "../../src/server/HeldBytes.ts"
import { addReflection } from "../../src/server/Reflection.ts"
import { EventLog } from "../../src/services/store/EventLog.ts"
import * as Build from "../blackbox/Builders.ts"
import { paths } from "../blackbox/Client.ts"
import { failure } from "../blackbox/Refusals.ts"
import { startServer } from "../blackbox/Server.ts"
import * as calls from "../concurrency/calls.ts"
import * as RawCall from "./RawCall.ts"

const deadlineExceeded = 4
const resourceExhausted = 8

/** The beginning of a message that says it is so long, with so much of it. */
const begun = (announced: number, sent: number): Buffer => {
  const bytes = Buffer.alloc(5 + sent)
  bytes.writeUInt32BE(announced, 1)
  return bytes
}

const kibibyte = 1024

describe("a request", () => {
  it("of more fields than anybody needs is refused", async () => {
    const server = await startServer()
    await using raw = await RawCall.connect(server.address)
    // Twelve megabytes of keys that are empty: thousands of bytes, compressed.
    const bytes = Buffer.alloc(2 * 6_000_001).fill(Buffer.of(10, 0))
    const frames = [RawCall.framed(gzipSync(bytes), true)]
    const answer = await raw.call({ path: paths.updateDataSamples, headers: { "grpc-encoding": "gzip" }, frames })
    expect(answer).toMatchObject({
      code: resourceExhausted,
      details: "the request is too large: it has more than 6000000 fields, send less at once"
    })
  })

  it("with very much wrong in it names the first of it", async () => {
    const { one } = await startServer()
    const request = UpdateDataSamplesParam.encode({ keys: Array(20_000).fill(""), dataManagerKeys: ["x"] }).finish()
    const { details } = await failure(one.bytes(paths.updateDataSamples, request))
    expect(details).toBe("OE0101: datasample is not valid: keys[0]: cannot be blank.")
  })

  it("whose items are all wrong is not looked at to its end", async () => {
    const { one } = await startServer()
    const task = { ...Build.newTask({ key: "x", outputs: new Map() }, "y"), key: "z" }
    const tasks = Array.from({ length: 9000 }, () => task)
    const { code, details } = await failure(one.registerTasks({ tasks }))
    const [, count] = /\((\d+) wrong fields in all\)\.$/.exec(details) ?? []
    expect([code, Number(count)]).toEqual(["INVALID_ARGUMENT", expect.closeTo(10_000, -2)])
  })

  it("that does not become whole is refused when the time of a call is over", async () => {
    const server = await startServer({ env: { ORCHESTRATOR_GRPC_CALL_TIMEOUT: "300ms" } })
    await using raw = await RawCall.connect(server.address)
    const answers = await Promise.all(
      [begun(kibibyte, 10), begun(kibibyte, 0), undefined].map((part) => raw.begin({ path: paths.registerPlan }, part))
    )
    for (const answer of answers) {
      expect(answer.metadata["grpc-status"]).toBe(String(deadlineExceeded))
      expect(decodeURIComponent(answer.metadata["grpc-message"] ?? "")).toContain("was not there within 300ms")
    }
  })

  it("has all the time there is where a call has", async () => {
    const server = await startServer({ env: { ORCHESTRATOR_GRPC_CALL_TIMEOUT: "2000h" } })
    await using raw = await RawCall.connect(server.address)
    let isRefused = false
    void raw.begin({ path: paths.registerPlan }, begun(kibibyte, 10)).then(
      () => {
        isRefused = true
      },
      () => {}
    )
    for (let call = 0; call < 5; call++) await server.one.registerPlan(Build.newPlan())
    expect(isRefused).toBe(false)
  })

  it("that is not whole goes when all of them hold too much, the first of them first", async () => {
    const server = await startServer({ env: { ORCHESTRATOR_GRPC_MAX_REQUEST_SIZE: String(64 * kibibyte) } })
    await using raw = await RawCall.connect(server.address)
    const path = paths.registerPlan
    const ended: Array<number> = []
    const begin = async (index: number) => {
      const { metadata } = await raw.begin({ path }, begun(64 * kibibyte, 60 * kibibyte))
      expect(metadata["grpc-status"]).toBe(String(resourceExhausted))
      ended.push(index)
    }
    const first = begin(0)
    // A call behind each makes sure that it has arrived.
    for (let index = 1; index < 5; index++) {
      await server.one.registerPlan(Build.newPlan())
      void begin(index).catch(() => {})
    }
    await first
    expect(ended).toEqual([0])
    await server.one.registerPlan(Build.newPlan())
  })

  it("that is compressed counts as what it may become until it is inflated", async () => {
    const server = await startServer({ env: { ORCHESTRATOR_GRPC_MAX_REQUEST_SIZE: String(64 * kibibyte) } })
    await using raw = await RawCall.connect(server.address)
    const request = { path: paths.registerPlan, headers: { "grpc-encoding": "gzip" } }
    const part = begun(60 * kibibyte, 100)
    part[0] = 1
    const first = raw.begin(request, part)
    for (let index = 1; index < 17; index++) void raw.begin(request, part).catch(() => {})
    expect((await first).metadata["grpc-status"]).toBe(String(resourceExhausted))
    await server.one.registerPlan(Build.newPlan())
  })
})

it("a call whose events would take too much memory together is refused, and leaves nothing", () =>
  Effect.gen(function* () {
    const as = calls.caller("OrgA", "mychannel")
    yield* calls.registerOrganization(as)
    const manager = Build.newDataManager()
    yield* calls.registerManager(as, manager)
    const some = (count: number) => Array.from({ length: count }, () => Build.newDataSample([manager]))
    yield* calls.registerSamples(as, some(10))
    const refused = yield* calls.outcome(calls.registerSamples(as, some(100)))
    expect(refused).toMatch(/^ResourceExhausted: the events of this call would have more than 20000 bytes: /)
    const log = yield* EventLog
    expect(yield* log.heads([as.channel])).toEqual(new Map([[as.channel, 12]]))
  }).pipe(
    Effect.provide(ServiceLayers.layer({ maxEventsSize: 20_000 }).pipe(Layer.provideMerge(MemoryStore.layer))),
    Effect.runPromise
  ))

it("what is held beyond the bound goes in the order in which it came", () => {
  const stream = () => new EventEmitter() as ServerHttp2Stream
  const [a, b, c, d] = [stream(), stream(), stream(), stream()] as const
  const given: Array<ServerHttp2Stream> = []
  const held = new HeldBytes(100, (one) => given.push(one))
  held.add(a, 40)
  held.add(b, 40)
  held.add(a, 20)
  held.release(b)
  held.add(c, 40)
  expect(given).toEqual([])
  held.add(d, 1)
  expect(given).toEqual([a])
  held.add(d, 60)
  expect(given).toEqual([a, c])
  held.add(d, 40)
  expect(given).toEqual([a, c, d])
})

it("a reflection stream whose answers nobody reads takes no more questions", async () => {
  const handlers: Array<UntypedServiceImplementation> = []
  addReflection({
    addService: (_: unknown, made: UntypedServiceImplementation) => handlers.push(made)
  } as unknown as Server)
  expect(handlers).toHaveLength(2)
  for (const { ServerReflectionInfo } of handlers) {
    let answers = 0
    let take = () => {}
    const call = new Duplex({
      objectMode: true,
      read: () => {},
      write: (_message, _encoding, taken) => {
        answers++
        take = taken
      }
    })
    ;(ServerReflectionInfo as unknown as (call: Duplex) => void)(call)
    const ask = () => call.push({ listServices: "", messageRequest: "listServices" })
    for (let question = 0; question < 100; question++) ask()
    const paused = once(call, "pause")
    await paused
    expect(call.isPaused()).toBe(true)
    expect(call.writableLength).toBeLessThan(20)
    while (answers < 100) {
      take()
      await new Promise((resolve) => setImmediate(resolve))
    }
    expect(call.isPaused()).toBe(false)
    call.destroy()
  }
})
