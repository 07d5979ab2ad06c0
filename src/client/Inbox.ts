/** What a stream of grpc-js has brought and nobody has taken yet: bounded, the server is held back beyond. */
import { type ClientReadableStream, type StatusObject, status } from "@grpc/grpc-js"
import * as Array from "effect/Array"
import * as Effect from "effect/Effect"
import type { ClientError } from "./ClientError.ts"

/** That the server has accepted the stream, or a message. */
export type Received = "accepted" | Buffer

/** How many messages, and how many bytes of them, wait to be taken. */
const mostMessages = 64
const mostBytes = 1024 * 1024

export class Inbox {
  private received: globalThis.Array<Received> = []
  private bytes = 0
  private status: StatusObject | undefined
  private ended = false
  private wake: () => void = () => {}
  private readonly call: ClientReadableStream<Buffer>
  private readonly errorOf: (status: StatusObject) => ClientError

  constructor(call: ClientReadableStream<Buffer>, errorOf: (status: StatusObject) => ClientError) {
    this.call = call
    this.errorOf = errorOf
    call.on("metadata", () => this.add("accepted"))
    call.on("data", (message: Buffer) => {
      this.bytes += message.length
      this.add(message)
      if (this.received.length >= mostMessages || this.bytes >= mostBytes) call.pause()
    })
    // The status is told by an event of its own; what was received before it is given out first.
    call.on("error", () => {})
    call.on("status", (told: StatusObject) => {
      this.status = told
    })
    call.on("end", () => {
      this.ended = true
      this.wake()
    })
  }

  private add(received: Received): void {
    this.received.push(received)
    this.wake()
  }

  /** All that has come, one at least: waits for it. Fails at the end. */
  readonly take: Effect.Effect<Array.NonEmptyReadonlyArray<Received>, ClientError> = Effect.callback((resume) => {
    const rest = () => {
      this.wake = () => {}
    }
    const look = () => {
      const taken = this.received
      if (Array.isReadonlyArrayNonEmpty(taken)) {
        rest()
        this.received = []
        this.bytes = 0
        resume(Effect.succeed(taken))
        this.call.resume()
      } else if (this.ended) {
        rest()
        resume(Effect.fail(this.end()))
      }
    }
    this.wake = look
    look()
    return Effect.sync(rest)
  })

  /** An end without an error is one too: the server never does that, a proxy may. */
  private end(): ClientError {
    const { code, details, metadata } = this.status as StatusObject
    return this.errorOf(
      code === status.OK
        ? { code: status.UNAVAILABLE, details: "the stream ended without an error", metadata }
        : { code, details, metadata }
    )
  }
}
