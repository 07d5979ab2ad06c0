/**
 * The same client for programs without Effect: calls are promises, streams are async iterables, errors are those of
 * ClientError.ts. Nothing is done twice here: every method runs the one of Client.ts.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { CallOptions } from "./Calls.ts"
import * as Client from "./Client.ts"
import type { ClientOptions } from "./ClientOptions.ts"

/** What a call of this flavour may be told besides. */
interface Abortable {
  /** Ends the call when it is aborted; it then rejects. */
  readonly signal?: AbortSignal
}

/** Arguments with a signal among the options, which come last. */
type WithSignal<Args extends ReadonlyArray<unknown>> = Args extends readonly [options?: CallOptions | undefined]
  ? [options?: CallOptions & Abortable]
  : Args extends readonly [request?: infer R, options?: infer O]
    ? Args extends readonly [request: unknown, options?: unknown]
      ? [request: R, options?: O & Abortable]
      : [request?: R, options?: O & Abortable]
    : Args

type Promised<F> = F extends (...args: infer Args extends ReadonlyArray<unknown>) => infer Result
  ? Result extends Effect.Effect<infer A, infer _E>
    ? (...args: WithSignal<Args>) => Promise<A>
    : Result extends Stream.Stream<infer A, infer _E>
      ? (...args: Args) => AsyncIterable<A>
      : never
  : F extends string
    ? F
    : { readonly [Name in keyof F]: Promised<F[Name]> }

/** `await client.getPlan({ key })`, `for await (const event of client.events()) …` */
export type PromiseClient = {
  readonly [Name in keyof Client.OrchestratorClient]: Promised<Client.OrchestratorClient[Name]>
} & {
  /** Ends the connection and whatever runs on it. */
  readonly close: () => Promise<void>
  readonly [Symbol.asyncDispose]: () => Promise<void>
}

/** A client with every effect run and every stream turned into an async iterable. */
const promised = (value: unknown): unknown => {
  if (typeof value === "function") {
    return (...args: ReadonlyArray<{ readonly signal?: AbortSignal } | undefined>) => {
      const made: unknown = value(...args)
      if (Stream.isStream(made)) return Stream.toAsyncIterable(made as Stream.Stream<unknown>)
      const signal = args.at(-1)?.signal
      return Effect.runPromise(made as Effect.Effect<unknown>, signal === undefined ? {} : { signal })
    }
  }
  return typeof value === "object" && value !== null
    ? Object.fromEntries(Object.entries(value).map(([name, member]) => [name, promised(member)]))
    : value
}

/** Makes what ends when it is closed, for programs without Effect. What fails on the way leaves nothing open. */
export const opened = async <A, E>(make: Effect.Effect<A, E, Scope.Scope>) => {
  const scope = Scope.makeUnsafe()
  const opening = Effect.onError(Scope.provide(make, scope), (cause) => Scope.close(scope, Exit.failCause(cause)))
  const made = await Effect.runPromise(opening)
  return { made, close: () => Effect.runPromise(Scope.close(scope, Exit.void)) }
}

/** Rejects with `InvalidClientOptions`. The first call connects; `close` it, or declare it with `await using`. */
export const connect = async (options: ClientOptions): Promise<PromiseClient> => {
  const { close, made } = await opened(Client.connect(options))
  return { ...(promised(made) as PromiseClient), close, [Symbol.asyncDispose]: close }
}
