/** A server's stream as a test reads it: message by message, whole stretches of it, or how it ended. */
import type * as grpc from "@grpc/grpc-js"
import { CallError } from "./CallError.ts"

type Call = grpc.ClientReadableStream<Buffer>

export class MessageStream<T> implements AsyncIterable<T>, AsyncDisposable {
  /** The response headers, which come before the first message. Fails when the call does first. */
  readonly headers: Promise<grpc.Metadata>
  /** How the call ended, also with OK. */
  readonly ended: Promise<CallError>
  readonly #path: string
  readonly #call: Call
  readonly #messages: AsyncIterator<Buffer>
  readonly #decode: (bytes: Buffer) => T

  constructor(path: string, call: Call, decode = (bytes: Buffer) => bytes as T, read?: AsyncIterator<Buffer>) {
    this.#path = path
    this.#call = call
    this.#decode = decode
    this.#messages = read ?? call[Symbol.asyncIterator]()
    const { promise, reject, resolve } = Promise.withResolvers<grpc.Metadata>()
    this.headers = promise
    this.headers.catch(() => {})
    let received: grpc.Metadata | undefined
    call.on("metadata", (headers) => {
      received = headers
      resolve(headers)
    })
    call.on("error", () => {}) // `ended` tells it
    this.ended = new Promise((end) =>
      call.on("status", (status) => {
        const error = new CallError(path, status, received ?? status.metadata)
        reject(error)
        end(error)
      })
    )
  }

  /** The same stream, its messages decoded. Made before anything is read. */
  map<U>(decode: (bytes: Buffer) => U): MessageStream<U> {
    return new MessageStream(this.#path, this.#call, decode, this.#messages)
  }

  /** The next message. Fails when the stream ends instead. */
  async next(): Promise<T> {
    const result = await this.#messages.next().catch(() => undefined)
    if (result === undefined || result.done === true) throw await this.ended
    return this.#decode(result.value)
  }

  async take(count: number): Promise<Array<T>> {
    const messages: Array<T> = []
    while (messages.length < count) messages.push(await this.next())
    return messages
  }

  /** The messages up to the one that fits, without it. */
  async until(fits: (message: T) => boolean): Promise<Array<T>> {
    const messages: Array<T> = []
    for await (const message of this) {
      if (fits(message)) break
      messages.push(message)
    }
    return messages
  }

  /** All messages. It ends by failing: this server ends no stream with OK. */
  async *[Symbol.asyncIterator](): AsyncGenerator<T> {
    for (;;) yield await this.next()
  }

  cancel(): void {
    this.#call.cancel()
  }

  /** Cancels, and waits until the call is over. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.cancel()
    await this.ended
  }
}
