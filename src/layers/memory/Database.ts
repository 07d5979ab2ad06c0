/**
 * Transactions in memory: one at a time, on the state as of its begin. A commit applies what was put down to that state
 * and puts the result in the place of the last one, in one step; whatever ends before it has changed nothing.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type { ChannelName } from "../../schema/Key.ts"
import { Conflict } from "../../schema/OrchestratorError.ts"
import { fromMicros, type Timestamp } from "../../schema/Timestamp.ts"
import { type Committed, Database, type PreparedEvent, Snapshot, type Work } from "../../services/store/Database.ts"
import { UnitOfWork, whileOpen } from "../../services/store/UnitOfWork.ts"
import * as Logs from "./EventLogs.ts"
import { findTransaction, Held, Memory, Transaction } from "./Memory.ts"

const begin = (memory: Memory["Service"]): Transaction["Service"] => ({
  memory,
  isOpen: true,
  state: memory.committed,
  changes: [],
  events: [],
  held: new Held()
})

const end = (transaction: Transaction["Service"]): Effect.Effect<void> =>
  Effect.sync(() => {
    transaction.isOpen = false
  })

/** The clock, stopped where it is read first. */
const stoppedClock = (): Effect.Effect<Timestamp> => {
  let time: Timestamp | undefined
  return Effect.map(Clock.currentTimeNanos, (nanos) => (time ??= fromMicros(Number(nanos / 1000n))))
}

const unitOf = (transaction: Transaction["Service"], now: Effect.Effect<Timestamp>): UnitOfWork["Service"] =>
  whileOpen(() => transaction.isOpen, {
    now,
    emit: (made) => {
      for (const event of made) transaction.events.push(event)
    }
  })

const commit = (
  { changes, memory, state }: Transaction["Service"],
  channel: ChannelName,
  prepared: ReadonlyArray<PreparedEvent>,
  now: Timestamp
): Effect.Effect<Committed, Conflict> =>
  Effect.suspend(() => {
    try {
      const changed = changes.reduce((current, change) => change(current), state)
      const [logs, events] = Logs.append(changed.logs, channel, prepared, now)
      memory.committed = { ...changed, logs }
      return Effect.succeed({ events })
    } catch (error) {
      return error instanceof Conflict ? Effect.fail(error) : Effect.die(error)
    }
  })

const refuseNested = (memory: Memory["Service"]): Effect.Effect<void> =>
  Effect.contextWith((context: Context.Context<never>) =>
    Option.isSome(findTransaction(memory, context))
      ? Effect.die(new Error("a transaction inside of another one would wait for it for ever"))
      : Effect.void
  )

const make = (memory: Memory["Service"]): Database["Service"] => {
  const run = <A, E, R, E2, B, E3>(
    channel: ChannelName,
    { body, finish, onCommitted, prepare }: Work<A, E, R, E2, B, E3>
  ): Effect.Effect<B, E | E2 | E3 | Conflict, Exclude<R, UnitOfWork>> =>
    Effect.suspend(() => {
      const transaction = begin(memory)
      const now = stoppedClock()
      const context: Context.Context<UnitOfWork> = Context.make(UnitOfWork, unitOf(transaction, now)).pipe(
        Context.add(Transaction, transaction)
      )
      return Effect.gen(function* () {
        const value = yield* Effect.ensuring(Effect.provideContext(body, context), end(transaction))
        const prepared = yield* prepare(transaction.events)
        const answer = yield* finish(value)
        const time = yield* now
        yield* Effect.uninterruptible(Effect.flatMap(commit(transaction, channel, prepared, time), onCommitted))
        return answer
      })
    }).pipe(memory.turn.withPermit, (ordered) => Effect.andThen(refuseNested(memory), ordered))

  const snapshot: Database["Service"]["snapshot"] = (body) =>
    Effect.suspend(() => {
      const transaction = begin(memory)
      const context: Context.Context<Snapshot> = Context.add(Context.make(Transaction, transaction), Snapshot, {})
      return Effect.ensuring(Effect.provideContext(body, context), end(transaction))
    }).pipe((body) => Effect.andThen(refuseNested(memory), body))

  return { run, snapshot, ping: Effect.void }
}

export const layer: Layer.Layer<Database, never, Memory> = Layer.effect(Database, Effect.map(Memory, make))
