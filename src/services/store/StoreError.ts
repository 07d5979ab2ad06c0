/** What can go wrong in a store, whatever it is made of. Drivers' errors are translated to these at the driver, once. */
import * as Data from "effect/Data"
import type { Conflict, Internal, StoredDataInvalid, Unavailable } from "../../schema/OrchestratorError.ts"

/** What a transaction can be lost to: others that it cannot be put in order with, or the loss of its connection. */
export type Contention = "serialization" | "deadlock" | "lock timeout" | "connection"

/** A transaction lost to a concurrent one: nothing of it is there, and running it again from the start may succeed. */
export class Contended extends Data.TaggedError("Contended")<{
  /** For the metrics of operators; a store that cannot tell leaves it out. */
  readonly reason?: Contention
  readonly cause: unknown
}> {}

/** A read failed: the store is out of reach, or what it holds is damaged. */
export type ReadError = StoredDataInvalid | Unavailable | Internal | Contended

/** A commit failed. `Conflict` when a concurrent call registered the same key first. */
export type WriteError = ReadError | Conflict

/** The store cannot be used: it is out of reach, or not what this program works with. The message says which, and what to do. */
export class StoreUnfit extends Data.TaggedError("StoreUnfit")<{ readonly message: string }> {}
