/**
 * What every call goes through, in this order: request id, load of the server, identity, channel, room for the
 * organization's call, message, transaction, size of the answer, errors, metrics; all of it within the time limit. Streams
 * have the same, but for the load, the limit and the size: they are there to stay. The one place where they are put
 * together.
 */
import {
  type handleServerStreamingCall,
  type handleUnaryCall,
  Metadata,
  type ServerUnaryCall,
  status
} from "@grpc/grpc-js"
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as References from "effect/References"
import { requestReader, TooManyParts } from "../layers/wire/StrictReader.ts"
import { DeadlineExceeded, ResourceExhausted, Unavailable } from "../schema/OrchestratorError.ts"
import { Channels } from "../services/Channels.ts"
import { type ClientCertificate, ClientIdentity } from "../services/ClientIdentity.ts"
import { RequestContext } from "../services/RequestContext.ts"
import { annotate, callSpan, type SpanOptions, Tracing } from "../services/Tracing.ts"
import { afterCommit, Transaction } from "../services/Transaction.ts"
import { type Admission, countRefusal } from "./Admission.ts"
import { failureOf, Undecodable } from "./CallFailure.ts"
import * as CallHeaders from "./CallHeaders.ts"
import { type LoggedCall, logCall } from "./CallLog.ts"
import type { CallMetrics } from "./CallMetrics.ts"
import type { EventLoopDelay } from "./EventLoopDelay.ts"
import { deliver, http2StreamOf, resetUnread } from "./EventStream.ts"
import type { HeldBytes } from "./HeldBytes.ts"
import { isAnswered, reachedHandler } from "./LibraryRefusals.ts"
import type { RequestBodies } from "./RequestBodies.ts"
import type { MethodDefinition, Query, Read, ReadsOneState, Rpc, Subscribe, Write } from "./Rpc.ts"
import { type CallStatus, plainStatus, statusOf } from "./Status.ts"

export interface MiddlewareOptions {
  /** The bound on answers for clients that name none, in bytes. */
  readonly maxResponseSize: number
  /** The longest that a unary call may take. */
  readonly callTimeout: Duration.Duration
  /** A unary call that takes longer is logged as slow. */
  readonly slowCall: Duration.Duration
  /** How long a subscriber may take nothing while there is something to take. */
  readonly stalledSubscriberTimeout: Duration.Duration
}

/** What decides whether there is room for a call. */
export interface Room {
  readonly admission: Admission
  readonly eventLoop: EventLoopDelay
  readonly bodies: RequestBodies
  /** Of answers that their clients have not taken. */
  readonly unread: HeldBytes
}

type Services = Transaction | Channels | ClientIdentity

/** What follows a message that takes a while to be decoded or encoded: others get their turn first. */
const inTurn = <A, E, R>(bytes: number, effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  bytes < 256 * 1024 ? effect : Effect.andThen(Effect.yieldNow, effect)

/** Answers that go out at once, unless their client is odd. */
const atOnce = 16 * 1024

/** OpenTelemetry's rule for spans of gRPC servers: other statuses are no errors of theirs. */
const serverErrors: ReadonlySet<status> = new Set([
  status.UNKNOWN,
  status.DEADLINE_EXCEEDED,
  status.UNIMPLEMENTED,
  status.INTERNAL,
  status.UNAVAILABLE,
  status.DATA_LOSS
])

/** How long calls that are ended with the server have to send their answers. */
const lastWords = Duration.millis(200)

/** Makes grpc-js handlers of the handlers of rpcs. */
export const make = (
  options: MiddlewareOptions,
  { admission, bodies, eventLoop, unread }: Room,
  context: Context.Context<Services>
) => {
  const channels = Context.get(context, Channels)
  const identity = Context.get(context, ClientIdentity)
  const transaction = Context.get(context, Transaction)
  const spans = Context.get(context, Tracing)
  const run = Effect.runCallbackWith(context)

  /** Who calls, where: OE0003 for headers that are missing or doubled, OE0102 for those that may not. */
  const identify = (call: Call) =>
    Effect.gen(function* () {
      const { metadata } = call
      const requester = yield* CallHeaders.organization(metadata)
      yield* identity.verify(requester, certificateOf(call))
      const channel = yield* CallHeaders.channel(metadata)
      yield* channels.authorize(requester, channel)
      return RequestContext.of({ requester, channel })
    })

  /** No new unary calls while the event loop does not come to what it has: what runs must end first. */
  const shed = Effect.suspend(() => {
    if (!eventLoop.isOverloaded) return Effect.void
    countRefusal("event_loop_delay", context)
    return Effect.fail(overloaded)
  })

  const decode = (method: MethodDefinition, bytes: Uint8Array) =>
    Effect.try({
      try: () => method.requestType.decode(requestReader(bytes) as never) as never,
      catch: (cause) =>
        cause instanceof TooManyParts
          ? new ResourceExhausted({ message: `the request is too large: ${cause.message}, send less at once` })
          : new Undecodable("the request cannot be decoded: it is no message of this rpc", { cause })
    })

  /** The answer's bytes. In a transaction, it is encoded and measured before the commit. */
  const answer = (
    rpc: Exclude<Rpc<never, unknown>, Subscribe<never>>,
    method: MethodDefinition,
    request: never,
    maxBytes: number,
    metrics: CallMetrics
  ) => {
    const encode = (message: unknown) => method.responseType.encode(message as never).finish()
    switch (rpc.kind) {
      case "plain":
        return Effect.map(rpc.run(request), encode)
      case "read":
        return counted(transaction.read(Effect.map((rpc as Read<never, unknown>).run(request), encode)), metrics)
      case "snapshot":
        return counted(
          transaction.snapshot(Effect.map((rpc as ReadsOneState<never, unknown>).run(request), encode)),
          metrics
        )
      case "query":
        return counted(transaction.read((rpc as Query<never>).run(request, maxBytes)), metrics)
      case "write": {
        // A call that is interrupted during its commit fails, and is committed all the same.
        let isCommitted = false
        const noted = afterCommit(
          Effect.sync(() => {
            isCommitted = true
          })
        )
        const written = transaction.write(
          Effect.andThen(noted, (rpc as Write<never, unknown>).run(request)),
          (message) => {
            const bytes = encode(message)
            return bytes.length <= maxBytes
              ? inTurn(bytes.length, Effect.succeed(bytes))
              : Effect.fail(answerTooLarge(bytes.length, maxBytes))
          }
        )
        return counted(written, metrics, () => isCommitted)
      }
    }
  }

  /** An answer stays in memory until its client has taken it. */
  const holdUntilRead = (call: Parameters<typeof http2StreamOf>[0], bytes: number): void => {
    if (bytes < atOnce) return
    const stream = http2StreamOf(call)
    if (stream === undefined || stream.closed) return
    unread.add(stream, bytes)
    stream.once("close", () => unread.release(stream))
  }

  const counted = <A, E, R>(call: Effect.Effect<A, E, R>, metrics: CallMetrics, isCommitted = () => false) =>
    Effect.onExit(call, (exit) =>
      Effect.sync(() => metrics.transaction(Exit.isSuccess(exit) || isCommitted() ? "commit" : "rollback"))
    )

  /** A call whose statements carry its id in the log, in a span where somebody traces. */
  const observed = <A, E>(
    program: Effect.Effect<A, E, Services>,
    call: Call,
    outcome: (exit: Exit.Exit<unknown, unknown>) => CallStatus,
    line: LoggedCall,
    slow: Duration.Duration | undefined
  ) => {
    const logged = Effect.onExit(
      Effect.provideService(program, References.CurrentLogAnnotations, { reqid: line.reqid }),
      (exit) => logCall(line, outcome(exit).code, exit, slow)
    )
    if (spans === undefined) return logged
    const ended = Effect.onExit(logged, (exit) =>
      annotate({
        "rpc.grpc.status_code": outcome(exit).code,
        "substra.organization": line.caller?.requester ?? "",
        "substra.channel": line.caller?.channel ?? ""
      })
    )
    const isError = (exit: Exit.Exit<unknown, unknown>) => serverErrors.has(outcome(exit).code)
    return callSpan(spans, CallHeaders.callerSpan(call.metadata), spanOf(line), ended, isError)
  }

  const running = new Set<{ end: () => void }>()
  let streams = 0

  /** A call as the log shows it; its headers tell the rest. */
  const loggedCall = (metrics: CallMetrics, begun: number, reqid: string): LoggedCall => ({
    reqid,
    method: metrics.path,
    caller: undefined,
    begun
  })

  const unary =
    (
      rpc: Exclude<Rpc<never, unknown>, Subscribe<never>>,
      method: MethodDefinition,
      metrics: CallMetrics
    ): handleUnaryCall<Buffer, Uint8Array> =>
    (call, callback) => {
      bodies.received(call)
      if (isAnswered(call)) return
      const begun = metrics.begun()
      const id = CallHeaders.requestId(call.metadata)
      const line = loggedCall(metrics, begun, id)
      if (isOver(call)) {
        metrics.ended(status.DEADLINE_EXCEEDED, begun)
        return callback(overBefore(id))
      }
      call.sendMetadata(requestIdHeader(id))
      const outcome = outcomes(call)
      const program = Effect.gen(function* () {
        yield* shed
        const caller = yield* identify(call)
        line.caller = caller
        const maxBytes = yield* CallHeaders.maxResponseSize(call.metadata, options.maxResponseSize)
        const admitted = Effect.flatMap(decode(method, call.request), (request) =>
          inTurn(call.request.length, answer(rpc, method, request, maxBytes, metrics))
        )
        // What needs nothing but the server is a probe, and waits for nobody.
        const placed = rpc.kind === "plain" ? admitted : admission.call(caller.requester, admitted)
        return yield* Effect.provideService(placed, RequestContext, caller)
      }).pipe(
        Effect.timeoutOrElse({ duration: options.callTimeout, orElse: () => Effect.fail(tookTooLong(options)) }),
        (whole) => observed(whole, call, outcome, line, options.slowCall)
      )
      let answered = false
      const answerOnce = (how: CallStatus, bytes: Uint8Array | null) => {
        if (answered) return
        answered = true
        running.delete(handle)
        metrics.ended(how.code, begun)
        if (bytes === null) return callback(how)
        metrics.answered(1)
        callback(null, bytes)
        holdUntilRead(call, bytes.length)
      }
      const handle = { end: () => {} }
      running.add(handle)
      const interrupt = run(program, {
        onExit: (exit) => answerOnce(outcome(exit), Exit.isSuccess(exit) ? exit.value : null)
      })
      handle.end = () => {
        answerOnce(shuttingDown(), null)
        interrupt()
      }
      call.on("cancelled", () => interrupt())
    }

  const stream =
    (
      rpc: Subscribe<never>,
      method: MethodDefinition,
      metrics: CallMetrics
    ): handleServerStreamingCall<Buffer, Uint8Array> =>
    (call) => {
      bodies.received(call)
      if (isAnswered(call)) return
      reachedHandler(call)
      const begun = metrics.begun()
      const id = CallHeaders.requestId(call.metadata)
      const line = loggedCall(metrics, begun, id)
      if (isOver(call)) {
        metrics.ended(status.DEADLINE_EXCEEDED, begun)
        call.emit("error", overBefore(id))
        return
      }
      const outcome = outcomes(call)
      const program = Effect.gen(function* () {
        const caller = yield* identify(call)
        line.caller = caller
        yield* admission.stream(caller.requester)
        const request = yield* decode(method, call.request)
        const subscription = yield* Effect.provideService(transaction.read(rpc.run(request)), RequestContext, caller)
        call.sendMetadata(requestIdHeader(id))
        const delivering = deliver(
          call,
          { ...subscription, take: transaction.read(subscription.take) },
          options.stalledSubscriberTimeout,
          (events) => metrics.delivered(events)
        )
        return yield* Effect.raceFirst(delivering, channels.lost(caller.requester, caller.channel))
      }).pipe(Effect.scoped, (whole) => observed(whole, call, outcome, line, undefined))
      streams++
      const interrupt = run(program, {
        onExit: (exit) => {
          streams--
          const how = outcome(exit)
          metrics.ended(how.code, begun)
          // Where the headers have not gone out, the status carries them.
          how.metadata.set("reqid", id)
          if (call.cancelled) return
          call.emit("error", how)
          resetUnread(call)
        }
      })
      call.on("cancelled", () => interrupt())
    }

  /** Ends the unary calls that run: they answer UNAVAILABLE at once, whatever becomes of a commit that is on its way. */
  const interruptAll = Effect.andThen(
    Effect.sync(() => {
      for (const call of [...running]) call.end()
    }),
    Effect.sleep(lastWords)
  )

  /** How many calls run, and how many event streams are open. */
  const underWay = (): { readonly calls: number; readonly streams: number } => ({ calls: running.size, streams })

  return { unary, stream, interruptAll, underWay }
}

const spanOf = ({ method, reqid }: LoggedCall): SpanOptions => {
  const [, service, name] = method.split("/")
  return {
    name: method.slice(1),
    kind: "server",
    attributes: { "rpc.system": "grpc", "rpc.service": service, "rpc.method": name, "substra.reqid": reqid }
  }
}

type Call = Pick<ServerUnaryCall<unknown, unknown>, "metadata" | "getAuthContext" | "getDeadline">

/** grpc-js tells nobody of a deadline that was over before the handler was called, and calls the handler all the same. */
const isOver = (call: Call): boolean => Number(call.getDeadline()) <= Date.now()

const overBefore = (id: string): CallStatus => {
  const outcome = plainStatus(status.DEADLINE_EXCEEDED, "the deadline was over before the call began")
  outcome.metadata.set("reqid", id)
  return outcome
}

/** The certificate of a client that TLS trusts; none without mutual TLS. */
const certificateOf = (call: Call): ClientCertificate | undefined => {
  const certificate = call.getAuthContext().sslPeerCertificate
  if (certificate === undefined) return undefined
  const organizations: string | ReadonlyArray<string> | undefined = certificate.subject?.O
  return {
    raw: certificate.raw,
    organizations:
      organizations === undefined ? [] : typeof organizations === "string" ? [organizations] : organizations
  }
}

const requestIdHeader = (id: string): Metadata => {
  const metadata = new Metadata()
  metadata.set("reqid", id)
  return metadata
}

const tookTooLong = (options: MiddlewareOptions): DeadlineExceeded =>
  new DeadlineExceeded({ message: `the call took longer than ${Duration.format(options.callTimeout)}` })

const answerTooLarge = (size: number, bound: number): ResourceExhausted =>
  new ResourceExhausted({
    message: `the answer would have ${size} bytes, more than the ${bound} that this client takes: nothing was changed; send the header max-response-size if it takes more, or make several calls`
  })

const overloaded = new Unavailable({
  message:
    "the server has more to do than it can: its event loop is late by more than ORCHESTRATOR_MAX_EVENT_LOOP_DELAY, call again later"
})

const shuttingDown = (): CallStatus => plainStatus(status.UNAVAILABLE, "the server is shutting down, call again")

/** How a call ended: well, with an error of its type, by a defect, the client's leaving, or the server's own. */
const outcomeOf = (exit: Exit.Exit<unknown, unknown>, call: Call & { readonly cancelled: boolean }): CallStatus => {
  if (Exit.isSuccess(exit)) return plainStatus(status.OK, "")
  if (Cause.hasInterruptsOnly(exit.cause)) {
    if (!call.cancelled) return shuttingDown()
    // grpc-js cancels a call whose deadline is over, and has told its client so.
    return Number(call.getDeadline()) <= Date.now()
      ? plainStatus(status.DEADLINE_EXCEEDED, "the deadline of the call is over")
      : plainStatus(status.CANCELLED, "the call was cancelled")
  }
  const error = failureOf(exit.cause)
  return error instanceof Undecodable ? plainStatus(status.INVALID_ARGUMENT, error.message) : statusOf(error)
}

/** The outcome of one call for all who ask for it, made once: the deadline may pass in between. */
const outcomes = (call: Call & { readonly cancelled: boolean }) => {
  let known: CallStatus | undefined
  return (exit: Exit.Exit<unknown, unknown>): CallStatus => {
    if (known === undefined || (known.code === status.OK) !== Exit.isSuccess(exit)) known = outcomeOf(exit, call)
    return known
  }
}
