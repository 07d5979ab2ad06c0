/**
 * One connection of grpc-js to an orchestrator: bytes to a path, and the bytes that are answered. Deadlines, request
 * ids, the trace of the caller and errors are dealt with here; what is repeated is not (Retry.ts, Events.ts).
 */
import { Client as GrpcClient, type Metadata, type StatusObject, status } from "@grpc/grpc-js"
import * as Array from "effect/Array"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as Tracer from "effect/Tracer"
import type { ClientError } from "./ClientError.ts"
import type { Settings } from "./ClientOptions.ts"
import type { Rpc } from "./Contract.ts"
import { type CallPlace, clientClosed, fromStatus, invalidAnswer, invalidRequest } from "./Status.ts"

export interface AttemptOptions {
  /** Milliseconds that are left; none for a stream. */
  readonly timeout?: number
  /** The name of the call in the server's log. What a header cannot carry becomes `_`. */
  readonly requestId?: string | undefined
}

/** What a stream brings: first that the server has accepted it, then messages. */
export type Arrival<A> = { readonly _tag: "Accepted" } | { readonly _tag: "Message"; readonly message: A }

export interface Connection {
  /** One attempt of a unary call. */
  readonly unary: (rpc: Rpc, request: object, options: AttemptOptions) => Effect.Effect<object, ClientError>
  /** One call of a stream, until it ends, which is always an error. Reading slowly holds the server back. */
  readonly stream: (rpc: Rpc, request: object, options: AttemptOptions) => Stream.Stream<Arrival<object>, ClientError>
}

const passBytes = (bytes: Buffer): Buffer => bytes

/** The longest that a timer of Node can wait. */
const longestTimeout = 2 ** 31 - 1

const deadlineOf = (timeout: number | undefined): { readonly deadline?: number } =>
  timeout === undefined || timeout > longestTimeout ? {} : { deadline: Date.now() + timeout }

/** The calls of a connection that run, so that they end with it. */
class Line {
  readonly client: GrpcClient
  readonly calls = new Set<{ readonly cancel: () => void }>()
  isClosed = false

  constructor({ address, connection, credentials }: Settings) {
    this.client = new GrpcClient(address, credentials, connection)
  }

  close(): void {
    this.isClosed = true
    for (const call of this.calls) call.cancel()
    this.client.close()
  }

  /** The status of a call that has ended here or there. */
  errorOf(place: CallPlace, status: StatusObject): ClientError {
    return this.isClosed ? clientClosed(place) : fromStatus(place, status)
  }
}

/** Opened by the first call; closed with the scope, and whatever still runs on it ends. */
export const make = (settings: Settings): Effect.Effect<Connection, never, Scope.Scope> =>
  Effect.map(
    Effect.acquireRelease(
      Effect.sync(() => new Line(settings)),
      (line) => Effect.sync(() => line.close())
    ),
    (line) => {
      /** The headers of a call, with the trace that it belongs to. */
      const headersOf = (requestId: string | undefined) =>
        Effect.map(activeSpan, (span): Metadata => {
          const headers = settings.headers.clone()
          if (requestId !== undefined) headers.set("reqid", requestId)
          if (Option.isSome(span)) headers.set("traceparent", traceparent(span.value))
          return headers
        })
      const placeOf = (rpc: Rpc, requestId: string | undefined): CallPlace => ({
        rpc: rpc.name,
        address: settings.address,
        requestId: requestId?.replaceAll(/[^\x21-\x2b\x2d-\x7e]/g, "_")
      })

      const encoded = (rpc: Rpc, request: object, place: CallPlace) =>
        Effect.try({
          try: () => Buffer.from(rpc.encode(request)),
          catch: (cause) => invalidRequest(place, cause)
        })
      const open = (place: CallPlace) => Effect.suspend(() => (line.isClosed ? clientClosed(place) : Effect.void))

      const unary: Connection["unary"] = (rpc, request, { requestId, timeout }) =>
        Effect.gen(function* () {
          const place = placeOf(rpc, requestId)
          const bytes = yield* encoded(rpc, request, place)
          const headers = yield* headersOf(place.requestId)
          yield* open(place)
          if (timeout !== undefined && !(timeout > 0)) return yield* invalidRequest(place, "its timeout is no duration")
          let known = place
          const answer = yield* Effect.callback<Buffer, ClientError>((resume) => {
            const call = line.client.makeUnaryRequest(
              rpc.path,
              passBytes,
              passBytes,
              bytes,
              headers,
              deadlineOf(timeout),
              (error, received) => {
                line.calls.delete(call)
                resume(
                  error === null && received !== undefined
                    ? Effect.succeed(received)
                    : Effect.fail(line.errorOf(known, error as StatusObject))
                )
              }
            )
            // The server names the call where the client does not.
            call.on("metadata", (received: Metadata) => {
              const [id] = received.get("reqid")
              known = { ...place, requestId: id === undefined ? place.requestId : String(id) }
            })
            line.calls.add(call)
            return Effect.sync(() => call.cancel())
          })
          return yield* Effect.try({
            try: () => rpc.decode(answer),
            catch: (cause) => invalidAnswer(known, cause)
          })
        }).pipe(traced(rpc))

      const stream: Connection["stream"] = (rpc, request, { requestId }) =>
        Stream.unwrap(
          Effect.gen(function* () {
            const place = placeOf(rpc, requestId)
            const bytes = yield* encoded(rpc, request, place)
            const headers = yield* headersOf(place.requestId)
            yield* open(place)
            const call = yield* Effect.acquireRelease(
              Effect.sync(() => line.client.makeServerStreamRequest(rpc.path, passBytes, passBytes, bytes, headers)),
              (running) =>
                Effect.sync(() => {
                  line.calls.delete(running)
                  running.cancel()
                })
            )
            line.calls.add(call)
            const inbox = new Inbox(call, (status) => line.errorOf(place, status))
            const pull = Effect.flatMap(inbox.take, (received) =>
              Effect.try({
                try: () => Array.map(received, (one) => decoded(rpc, one)),
                catch: (cause) => invalidAnswer(place, cause)
              })
            )
            return Stream.fromPull(Effect.succeed(pull))
          })
        )

      return { unary, stream }
    }
  )

/** The span in which a call is made, unless its trace is to stay with the caller. */
const activeSpan: Effect.Effect<Option.Option<Tracer.AnySpan>> = Effect.flatMap(
  Tracer.DisablePropagation,
  (isDisabled) => (isDisabled ? Effect.succeed(Option.none()) : Effect.option(Effect.currentParentSpan))
)

/** The header of the W3C. */
const traceparent = ({ sampled, spanId, traceId }: Tracer.AnySpan): string =>
  `00-${traceId.padStart(32, "0")}-${spanId}-${sampled ? "01" : "00"}`

/** A span for each attempt of those who trace; for the others nothing is made or sent. */
const traced =
  ({ name, path }: Rpc) =>
  <A, E>(attempt: Effect.Effect<A, E>): Effect.Effect<A, E> =>
    Effect.flatMap(Effect.option(Effect.currentParentSpan), (parent) =>
      Option.isNone(parent)
        ? attempt
        : Effect.withSpan(attempt, path.slice(1), {
            kind: "client",
            attributes: { "rpc.system": "grpc", "rpc.method": name }
          })
    )

type Received = "accepted" | Buffer

const decoded = (rpc: Rpc, received: Received): Arrival<object> =>
  received === "accepted" ? { _tag: "Accepted" } : { _tag: "Message", message: rpc.decode(received) }

/** How many messages wait to be taken before the server is held back. */
const inboxSize = 64

type Readable = ReturnType<GrpcClient["makeServerStreamRequest"]>

/** What a stream has brought and nobody has taken yet. */
class Inbox {
  private received: globalThis.Array<Received> = []
  private status: StatusObject | undefined
  private ended = false
  private wake: () => void = () => {}
  private readonly call: Readable
  private readonly errorOf: (status: StatusObject) => ClientError

  constructor(call: Readable, errorOf: (status: StatusObject) => ClientError) {
    this.call = call
    this.errorOf = errorOf
    call.on("metadata", () => this.add("accepted"))
    call.on("data", (bytes: Buffer) => {
      this.add(bytes)
      if (this.received.length >= inboxSize) call.pause()
    })
    // The status is told by an event of its own; what was received before it is given out first.
    call.on("error", () => {})
    call.on("status", (status: StatusObject) => {
      this.status = status
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
    const look = () => {
      const taken = this.received
      if (Array.isReadonlyArrayNonEmpty(taken)) {
        this.received = []
        this.wake = () => {}
        resume(Effect.succeed(taken))
        this.call.resume()
      } else if (this.ended) {
        this.wake = () => {}
        resume(Effect.fail(this.end()))
      }
    }
    this.wake = look
    look()
    return Effect.sync(() => {
      this.wake = () => {}
    })
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
