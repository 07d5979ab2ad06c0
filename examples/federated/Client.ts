/**
 * A gRPC client of the orchestrator for one organization, made from the generated definitions:
 * `client.tasks.registerTasks({ … })` is an effect, `client.follow(…)` a stream of events that survives lost connections.
 * Headers say in each call who asks, and in which channel.
 */
import * as NodeStream from "@effect/platform-node/NodeStream"
import * as grpc from "@grpc/grpc-js"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import * as Stream from "effect/Stream"
import { SortOrder } from "../../src/layers/wire/generated/common.ts"
import { ComputePlanServiceDefinition } from "../../src/layers/wire/generated/computeplan.ts"
import { ComputeTaskServiceDefinition } from "../../src/layers/wire/generated/computetask.ts"
import { DataManagerServiceDefinition } from "../../src/layers/wire/generated/datamanager.ts"
import { DataSampleServiceDefinition } from "../../src/layers/wire/generated/datasample.ts"
import { type Event, EventServiceDefinition } from "../../src/layers/wire/generated/event.ts"
import { FailureReportServiceDefinition } from "../../src/layers/wire/generated/failure_report.ts"
import { FunctionServiceDefinition } from "../../src/layers/wire/generated/function.ts"
import { InfoServiceDefinition } from "../../src/layers/wire/generated/info.ts"
import { ModelServiceDefinition } from "../../src/layers/wire/generated/model.ts"
import { OrganizationServiceDefinition } from "../../src/layers/wire/generated/organization.ts"
import { PerformanceServiceDefinition } from "../../src/layers/wire/generated/performance.ts"
import { ProfilingServiceDefinition } from "../../src/layers/wire/generated/profiling.ts"

/** The server's answer to a call that failed. */
export class CallError extends Data.TaggedError("CallError")<{
  readonly method: string
  readonly code: grpc.status
  readonly details: string
}> {
  override get message() {
    return `${this.method} failed: ${grpc.status[this.code]}: ${this.details}`
  }
}

interface Method<Request = never, Response = unknown> {
  readonly name: string
  readonly requestType: { encode(message: Request): { finish(): Uint8Array } }
  readonly responseType: { decode(bytes: Uint8Array): Response }
  readonly responseStream: boolean
}
interface Service {
  readonly fullName: string
  readonly methods: Readonly<Record<string, Method>>
}
type Unary<M> = M extends Method<infer Request, infer Response> & { readonly responseStream: false }
  ? (request: Request) => Effect.Effect<Response, CallError>
  : never
type Calls<S extends Service> = { readonly [K in keyof S["methods"]]: Unary<S["methods"][K]> }

const callError = (method: string) => (error: unknown) => {
  const { code, details } = error as grpc.ServiceError
  return new CallError({ method, code: code ?? grpc.status.UNKNOWN, details: details ?? String(error) })
}

/** What a server answers, or the network, while it restarts, drains or has too much to do: it passes. */
const isUnavailable = (error: CallError) => error.code === grpc.status.UNAVAILABLE

const repeating = Schedule.spaced("300 millis").pipe(
  Schedule.setInputType<CallError>(),
  Schedule.while(({ input }) => isUnavailable(input))
)

const isOwnRepeat = ({ code, details }: CallError) => {
  if (code === grpc.status.ALREADY_EXISTS || /output ".*" is disabled already/.test(details)) return true
  const [, transition, status] =
    /event transition(\w+) inappropriate in current state \w*?STATUS_(\w+)/.exec(details) ?? []
  return transition !== undefined && transition.toUpperCase() === status
}

/**
 * For calls that write. When the connection breaks, the answer can be lost though the call was done; repeated, it then
 * finds that the asset exists, has that status or is disabled already. That is a success too.
 */
export const done = <A>(call: Effect.Effect<A, CallError>): Effect.Effect<void, CallError> =>
  call.pipe(
    Effect.asVoid,
    Effect.catchIf(isOwnRepeat, () => Effect.void)
  )

const options: grpc.ClientOptions = {
  // Tells a connection that broke unnoticed from a channel where nothing happens.
  "grpc.keepalive_time_ms": 60_000,
  "grpc.max_reconnect_backoff_ms": 2_000
}

export interface Address {
  /** `host:port` */
  readonly address: string
  readonly channel: string
  /** By organization, for servers with TLS. */
  readonly credentials?: ReadonlyMap<string, grpc.ChannelCredentials> | undefined
}

/** Fails with UNAVAILABLE when nobody answers at that address. The connection closes with the scope. */
export const make = Effect.fnUntraced(function* (at: Address, organization: string) {
  const { address, channel } = at
  const credentials = at.credentials?.get(organization) ?? grpc.credentials.createInsecure()
  const headers = new grpc.Metadata()
  headers.set("mspid", organization)
  headers.set("channel", channel)

  const connection = yield* Effect.acquireRelease(
    Effect.sync(() => new grpc.Client(address, credentials, options)),
    (client) => Effect.sync(() => client.close())
  )
  yield* Effect.callback<void, CallError>((resume) =>
    connection.waitForReady(Date.now() + 5_000, (error) => {
      const details = `nobody answers at ${address}`
      const failure = new CallError({ method: "connecting", code: grpc.status.UNAVAILABLE, details })
      resume(error === undefined ? Effect.void : Effect.fail(failure))
    })
  )

  const unary =
    <Request, Response>(service: string, { name, requestType, responseType }: Method<Request, Response>) =>
    (request: Request) =>
      Effect.callback<Response, CallError>((resume) => {
        const call = connection.makeUnaryRequest(
          `/${service}/${name}`,
          (message: Request) => Buffer.from(requestType.encode(message).finish()),
          (bytes) => responseType.decode(bytes),
          request,
          headers,
          { deadline: Date.now() + 30_000 },
          (error, response) =>
            resume(response === undefined ? Effect.fail(callError(name)(error)) : Effect.succeed(response))
        )
        return Effect.sync(() => call.cancel())
      }).pipe(Effect.retry(Schedule.upTo(repeating, { duration: "1 minute" })))

  const calls = <S extends Service>({ fullName, methods }: S) =>
    Object.fromEntries(
      Object.entries(methods).map(([key, method]) => [key, unary(fullName, method)])
    ) as unknown as Calls<S>

  const events = calls(EventServiceDefinition)

  /** Everything after an event, then what comes, until the connection breaks. Reading slowly holds the server back. */
  const subscribe = (after: string): Stream.Stream<Event, CallError> => {
    const { name, requestType, responseType } = EventServiceDefinition.methods.subscribeToEvents
    const call = Effect.acquireRelease(
      Effect.sync(() => {
        const call = connection.makeServerStreamRequest(
          `/${EventServiceDefinition.fullName}/${name}`,
          (message: { startEventId: string }) => Buffer.from(requestType.encode(message).finish()),
          (bytes) => responseType.decode(bytes),
          { startEventId: after },
          headers
        )
        // Canceling is an error for the library, which nobody may be there any more to hear.
        return call.on("error", () => {})
      }),
      (call) => Effect.sync(() => call.cancel())
    )
    return Stream.unwrap(
      Effect.map(call, (readable) =>
        NodeStream.fromReadable<Event, CallError>({ evaluate: () => readable, onError: callError(name) })
      )
    )
  }

  /** The id of the newest event of the channel, empty when there is none. */
  const newestEvent = events
    .queryEvents({ pageToken: "", pageSize: 1, filter: undefined, sort: SortOrder.DESCENDING })
    .pipe(Effect.map((page) => page.events[0]?.id ?? ""))

  /**
   * Every event after the given one, each once, for ever: a subscription that breaks is opened again after the last
   * event that came. (A backend that may itself be restarted keeps that id with what it did about the event.)
   */
  const follow = (after: string): Stream.Stream<Event, CallError> =>
    Stream.suspend(() => {
      let last = after
      const ended = new CallError({ method: "SubscribeToEvents", code: grpc.status.UNAVAILABLE, details: "it ended" })
      return Stream.suspend(() => subscribe(last)).pipe(
        Stream.concat(Stream.fail(ended)),
        Stream.tap(({ id }) =>
          Effect.sync(() => {
            last = id
          })
        ),
        Stream.retry(repeating)
      )
    })

  return {
    info: calls(InfoServiceDefinition),
    organizations: calls(OrganizationServiceDefinition),
    functions: calls(FunctionServiceDefinition),
    dataManagers: calls(DataManagerServiceDefinition),
    dataSamples: calls(DataSampleServiceDefinition),
    plans: calls(ComputePlanServiceDefinition),
    tasks: calls(ComputeTaskServiceDefinition),
    models: calls(ModelServiceDefinition),
    performances: calls(PerformanceServiceDefinition),
    failureReports: calls(FailureReportServiceDefinition),
    profiling: calls(ProfilingServiceDefinition),
    newestEvent,
    follow
  }
})

export type Client = Effect.Success<ReturnType<typeof make>>
