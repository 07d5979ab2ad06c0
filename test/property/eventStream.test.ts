/** Events as bytes on the HTTP/2 stream below grpc-js: all of them, in bounded writes, never cut off by the stream's end. */
import { Writable } from "node:stream"
import * as grpc from "@grpc/grpc-js"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { deliver, type EventCall, http2StreamOf, type Subscribed } from "../../src/server/EventStream.ts"

const frameOf = (size: number): Uint8Array => {
  const frame = Buffer.alloc(5 + size, size % 251)
  frame.writeUInt32BE(size, 1)
  return frame
}

const eventsOf = (sizes: ReadonlyArray<number>) =>
  sizes.map((size, index) => ({ position: index + 1, id: `e${index}`, frame: frameOf(size) }))

/** A call on a stream that takes each write as soon as `taken` lets it. */
const callOn = (taken: (write: number) => Promise<void>) => {
  const writes: Array<Buffer> = []
  const stream = new Writable({
    highWaterMark: 16 * 1024,
    write: (chunk: Buffer, _encoding, done) => {
      writes.push(chunk)
      taken(writes.length).then(() => done())
    }
  })
  Object.assign(stream, { respond: () => {} })
  return { call: { call: { nextCall: { stream } } } as unknown as EventCall, writes }
}

const sizes = fc.array(fc.oneof(fc.nat(300), fc.integer({ min: 60_000, max: 300_000 })), {
  minLength: 1,
  maxLength: 30
})

/** A subscription that hands out these events, some by `take`, the others as they are heard of, and then ends. */
const subscriptionTo = (events: ReturnType<typeof eventsOf>, live: number, ended: Effect.Effect<never, "ended">) => {
  const first = events.slice(0, events.length - live)
  const rest = events.slice(first.length)
  const watchers = new Set<() => void>()
  const subscription: Subscribed<"ended"> = {
    take: Effect.suspend(() => {
      const [next] = first.length > 0 ? [first.splice(0)] : [rest.splice(0, 2)]
      return next.length > 0 ? Effect.succeed(next) : ended
    }),
    takeReady: () => {
      if (first.length > 0) return "elsewhere"
      return rest.length > 0 ? rest.splice(0, 2) : "nothing"
    },
    watch: (watcher) => {
      watchers.add(watcher)
      setImmediate(() => watchers.has(watcher) && watcher())
      return () => watchers.delete(watcher)
    },
    ended
  }
  return subscription
}

/** What was written when everything has been, or the stream has ended. */
const run = async (
  { call, writes }: ReturnType<typeof callOn>,
  subscription: Subscribed<"ended">,
  total: number,
  left: Effect.Effect<void> = Effect.never
): Promise<{ readonly bytes: Buffer; readonly delivered: number }> => {
  let delivered = 0
  const delivering = deliver(call, subscription, Duration.seconds(10), (events) => {
    delivered += events
  })
  const fiber = Effect.runFork(Effect.exit(Effect.raceFirst(delivering, left)))
  const stream = http2StreamOf(call)
  const isThrough = () => stream?.writableLength === 0 && fiber.pollUnsafe() !== undefined
  const written = () => writes.reduce((sum, write) => sum + write.length, 0)
  while (!isThrough() && written() < total) await new Promise((resolve) => setImmediate(resolve))
  await new Promise((resolve) => setImmediate(resolve))
  fiber.interruptUnsafe()
  return { bytes: Buffer.concat(writes), delivered }
}

const sizeOf = (events: ReturnType<typeof eventsOf>): number => events.reduce((sum, { frame }) => sum + frame.length, 0)

describe("events on a stream", () => {
  it("are written whole and in order, no write larger than 64 KiB, those that come live too", async () => {
    await fc.assert(
      fc.asyncProperty(sizes, fc.nat(30), async (given, live) => {
        const on = callOn(() => Promise.resolve())
        const events = eventsOf(given)
        const total = sizeOf(events)
        const subscription = subscriptionTo(events, Math.min(live, events.length - 1), Effect.never)
        const { bytes, delivered } = await run(on, subscription, total)
        expect(bytes.equals(Buffer.concat(events.map(({ frame }) => frame)))).toBe(true)
        for (const write of on.writes) expect(write.length).toBeLessThanOrEqual(64 * 1024)
        expect(delivered).toBe(events.length)
      }),
      { numRuns: 50 }
    )
  })

  it.each(["its subscription ends", "it is interrupted"])("end with a whole event when %s meanwhile", async (how) => {
    const last = fc.integer({ min: 1, max: 6 })
    await fc.assert(
      fc.asyncProperty(sizes, fc.nat(30), last, async (given, live, last) => {
        const ended = Deferred.makeUnsafe<never, "ended">()
        const isLeft = Deferred.makeUnsafe<void>()
        const on = callOn((write) => {
          if (write < last) return Promise.resolve()
          if (how === "it is interrupted") Deferred.doneUnsafe(isLeft, Effect.void)
          else Deferred.doneUnsafe(ended, Effect.fail("ended" as const))
          return new Promise((resolve) => setImmediate(resolve))
        })
        const events = eventsOf(given)
        const total = events.reduce((sum, { frame }) => sum + frame.length, 0)
        const subscription = subscriptionTo(events, Math.min(live, events.length - 1), Deferred.await(ended))
        const { bytes } = await run(on, subscription, total, Deferred.await(isLeft))
        const ends = events.map((_, index) =>
          events.slice(0, index + 1).reduce((sum, one) => sum + one.frame.length, 0)
        )
        expect(ends).toContain(bytes.length)
      }),
      { numRuns: 50 }
    )
  })

  it("find the stream below grpc-js, with interceptors and without", async () => {
    const passing: grpc.ServerInterceptor = (_, call) => new grpc.ServerInterceptingCall(call)
    for (const interceptors of [[], [passing]]) {
      const server = new grpc.Server({ interceptors })
      const bytes = { serialize: (value: Buffer) => value, deserialize: (value: Buffer) => value }
      const method = {
        path: "/test/Stream",
        requestStream: false,
        responseStream: true,
        requestSerialize: bytes.serialize,
        requestDeserialize: bytes.deserialize,
        responseSerialize: bytes.serialize,
        responseDeserialize: bytes.deserialize
      } as const
      server.addService({ Stream: method } as grpc.ServiceDefinition, {
        Stream: (call: EventCall) => {
          call.sendMetadata(new grpc.Metadata())
          const found = http2StreamOf(call) !== undefined
          call.write(Buffer.from([found ? 1 : 0]))
          call.end()
        }
      })
      const port = await new Promise<number>((resolve, reject) =>
        server.bindAsync("127.0.0.1:0", grpc.ServerCredentials.createInsecure(), (error, bound) =>
          error === null ? resolve(bound) : reject(error)
        )
      )
      const client = new grpc.Client(`127.0.0.1:${port}`, grpc.credentials.createInsecure())
      const answers = client.makeServerStreamRequest(method.path, bytes.serialize, bytes.deserialize, Buffer.alloc(0))
      const received: Array<number> = []
      for await (const answer of answers) received.push((answer as Buffer)[0] as number)
      expect(received).toEqual([1])
      client.close()
      server.forceShutdown()
    }
  })
})
