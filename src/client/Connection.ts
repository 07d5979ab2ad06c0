/**
 * One connection of grpc-js to an orchestrator: requests in, answers and typed errors out. Headers, deadlines and
 * request ids are dealt with here; what is repeated is not (Retry.ts, Events.ts).
 */
import { Client as GrpcClient, type Metadata, type StatusObject } from "@grpc/grpc-js"
import * as Array from "effect/Array"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { ClientError } from "./ClientError.ts"
import type { Settings } from "./ClientOptions.ts"
import type { Rpc } from "./Contract.ts"
import { Inbox, type Received } from "./Inbox.ts"
import { type CallPlace, clientClosed, fromStatus, invalidAnswer, invalidRequest, invalidTimeout } from "./Status.ts"
import { traced, traceparent } from "./Trace.ts"

export interface AttemptOptions {
  /** Milliseconds that are left; none for a stream. */
  readonly timeout?: number
  /** The name of the call in the server's log. What a header cannot carry becomes `_`. */
  readonly requestId?: string | undefined
}

/** What a stream brings: first that the server has accepted it, then messages. */
export type Arrival<A> = { readonly _tag: "Accepted" } | { readonly _tag: "Message"; readonly message: A }

/** A call that is ready to be sent. */
interface Prepared {
  readonly place: CallPlace
  readonly bytes: Buffer
  readonly headers: Metadata
}

const passBytes = (bytes: Buffer): Buffer => bytes

/** The longest that a timer of Node can wait. */
const longestTimeout = 2 ** 31 - 1

const deadlineOf = (timeout: number | undefined): { readonly deadline?: number } =>
  timeout === undefined || timeout > longestTimeout ? {} : { deadline: Date.now() + timeout }

const decoded = (rpc: Rpc, received: Received): Arrival<object> =>
  received === "accepted" ? { _tag: "Accepted" } : { _tag: "Message", message: rpc.decode(received) }

export class Connection {
  private readonly settings: Settings
  private readonly client: GrpcClient
  /** Those that run, so that they end with the connection. */
  private readonly calls = new Set<{ readonly cancel: () => void }>()
  private isClosed = false

  private constructor(settings: Settings) {
    this.settings = settings
    this.client = new GrpcClient(settings.address, settings.credentials, settings.connection)
  }

  /** Opened by the first call; closed with the scope, and whatever still runs on it ends. */
  static readonly make = (settings: Settings): Effect.Effect<Connection, never, Scope.Scope> =>
    Effect.acquireRelease(
      Effect.sync(() => new Connection(settings)),
      (connection) => Effect.sync(() => connection.close())
    )

  private close(): void {
    this.isClosed = true
    for (const call of this.calls) call.cancel()
    this.client.close()
  }

  /** One attempt of a unary call. */
  unary(rpc: Rpc, request: object, options: AttemptOptions): Effect.Effect<object, ClientError> {
    return Effect.flatMap(this.prepare(rpc, request, options), (prepared) =>
      Effect.flatMap(this.answer(rpc, prepared, options.timeout), ({ bytes, place }) =>
        Effect.try({ try: () => rpc.decode(bytes), catch: (cause) => invalidAnswer(place, cause) })
      )
    ).pipe(traced(rpc))
  }

  /** One call of a stream, until it ends, which is always an error. Reading slowly holds the server back. */
  stream(rpc: Rpc, request: object, options: AttemptOptions): Stream.Stream<Arrival<object>, ClientError> {
    return Stream.unwrap(
      Effect.gen({ self: this }, function* () {
        const prepared = yield* this.prepare(rpc, request, options)
        const inbox = yield* this.open(rpc, prepared)
        const pull = Effect.flatMap(inbox.take, (received) =>
          Effect.try({
            try: () => Array.map(received, (one) => decoded(rpc, one)),
            catch: (cause) => invalidAnswer(prepared.place, cause)
          })
        )
        return Stream.fromPull(Effect.succeed(pull))
      })
    )
  }

  private placeOf(rpc: Rpc, requestId: string | undefined): CallPlace {
    return {
      rpc: rpc.name,
      address: this.settings.address,
      requestId: requestId?.replaceAll(/[^\x21-\x2b\x2d-\x7e]/g, "_")
    }
  }

  /** Fails for a call that is told to take no time, or none at all. */
  refuseTimeout(rpc: Rpc, requestId: string | undefined): Effect.Effect<never, ClientError> {
    return Effect.fail(invalidTimeout(this.placeOf(rpc, requestId)))
  }

  /** What can be wrong before anything is sent. */
  private prepare(rpc: Rpc, request: object, { requestId }: AttemptOptions) {
    const place = this.placeOf(rpc, requestId)
    return Effect.gen({ self: this }, function* () {
      if (this.isClosed) return yield* clientClosed(place)
      const bytes = yield* Effect.try({
        try: () => Buffer.from(rpc.encode(request)),
        catch: (cause) => invalidRequest(place, cause)
      })
      const headers = this.settings.headers.clone()
      if (place.requestId !== undefined) headers.set("reqid", place.requestId)
      const trace = yield* traceparent
      if (trace !== undefined) headers.set("traceparent", trace)
      return { place, bytes, headers } satisfies Prepared
    })
  }

  /** The answer's bytes, and the call with the name that the server knows it by. */
  private answer(rpc: Rpc, { bytes, headers, place }: Prepared, timeout: number | undefined) {
    return Effect.callback<{ readonly bytes: Buffer; readonly place: CallPlace }, ClientError>((resume) => {
      let known = place
      const call = this.client.makeUnaryRequest(
        rpc.path,
        passBytes,
        passBytes,
        bytes,
        headers,
        deadlineOf(timeout),
        (error, received) => {
          this.calls.delete(call)
          resume(
            error === null && received !== undefined
              ? Effect.succeed({ bytes: received, place: known })
              : Effect.fail(this.errorOf(known, error as StatusObject))
          )
        }
      )
      call.on("metadata", (received: Metadata) => {
        const [id] = received.get("reqid")
        if (typeof id === "string") known = { ...place, requestId: id }
      })
      this.calls.add(call)
      return Effect.sync(() => call.cancel())
    })
  }

  private open(rpc: Rpc, { bytes, headers, place }: Prepared): Effect.Effect<Inbox, never, Scope.Scope> {
    return Effect.acquireRelease(
      Effect.sync(() => {
        const call = this.client.makeServerStreamRequest(rpc.path, passBytes, passBytes, bytes, headers)
        this.calls.add(call)
        return { call, inbox: new Inbox(call, (status) => this.errorOf(place, status)) }
      }),
      ({ call }) =>
        Effect.sync(() => {
          this.calls.delete(call)
          call.cancel()
        })
    ).pipe(Effect.map(({ inbox }) => inbox))
  }

  /** The error of a call that has ended, there or here. */
  private errorOf(place: CallPlace, status: StatusObject): ClientError {
    return this.isClosed ? clientClosed(place) : fromStatus(place, status)
  }
}
