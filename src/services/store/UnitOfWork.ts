/**
 * An open transaction, as the services see it. Reads happen at once, under the locks that they ask for. Writes and
 * events are put down for the end: when the service's effect succeeds, they are stored all together, or not at all.
 * So nothing that was put down can be read back in the same transaction.
 *
 * A store's methods that lock or write ask for this service: they cannot be called outside of a transaction.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type { NewEvent } from "../../schema/Event.ts"
import type { Timestamp } from "../../schema/Timestamp.ts"
import type { ReadError } from "./StoreError.ts"

/** The open transaction of a call. */
export class UnitOfWork extends Context.Service<
  UnitOfWork,
  {
    /** The store's clock, the same for every use in one transaction: read once the locks before it are held. */
    readonly now: Effect.Effect<Timestamp, ReadError>
    /** Puts down events, in this order. */
    readonly emit: (events: Iterable<NewEvent>) => Effect.Effect<void>
  }
>()("orchestrator/services/store/UnitOfWork") {}

/**
 * Reads all of these in one round trip, in the order of the record: put what locks first. The transaction's time is
 * read last, so that it is after every lock.
 */
export const readTogether = <T extends Reads>(reads: T): Effect.Effect<Found<T>, ErrorOf<T>, ServicesOf<T>> =>
  Effect.flatMap(
    UnitOfWork,
    (unit) =>
      Effect.all({ ...reads, time: unit.now }, { concurrency: "unbounded" }) as Effect.Effect<
        Found<T>,
        ErrorOf<T>,
        ServicesOf<T>
      >
  )

type Reads = Record<string, Effect.Effect<unknown, unknown, unknown>> & { readonly time?: never }
type Found<T> = { readonly [K in keyof T]: T[K] extends Effect.Effect<infer A, unknown, unknown> ? A : never } & {
  readonly time: Timestamp
}
type ErrorOf<T> = Effect.Error<T[keyof T]> | ReadError
type ServicesOf<T> = Effect.Services<T[keyof T]> | UnitOfWork

/**
 * A unit of work of a time and of what takes its events, that is nobody's any more once `isOpen` says so: to use it then
 * is a defect.
 */
export const whileOpen = (
  isOpen: () => boolean,
  unit: {
    readonly now: UnitOfWork["Service"]["now"]
    readonly emit: (events: Iterable<NewEvent>) => void
  }
): UnitOfWork["Service"] => {
  const check = () => {
    if (!isOpen()) throw new Error("a transaction is used after its end")
  }
  return {
    now: Effect.andThen(Effect.sync(check), unit.now),
    emit: (events) =>
      Effect.sync(() => {
        check()
        unit.emit(events)
      })
  }
}

/** Puts down events, in this order. */
export const emitEvents = (events: Iterable<NewEvent>): Effect.Effect<void, never, UnitOfWork> =>
  Effect.flatMap(UnitOfWork, (unit) => unit.emit(events))
