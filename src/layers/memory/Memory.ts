/**
 * What the stores of this folder are made of: the last committed state, and the open transaction of a fiber, found
 * through its context. Reads take the transaction's state, else the last one; writes are put down for the commit.
 *
 * One transaction runs at a time, so there is nothing to lock. But it is noted what is held, and a transaction that
 * would be wrong in a store with row locks (see ComputeTaskStore) dies here.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Semaphore from "effect/Semaphore"
import type { NewEvent } from "../../schema/Event.ts"
import type { Key } from "../../schema/Key.ts"
import type { UnitOfWork } from "../../services/store/UnitOfWork.ts"
import { empty, type State } from "./State.ts"

export class Memory extends Context.Service<
  Memory,
  {
    /** The last committed state: replaced by a commit, never changed. */
    committed: State
    /** Taken by a transaction from its begin to its end. */
    readonly turn: Semaphore.Semaphore
  }
>()("orchestrator/layers/memory/Memory") {
  static readonly layer: Layer.Layer<Memory> = Layer.sync(Memory, () => ({
    committed: empty,
    turn: Semaphore.makeUnsafe(1)
  }))
}

/** A transaction: there exactly where `UnitOfWork` is. */
export class Transaction extends Context.Service<
  Transaction,
  {
    readonly memory: Memory["Service"]
    isOpen: boolean
    /** As of the begin, with those writes that cannot wait for the end. */
    state: State
    readonly changes: Array<(state: State) => State>
    readonly events: Array<NewEvent>
    readonly held: Held
  }
>()("orchestrator/layers/memory/Transaction") {}

/** What row locks are taken on, in the order in which one transaction may take them; the others have no order. */
const lockOrder = ["functions", "computeTasks", "computePlans"] as const
type Lockable = (typeof lockOrder)[number] | "dataManagers" | "dataSamples"

/** A row as far as locks know it. */
interface Row {
  readonly key: Key
}

/** The rows that a transaction holds. */
export class Held {
  readonly #locked = new Set<string>()
  #last = -1

  /** These rows, noted to stay as they are. */
  share<A extends Row>(table: Lockable, rows: ReadonlyArray<A>): ReadonlyArray<A> {
    const place = lockOrder.indexOf(table as (typeof lockOrder)[number])
    if (place < 0 || rows.length === 0) return rows
    if (place < this.#last) throw new Error(`locks on ${table} must be taken before those on ${lockOrder[this.#last]}`)
    this.#last = place
    return rows
  }

  /** These rows, noted to be nobody else's. */
  lock<A extends Row>(table: Lockable, rows: ReadonlyArray<A>): ReadonlyArray<A> {
    for (const { key } of this.share(table, rows)) this.#locked.add(`${table} ${key}`)
    return rows
  }

  /** The same for one row, if there is one. */
  lockFound<A extends Row>(table: Lockable, row: Option.Option<A>): Option.Option<A> {
    this.lock(table, Option.toArray(row))
    return row
  }

  /** Dies unless all of these rows are locked. */
  require(table: Lockable, keys: ReadonlyArray<Key>): void {
    const missing = keys.find((key) => !this.#locked.has(`${table} ${key}`))
    if (missing !== undefined) throw new Error(`a transaction changes ${table} ${missing} without a lock on it`)
  }
}

/** How a store gets at the state. */
export interface Access {
  /** A read, in a transaction or outside. */
  readonly read: <A>(of: (state: State) => A) => Effect.Effect<A>
  /** A read that must be in a transaction, because it locks. */
  readonly locking: <A>(of: (state: State, held: Held) => A) => Effect.Effect<A, never, UnitOfWork>
  /** Puts down a change for the commit. It throws the `Conflict` that it makes. */
  readonly write: (
    change: (state: State) => State,
    check?: (held: Held, state: State) => void
  ) => Effect.Effect<void, never, UnitOfWork>
  /** Makes a change that the rest of the transaction sees at once. */
  readonly writeNow: <A>(change: (state: State) => readonly [A, State]) => Effect.Effect<A, never, UnitOfWork>
}

/** The open transaction of this store in which a fiber is. One that has ended is none. */
export const findTransaction = (
  memory: Memory["Service"],
  context: Context.Context<never>
): Option.Option<Transaction["Service"]> =>
  Option.filter(
    Context.getOption(context, Transaction),
    (transaction) => transaction.memory === memory && transaction.isOpen
  )

const inContext = <A>(use: (context: Context.Context<never>) => A): Effect.Effect<A> =>
  Effect.contextWith((context: Context.Context<never>) => Effect.sync(() => use(context)))

export const access: Effect.Effect<Access, never, Memory> = Effect.map(Memory, (memory) => {
  const within = <A>(use: (transaction: Transaction["Service"]) => A): Effect.Effect<A> =>
    inContext((context) =>
      use(
        Option.getOrThrowWith(
          findTransaction(memory, context),
          () => new Error("a locking read or a write outside of a transaction, or after its end: use Database.run")
        )
      )
    )
  return {
    read: (of) =>
      inContext((context) =>
        of(
          Option.match(findTransaction(memory, context), {
            onNone: () => memory.committed,
            onSome: (open) => open.state
          })
        )
      ),
    locking: (of) => within(({ held, state }) => of(state, held)),
    write: (change, check) =>
      within(({ changes, held, state }) => {
        check?.(held, state)
        changes.push(change)
      }),
    writeNow: (change) =>
      within((transaction) => {
        const [result, state] = change(transaction.state)
        transaction.state = state
        return result
      })
  }
})
