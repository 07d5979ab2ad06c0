// Memory's store with two of its thirteen ports changed: transactions that are counted, and other signals.
import { EventEmitter } from "node:events"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Queue from "effect/Queue"
import * as Ref from "effect/Ref"
import * as Stream from "effect/Stream"
import { MemoryStore } from "substra-orchestrator/memory"
import { Database, EventSignals, type Signal, type Store } from "substra-orchestrator/services"

/** How many transactions were committed. */
export class Commits extends Context.Service<Commits, Ref.Ref<number>>()("example/Commits") {}

/** The port of transactions around another one: it counts. */
const counting = Layer.effect(
  Database,
  Effect.gen(function* () {
    const database = yield* Database
    const commits = yield* Commits
    const count = Ref.update(commits, (before) => before + 1)
    return Database.of({
      ...database,
      run: (channel, work) =>
        database.run(channel, {
          ...work,
          onCommitted: (committed) => Effect.andThen(work.onCommitted(committed), count)
        })
    })
  })
)

/** The port of signals, made of something else: they may be lost or doubled, they only make delivery quick. */
const signals = Layer.sync(EventSignals, () => {
  const emitter = new EventEmitter()
  return EventSignals.of({
    send: (signal) => Effect.sync(() => emitter.emit("signal", signal)),
    received: Stream.callback<Signal>((queue) => {
      const listener = (signal: Signal) => Queue.offerUnsafe(queue, signal)
      return Effect.acquireRelease(
        Effect.sync(() => emitter.on("signal", listener)),
        () => Effect.sync(() => emitter.off("signal", listener))
      )
    })
  })
})

export const layer: Layer.Layer<Store | Commits> = Layer.merge(counting, signals).pipe(
  Layer.provideMerge(MemoryStore.layer),
  Layer.provideMerge(Layer.effect(Commits, Ref.make(0)))
)
