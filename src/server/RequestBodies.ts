/**
 * Requests that are not whole yet. grpc-js calls a handler with a whole message, and holds what came of it until then,
 * inflated where it was compressed: before anybody has asked who calls. So a request must be there within the time that
 * a call may take, and all of them together may hold so much; else the one that began first is refused.
 */
import { constants, type IncomingHttpHeaders, type ServerHttp2Stream } from "node:http2"
import {
  type Server,
  ServerInterceptingCall,
  type ServerInterceptingCallInterface,
  type ServerInterceptor,
  status
} from "@grpc/grpc-js"
import * as Duration from "effect/Duration"
import { http2StreamOf } from "./EventStream.ts"
import { longestTimer } from "./FarDeadlines.ts"
import { HeldBytes } from "./HeldBytes.ts"
import { http2ServersOf } from "./Http2Servers.ts"
import { plainStatus } from "./Status.ts"

/** Services of which a call may last for ever, and is begun before its requests are there. */
const lasting = /^\/grpc\./

/** As grpc-js would: a response without a message. */
const refuse = (stream: ServerHttp2Stream, code: status, text: string): void => {
  if (stream.destroyed) return
  if (!stream.headersSent) {
    const headers = {
      ":status": 200,
      "content-type": "application/grpc+proto",
      "grpc-status": code,
      "grpc-message": encodeURI(plainStatus(code, text).details)
    }
    stream.respond(headers, { endStream: true })
  }
  // Not in the same turn as the response: a reset overtakes what is not written yet.
  setImmediate(() => stream.close(constants.NGHTTP2_NO_ERROR))
}

/** What gzip makes of a byte at most. */
const inflation = 1000

/** As many of the largest requests may be held that are not whole yet, and as many may be on their way to that. */
const mostHeld = 4
const mostInflating = 16

export class RequestBodies {
  private readonly held: HeldBytes
  /** What may become of compressed bytes while they are inflated, which nobody hears of before it is done. */
  private readonly inflating: HeldBytes
  private readonly timers = new WeakMap<ServerHttp2Stream, NodeJS.Timeout>()
  private readonly compressed = new WeakSet<ServerHttp2Stream>()
  private readonly maxSize: number
  /** In milliseconds. */
  private readonly timeout: number
  private readonly late: string

  /** The largest request in bytes, and how long one may take until it is whole. */
  constructor(maxSize: number, timeout: Duration.Duration) {
    this.maxSize = maxSize
    this.timeout = Math.min(Duration.toMillis(timeout), longestTimer)
    this.late = `the request was not there within ${Duration.format(timeout)}`
    const giveUp = (stream: ServerHttp2Stream) =>
      refuse(stream, status.RESOURCE_EXHAUSTED, "too much of requests that are not whole yet is held, call again later")
    this.held = new HeldBytes(mostHeld * maxSize, giveUp)
    this.inflating = new HeldBytes(mostInflating * maxSize, giveUp)
  }

  /** To be called once the server is bound, before its first call. */
  watch(server: Server): void {
    for (const http2Server of http2ServersOf(server)) {
      http2Server.prependListener("stream", (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => {
        if (!lasting.test(String(headers[":path"]))) {
          const timer = setTimeout(() => refuse(stream, status.DEADLINE_EXCEEDED, this.late), this.timeout)
          this.timers.set(stream, timer.unref())
        }
        const isCompressed = (headers["grpc-encoding"] ?? "identity") !== "identity"
        if (isCompressed) this.compressed.add(stream)
        // grpc-js listens next, and pauses it: nothing flows for this listener alone.
        stream.on("data", (chunk: Buffer) => {
          if (stream.headersSent) return
          this.held.add(stream, chunk.length)
          if (isCompressed) this.inflating.add(stream, Math.min(this.maxSize, inflation * chunk.length))
        })
        stream.once("close", () => this.forget(stream))
      })
    }
  }

  /** Counts what a compressed message has become. */
  readonly interceptor: ServerInterceptor = (_method, call: ServerInterceptingCallInterface) => {
    const { stream } = call as unknown as { readonly stream?: ServerHttp2Stream }
    if (stream === undefined || !this.compressed.has(stream)) return call as ServerInterceptingCall
    return new ServerInterceptingCall(call, {
      start: (next) =>
        next({
          onReceiveMessage: (message: unknown, nextMessage) => {
            this.inflating.release(stream)
            if (message instanceof Uint8Array && !stream.headersSent) this.held.add(stream, message.length)
            if (!stream.closed) nextMessage(message)
          }
        })
    })
  }

  /** The request of a call is whole: from here on it is its handler's. */
  received(call: Parameters<typeof http2StreamOf>[0]): void {
    const stream = http2StreamOf(call)
    if (stream !== undefined) this.forget(stream)
  }

  private forget(stream: ServerHttp2Stream): void {
    clearTimeout(this.timers.get(stream))
    this.held.release(stream)
    this.inflating.release(stream)
  }
}
