/** Subscribers that stop reading: what becomes of them, and that nobody else notices. */
import * as http2 from "node:http2"
import { afterEach, expect, test, vi } from "vitest"
import * as build from "../blackbox/Builders.ts"
import { startServers } from "./support.ts"

const { client, servers } = await startServers(1, {
  ORCHESTRATOR_STALLED_SUBSCRIBER_TIMEOUT: "300ms",
  METRICS_ENABLED: "true"
})
const one = client(0)
await one.registerOrganization()

/** Plans with an event each of about this many KiB: more together than HTTP/2 lets a client leave unread. */
const registerLarge = async (count: number, kib: number) => {
  const entries = Math.ceil((kib * 1024) / 120)
  const metadata = new Map(Array.from({ length: entries }, (_, index) => [`key ${index}`, "x".repeat(100)]))
  for (let index = 0; index < count; index++) await one.registerPlan(build.newPlan({ metadata }))
}

/** Waits until the server has given up so many streams. */
const untilEnded = (count: number) =>
  vi.waitFor(async () => {
    const answer = await fetch(`http://127.0.0.1:${servers[0]?.httpPort}/metrics`)
    const line = /^grpc_server_handled_total\{.*server_stream.*grpc_code="Unavailable"\} (\d+)$/m.exec(
      await answer.text()
    )
    expect(Number(line?.[1])).toBe(count)
  }, 20_000)

const sessions: Array<http2.ClientHttp2Session> = []
afterEach(() => {
  for (const session of sessions.splice(0)) session.destroy()
})

interface Ended {
  readonly rstCode: number
  readonly grpcStatus: unknown
  readonly bytes: Buffer
}

/** A subscription whose client reads nothing until it is told to. */
const subscribe = () => {
  const session = http2.connect(`http://127.0.0.1:${servers[0]?.grpcPort}`)
  sessions.push(session)
  session.on("error", () => {})
  const request = session.request({
    ":method": "POST",
    ":path": "/orchestrator.EventService/SubscribeToEvents",
    "content-type": "application/grpc",
    te: "trailers",
    mspid: "MyOrg1MSP",
    channel: "mychannel"
  })
  request.pause()
  const chunks: Array<Buffer> = []
  let grpcStatus: unknown
  request.on("error", () => {})
  request.on("trailers", (trailers) => {
    grpcStatus = trailers["grpc-status"]
  })
  request.end(Buffer.alloc(5))
  const ended = new Promise<Ended>((resolve) => {
    request.on("close", () => resolve({ rstCode: request.rstCode, grpcStatus, bytes: Buffer.concat(chunks) }))
  })
  return {
    ended,
    read: () => {
      request.on("data", (chunk: Buffer) => chunks.push(chunk))
      request.resume()
    }
  }
}

/** The lengths of the messages in these bytes; the last one must be whole. */
const messageLengths = (bytes: Buffer): ReadonlyArray<number> => {
  const lengths: Array<number> = []
  for (let at = 0; at < bytes.length; ) {
    const length = bytes.readUInt32BE(at + 1)
    lengths.push(length)
    at += 5 + length
    expect(at).toBeLessThanOrEqual(bytes.length)
  }
  return lengths
}

test("a subscriber that never reads again is reset, with the code that clients take for UNAVAILABLE", async () => {
  await registerLarge(4, 100)
  const { ended } = subscribe()
  expect(await ended).toMatchObject({ rstCode: http2.constants.NGHTTP2_REFUSED_STREAM, grpcStatus: undefined })
})

test("one that reads again in time gets its status behind whole messages", async () => {
  await registerLarge(4, 100)
  const other = client(0).subscribeToEvents()
  await other.headers
  const { ended, read } = subscribe()
  // Another subscriber gets what comes, though this one has long taken nothing.
  const plan = build.newPlan()
  await one.registerPlan(plan)
  await other.until(({ assetKey }) => assetKey === plan.key)
  await untilEnded(2)
  read()
  const { bytes, grpcStatus, rstCode } = await ended
  expect([grpcStatus, rstCode]).toEqual(["14", http2.constants.NGHTTP2_NO_ERROR])
  expect(messageLengths(bytes).length).toBeGreaterThan(0)
  await other[Symbol.asyncDispose]()
})
