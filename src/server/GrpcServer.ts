/** The gRPC server: the contract's services with the middleware, health and reflection; its start and orderly end. */
import { constants } from "node:http2"
import {
  type MethodDefinition as GrpcMethod,
  type ServiceDefinition as GrpcService,
  Server,
  type ServerCredentials,
  type UntypedServiceImplementation
} from "@grpc/grpc-js"
import type * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { Values } from "../layers/config/AppConfig.ts"
import type { Channels } from "../services/Channels.ts"
import type { ClientIdentity } from "../services/ClientIdentity.ts"
import { EventHub } from "../services/EventHub.ts"
import type { Transaction } from "../services/Transaction.ts"
import { Admission, type Limits } from "./Admission.ts"
import { CallMetrics } from "./CallMetrics.ts"
import * as EventLoopDelay from "./EventLoopDelay.ts"
import { watchConnections } from "./FailedConnections.ts"
import { clampDeadlines } from "./FarDeadlines.ts"
import { Health } from "./Health.ts"
import { HeldBytes } from "./HeldBytes.ts"
import { tellOfRefusals } from "./LibraryRefusals.ts"
import * as Middleware from "./Middleware.ts"
import { cannotListen, hostOf, ListenError } from "./Ports.ts"
import { addReflection } from "./Reflection.ts"
import { RequestBodies } from "./RequestBodies.ts"
import type { Service } from "./Rpc.ts"

export interface GrpcServerOptions extends Middleware.MiddlewareOptions {
  /** An IP address. */
  readonly address: string
  /** 0 takes a free one. */
  readonly port: number
  /** The largest message that is received, in bytes. */
  readonly maxRequestSize: number
  /** TLS or none: `ServerCredentials.createSsl(…)`, `ServerCredentials.createInsecure()`. */
  readonly credentials: ServerCredentials
  /** How long running calls may take to end when the server does. */
  readonly drainTimeout: Duration.Duration
  readonly limits: Limits
  /** New unary calls are refused while the event loop is late by more. */
  readonly maxEventLoopDelay: Duration.Duration
}

/** What the variables of a configuration say of the server; its address and credentials take more than one of them. */
export const optionsOf = (values: Values): Omit<GrpcServerOptions, "address" | "credentials"> => ({
  port: values.ORCHESTRATOR_GRPC_PORT,
  maxRequestSize: values.ORCHESTRATOR_GRPC_MAX_REQUEST_SIZE,
  maxResponseSize: values.ORCHESTRATOR_GRPC_MAX_RESPONSE_SIZE,
  callTimeout: values.ORCHESTRATOR_GRPC_CALL_TIMEOUT,
  slowCall: values.ORCHESTRATOR_SLOW_CALL,
  stalledSubscriberTimeout: values.ORCHESTRATOR_STALLED_SUBSCRIBER_TIMEOUT,
  drainTimeout: values.ORCHESTRATOR_DRAIN_TIMEOUT,
  limits: {
    calls: values.ORCHESTRATOR_MAX_CALLS,
    callsPerOrganization: values.ORCHESTRATOR_MAX_CALLS_PER_ORGANIZATION,
    waitingPerOrganization: values.ORCHESTRATOR_MAX_WAITING_CALLS_PER_ORGANIZATION,
    streamsPerOrganization: values.ORCHESTRATOR_MAX_STREAMS_PER_ORGANIZATION
  },
  maxEventLoopDelay: values.ORCHESTRATOR_MAX_EVENT_LOOP_DELAY
})

/** Bytes of answers that clients have not taken yet, all together. */
const maxUnread = 512 * 1024 * 1024

export interface GrpcServer {
  readonly port: number
}

/** Serves until the scope closes; then nothing new, streams end at once, running calls end within the drain timeout. */
export const make = (
  services: ReadonlyArray<Service>,
  options: GrpcServerOptions
): Effect.Effect<GrpcServer, ListenError, Channels | ClientIdentity | Transaction | EventHub | Scope.Scope> =>
  Effect.gen(function* () {
    const context = yield* Effect.context<Channels | ClientIdentity | Transaction | EventHub>()
    const hub = yield* EventHub
    const bodies = new RequestBodies(options.maxRequestSize, options.callTimeout)
    const server = new Server({
      interceptors: [bodies.interceptor],
      "grpc.max_receive_message_length": options.maxRequestSize,
      "grpc.max_send_message_length": -1,
      // A peer that is gone without a word is found by pings, also while nothing is sent to it.
      "grpc.keepalive_time_ms": 30_000,
      "grpc.keepalive_timeout_ms": 20_000
    })
    const room = {
      admission: new Admission(options.limits, context),
      eventLoop: yield* EventLoopDelay.watch(options.maxEventLoopDelay),
      bodies,
      unread: new HeldBytes(maxUnread, (stream) => stream.close(constants.NGHTTP2_CANCEL))
    }
    const middleware = Middleware.make(options, room, context)
    const methods = new Map<string, CallMetrics>()
    for (const service of services) {
      for (const metrics of addService(server, service, middleware, context)) methods.set(metrics.path, metrics)
    }
    const health = new Health(services.map((service) => service.definition.fullName))
    health.addTo(server)
    addReflection(server)

    const bound = bind(server, options, () => {
      clampDeadlines(server)
      bodies.watch(server)
      tellOfRefusals(server, methods, context)
      watchConnections(server, context)
    })
    const port = yield* Effect.acquireRelease(bound, () =>
      Effect.gen(function* () {
        const { calls, streams } = middleware.underWay()
        yield* Effect.logInfo(`shutting down; calls that run: ${calls}, event streams: ${streams}`)
        health.drain()
        yield* hub.drain
        yield* Effect.timeoutOrElse(shutdown(server), {
          duration: options.drainTimeout,
          // What still runs answers UNAVAILABLE, so that its client calls again; then connections are closed.
          orElse: () =>
            Effect.andThen(
              middleware.interruptAll,
              Effect.sync(() => server.forceShutdown())
            )
        })
      })
    )
    return { port }
  })

const bytes = {
  serialize: (value: Uint8Array): Buffer => Buffer.from(value.buffer, value.byteOffset, value.byteLength),
  deserialize: (value: Buffer): Buffer => value
}

/** Messages stay bytes for grpc-js: the middleware decodes and encodes, so that its errors are the server's own. */
const addService = (
  server: Server,
  { definition, handlers }: Service,
  middleware: ReturnType<typeof Middleware.make>,
  context: Context.Context<never>
): ReadonlyArray<CallMetrics> => {
  const all: Array<CallMetrics> = []
  const methods: Record<string, GrpcMethod<Buffer, Uint8Array>> = {}
  const implementation: UntypedServiceImplementation = {}
  for (const [key, method] of Object.entries(definition.methods)) {
    const rpc = handlers[key]
    if (rpc === undefined) throw new Error(`no handler for ${definition.fullName}/${method.name}`)
    methods[method.name] = {
      path: `/${definition.fullName}/${method.name}`,
      requestStream: false,
      responseStream: method.responseStream,
      requestSerialize: bytes.serialize,
      requestDeserialize: bytes.deserialize,
      responseSerialize: bytes.serialize,
      responseDeserialize: bytes.deserialize
    }
    const metrics = new CallMetrics(definition.fullName, method.name, method.responseStream, context)
    all.push(metrics)
    implementation[method.name] =
      rpc.kind === "subscribe" ? middleware.stream(rpc, method, metrics) : middleware.unary(rpc, method, metrics)
  }
  server.addService(methods as GrpcService, implementation)
  return all
}

/** `onBound` runs before the first connection comes. */
const bind = (
  server: Server,
  { address, credentials, port }: GrpcServerOptions,
  onBound: () => void
): Effect.Effect<number, ListenError> =>
  Effect.callback((resume) => {
    const place = `${hostOf(address)}:${port}`
    server.bindAsync(place, credentials, (error, bound) => {
      onBound()
      resume(
        error === null
          ? Effect.succeed(bound)
          : Effect.fail(new ListenError({ message: cannotListen(place, "gRPC", bindReason(error)) }))
      )
    })
  })

const shutdown = (server: Server): Effect.Effect<void> =>
  Effect.callback((resume) => server.tryShutdown(() => resume(Effect.void)))

/** What the operating system says, of what grpc-js says. */
const bindReason = ({ message }: Error): string => /^No address added .*?\[(.*)\]$/.exec(message)?.[1] ?? message
