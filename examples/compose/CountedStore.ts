// A store of one's own: memory's, but for the port of transactions, which counts what it commits.
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Ref from "effect/Ref"
import { MemoryStore } from "substra-orchestrator/memory"
import { Database, type Store } from "substra-orchestrator/services"

/** How many transactions were committed. */
export class Commits extends Context.Service<Commits, Ref.Ref<number>>()("example/Commits") {}

const counted = Layer.effect(
  Database,
  Effect.gen(function* () {
    const database = yield* Database
    const commits = yield* Commits
    const count = Ref.update(commits, (before) => before + 1)
    return Database.of({
      ...database,
      run: (channel, body, prepare, finish) => Effect.tap(database.run(channel, body, prepare, finish), () => count)
    })
  })
)

export const layer: Layer.Layer<Store | Commits> = counted.pipe(
  Layer.provideMerge(MemoryStore.layer),
  Layer.provideMerge(Layer.effect(Commits, Ref.make(0)))
)
