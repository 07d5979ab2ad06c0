/** One method an rpc, made from the contract: each with the deadline, the repetitions and the errors of this client. */
import * as Clock from "effect/Clock"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Stream from "effect/Stream"
import type { ClientError } from "./ClientError.ts"
import { millisOf, type Settings } from "./ClientOptions.ts"
import type { Arrival, Connection } from "./Connection.ts"
import {
  type Arguments,
  type Methods,
  type ResponseOf,
  type Rpc,
  rpcs,
  type StreamName,
  type UnaryName
} from "./Contract.ts"
import * as InDoubt from "./InDoubt.ts"
import { retrying } from "./Retry.ts"

/** What a single call may be told. */
export interface CallOptions {
  /** The longest that it may take, repetitions included, in place of the client's. */
  readonly timeout?: Duration.Input
  /** Its name in the server's log. What a header cannot carry becomes `_`. */
  readonly requestId?: string
}

/** Every rpc that answers once, by its name. */
export type UnaryCalls = {
  readonly [Name in keyof Methods as Name extends UnaryName ? Name : never]: (
    ...args: Arguments<Name, CallOptions>
  ) => Effect.Effect<ResponseOf<Name>, ClientError>
}

/** Every rpc that answers with a stream, as it is: one call, which always ends with an error. See `events` for more. */
export type StreamCalls = {
  readonly [Name in keyof Methods as Name extends StreamName ? Name : never]: (
    ...args: Arguments<Name, Pick<CallOptions, "requestId">>
  ) => Stream.Stream<ResponseOf<Name>, ClientError>
}

/** One call, whose repetition is settled as InDoubt.ts says. */
type Call = (request?: object, options?: CallOptions) => Effect.Effect<object, ClientError>

const unary = (
  name: UnaryName,
  rpc: Rpc,
  connection: Connection,
  settings: Settings,
  askWithin: (deadline: number, requestId: string | undefined) => InDoubt.Inquiry["ask"]
): Call => {
  const repetition = InDoubt.repetitions[name] as
    | { readonly settle: (...args: ReadonlyArray<unknown>) => ReturnType<Parameters<typeof retrying>[1]["settle"]> }
    | undefined
  return (request = {}, { requestId, timeout = settings.timeout } = {}) => {
    const millis = millisOf(timeout)
    if (!(millis >= 1)) return connection.refuseTimeout(rpc, requestId)
    return retrying((timeLeft) => connection.unary(rpc, request, { timeout: timeLeft, requestId }), {
      timeout: millis,
      retryFor: settings.retryFor,
      isRepeatable: InDoubt.isRead(name) || repetition !== undefined,
      settle: (error, deadline) =>
        repetition === undefined
          ? Effect.succeedNone
          : repetition.settle(
              { organization: settings.organization, ask: askWithin(deadline, requestId) },
              request,
              error
            )
    }) as Effect.Effect<object, ClientError>
  }
}

/** All unary calls. */
export const unaryCalls = (connection: Connection, settings: Settings): UnaryCalls => {
  const calls: Record<string, Call> = {}
  const askWithin =
    (deadline: number, requestId: string | undefined): InDoubt.Inquiry["ask"] =>
    (name, request) =>
      Effect.flatMap(Clock.currentTimeMillis, (now) => {
        const options = { timeout: Math.max(1, deadline - now), ...(requestId === undefined ? {} : { requestId }) }
        return (calls[name] as Call)(request, options) as Effect.Effect<never, ClientError>
      })
  for (const [name, rpc] of rpcs) {
    if (!rpc.isStream) calls[name] = unary(name as UnaryName, rpc, connection, settings, askWithin)
  }
  return calls as unknown as UnaryCalls
}

/** What a stream brings, with its acceptance. */
export const arrivals = <Name extends StreamName>(
  connection: Connection,
  name: Name,
  request: object,
  options: Pick<CallOptions, "requestId"> = {}
): Stream.Stream<Arrival<ResponseOf<Name>>, ClientError> =>
  connection.stream(rpcs.get(name) as Rpc, request, options) as Stream.Stream<Arrival<ResponseOf<Name>>, ClientError>

/** All calls of streams. */
export const streamCalls = (connection: Connection): StreamCalls => {
  const messages =
    (name: StreamName) =>
    (request: object = {}, options?: CallOptions) =>
      Stream.filterMap(arrivals(connection, name, request, options), (arrival) =>
        arrival._tag === "Message" ? Result.succeed(arrival.message) : Result.failVoid
      )
  const names = [...rpcs].flatMap(([name, rpc]) => (rpc.isStream ? [name as StreamName] : []))
  return Object.fromEntries(names.map((name) => [name, messages(name)])) as unknown as StreamCalls
}
