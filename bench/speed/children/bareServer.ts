/** The floor of calls and streams: grpc-js with nothing behind it, and frames on the HTTP/2 stream below it. */
import type { ServerHttp2Stream } from "node:http2"
import * as grpc from "@grpc/grpc-js"
import { type EventCall, http2StreamOf } from "../../../src/server/EventStream.ts"
import { runAs } from "./child.ts"

export interface BareServerJob {
  /** Messages that its streams send, as base64. */
  readonly messages?: ReadonlyArray<string>
  /** How often the messages are sent on a stream, one after the other. */
  readonly repeat?: number
  /** Rounds of one message to all streams, a second, by `call.write`; else all at once, as fast as they are taken. */
  readonly pace?: number
  /** Whether frames are glued together, on the HTTP/2 stream. */
  readonly glued?: boolean
}

/** Frames of one write. */
const gluedBytes = 64 * 1024

const identity = (bytes: Buffer): Buffer => bytes

const method = (path: string, responseStream: boolean) => ({
  path,
  requestStream: false,
  responseStream,
  requestSerialize: identity,
  requestDeserialize: identity,
  responseSerialize: identity,
  responseDeserialize: identity
})

const framed = (message: Buffer): Buffer => {
  const frame = Buffer.alloc(5 + message.length)
  frame.writeUInt32BE(message.length, 1)
  message.copy(frame, 5)
  return frame
}

const drained = (stream: { once: (event: "drain", listener: () => void) => unknown }): Promise<void> =>
  new Promise((resolve) => stream.once("drain", resolve))

await runAs<BareServerJob>(async ({ glued = false, messages = [], pace, repeat = 1 }) => {
  const prepared = messages.map((message) => Buffer.from(message, "base64"))
  const calls: Array<EventCall> = []

  const sendGlued = async (call: EventCall) => {
    const stream = http2StreamOf(call) as ServerHttp2Stream
    const frames = prepared.map(framed)
    let parts: Array<Buffer> = []
    let size = 0
    for (let index = 0; index < prepared.length * repeat; index++) {
      const frame = frames[index % frames.length] as Buffer
      parts.push(frame)
      size += frame.length
      if (size < gluedBytes) continue
      if (!stream.write(Buffer.concat(parts, size))) await drained(stream)
      parts = []
      size = 0
    }
    if (size > 0) stream.write(Buffer.concat(parts, size))
  }

  const sendEach = async (call: EventCall) => {
    for (let index = 0; index < prepared.length * repeat; index++) {
      if (!call.write(prepared[index % prepared.length] as Buffer)) await drained(call)
    }
  }

  const server = new grpc.Server({ "grpc.max_send_message_length": -1 })
  server.addService(
    { Call: method("/bench.Empty/Call", false), Stream: method("/bench.Empty/Stream", true) } as grpc.ServiceDefinition,
    {
      Call: (_: unknown, callback: grpc.sendUnaryData<Buffer>) => callback(null, Buffer.alloc(0)),
      Stream: (call: EventCall) => {
        call.sendMetadata(new grpc.Metadata())
        calls.push(call)
      }
    }
  )
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync("127.0.0.1:0", grpc.ServerCredentials.createInsecure(), (error, bound) =>
      error === null ? resolve(bound) : reject(error)
    )
  )
  return {
    ready: port,
    work: async () => {
      if (pace === undefined) {
        await Promise.all(calls.map(glued ? sendGlued : sendEach))
        return null
      }
      const begun = performance.now()
      for (let round = 0; round < repeat; round++) {
        const wait = begun + (round * 1000) / pace - performance.now()
        if (wait > 0) await new Promise((resolve) => setTimeout(resolve, wait))
        const message = prepared[round % prepared.length] as Buffer
        for (const call of calls) call.write(message)
      }
      return null
    }
  }
})
