/**
 * Calls that are made again when the server is gone or busy. A call whose answer was lost may have been carried out: it
 * is repeated only where that is safe, and what the repetition meets then is looked at (InDoubt.ts).
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Random from "effect/Random"
import { type ClientError, Unavailable } from "./ClientError.ts"

/** Waits between two attempts: about 100 ms before the second, doubled each time, 2 s at most, from half of it on. */
const firstWait = 100
const longestWait = 2000

/** Milliseconds to wait after this many attempts that failed. */
const waitAfter = (attempts: number): Effect.Effect<number> =>
  Effect.map(Random.nextBetween(0.5, 1), (share) => share * Math.min(longestWait, firstWait * 2 ** (attempts - 1)))

/** Waits after this many attempts that failed. */
export const wait = (attempts: number): Effect.Effect<void> =>
  Effect.flatMap(waitAfter(attempts), (millis) => Effect.sleep(Duration.millis(millis)))

/** Whether the same call may succeed a little later. */
export const isTransient = (error: ClientError): error is Unavailable => error._tag === "Unavailable"

export interface RetryOptions<A> {
  /** Milliseconds for the call as a whole. */
  readonly timeout: number
  /** Milliseconds after which no attempt begins. */
  readonly retryFor: number
  /** Whether a call that may have been carried out may be made again. */
  readonly isRepeatable: boolean
  /**
   * What became of an earlier attempt, of which nobody knows, when a later one met this error: its answer, if it is done.
   * `deadline`, in milliseconds since the epoch, is the call's.
   */
  readonly settle: (error: ClientError, deadline: number) => Effect.Effect<Option.Option<A>, ClientError>
}

/** Makes attempts, each with the milliseconds that are left for it, until one is answered or the time is over. */
export const retrying = <A>(
  attempt: (timeLeft: number) => Effect.Effect<A, ClientError>,
  { isRepeatable, retryFor, settle, timeout }: RetryOptions<A>
): Effect.Effect<A, ClientError> =>
  Effect.gen(function* () {
    const begun = yield* Clock.currentTimeMillis
    const deadline = begun + timeout
    let isInDoubt = false
    for (let attempts = 1; ; attempts++) {
      const now = yield* Clock.currentTimeMillis
      const result = yield* Effect.result(attempt(Math.max(1, deadline - now)))
      if (result._tag === "Success") return result.success
      const error = result.failure
      if (!isTransient(error)) {
        // Where the time is over, nobody can be asked any more.
        if (!isInDoubt || (yield* Clock.currentTimeMillis) >= deadline) return yield* error
        const done = yield* Effect.mapError(settle(error, deadline), (inquiry) => unsettled(error, inquiry))
        return Option.isSome(done) ? done.value : yield* error
      }
      isInDoubt ||= error.inDoubt
      const pause = yield* waitAfter(attempts)
      const next = (yield* Clock.currentTimeMillis) - begun + pause
      if ((isInDoubt && !isRepeatable) || next >= Math.min(retryFor, timeout)) return yield* last(error, isInDoubt)
      yield* Effect.sleep(Duration.millis(pause))
    }
  })

/** What the call met may be what an earlier attempt has left, and nobody answers to tell. */
const unsettled = (error: ClientError, inquiry: ClientError): Unavailable =>
  new Unavailable({
    rpc: error.rpc,
    status: inquiry.status,
    details: inquiry.details,
    requestId: error.requestId,
    message: `${error.message}. An earlier attempt may have been carried out, and whether that is what it met could not be found out: ${inquiry.message}`,
    inDoubt: true
  })

/** The last attempt may be known to have done nothing, while an earlier one is not. */
const last = (error: Unavailable, inDoubt: boolean): Unavailable =>
  error.inDoubt === inDoubt
    ? error
    : new Unavailable({
        rpc: error.rpc,
        status: error.status,
        details: error.details,
        requestId: error.requestId,
        message: `${error.message}. An earlier attempt may have been carried out`,
        inDoubt
      })
