/** Profiling steps that were registered. */
import { expect, layer } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type * as Layer from "effect/Layer"
import { ProfilingStore } from "../../services/store/ProfilingStore.ts"
import * as build from "./builders.ts"
import { commit, inTurn, type Store } from "./support.ts"

export const suite = <E>(name: string, store: Layer.Layer<Store, E>) =>
  layer(store, { excludeTestServices: true })(`${name}: profiling steps`, (it) => {
    it.effect("are new once for each asset and name, whatever their duration", () =>
      Effect.gen(function* () {
        const profiling = yield* ProfilingStore
        const channel = build.channel()
        const step = build.profilingStep()
        const steps = [
          step,
          step,
          { ...step, duration: 9_007_199_254_740_991 },
          { ...step, step: `${step.step} ` },
          { ...step, assetKey: build.key() }
        ]
        const added = yield* Effect.forEach(steps, (one) => commit(channel, profiling.add(channel, one)))
        expect(added).toEqual([true, false, false, true, true])
      })
    )

    it.effect("are new in each channel", () =>
      Effect.gen(function* () {
        const profiling = yield* ProfilingStore
        const [channel, elsewhere] = [build.channel(), build.channel()]
        const step = build.profilingStep()
        expect(yield* commit(channel, profiling.add(channel, step))).toBe(true)
        expect(yield* commit(elsewhere, profiling.add(elsewhere, step))).toBe(true)
      })
    )

    it.effect("are stored at once: the transaction that added one finds it", () =>
      Effect.gen(function* () {
        const profiling = yield* ProfilingStore
        const channel = build.channel()
        const step = build.profilingStep()
        const twice = Effect.all([profiling.add(channel, step), profiling.add(channel, step)])
        expect(yield* commit(channel, twice)).toEqual([true, false])
        expect(yield* commit(channel, profiling.add(channel, step))).toBe(false)
      })
    )

    it.effect("are gone with a transaction that fails", () =>
      Effect.gen(function* () {
        const profiling = yield* ProfilingStore
        const channel = build.channel()
        const step = build.profilingStep()
        yield* Effect.flip(commit(channel, Effect.andThen(profiling.add(channel, step), Effect.fail("refused"))))
        expect(yield* commit(channel, profiling.add(channel, step))).toBe(true)
      })
    )

    it.effect("added by two transactions at once are new for the first to end", () =>
      Effect.gen(function* () {
        const profiling = yield* ProfilingStore
        const channel = build.channel()
        const step = build.profilingStep()
        const isNew = yield* inTurn(channel, {
          hold: profiling.add(channel, step),
          change: () => Effect.void,
          see: profiling.add(channel, step)
        })
        expect(isNew).toBe(false)
      })
    )

    it.effect("are new for the second of two transactions when the first one is rolled back", () =>
      Effect.gen(function* () {
        const profiling = yield* ProfilingStore
        const channel = build.channel()
        const step = build.profilingStep()
        const isAdded = yield* Deferred.make<void>()
        const first = yield* Effect.forkChild(
          commit(
            channel,
            profiling
              .add(channel, step)
              .pipe(Effect.tap(Deferred.succeed(isAdded, undefined)), Effect.andThen(Effect.never))
          )
        )
        yield* Deferred.await(isAdded)
        const second = yield* Effect.forkChild(commit(channel, profiling.add(channel, step)))
        yield* Effect.yieldNow
        yield* Fiber.interrupt(first)
        expect(yield* Fiber.join(second)).toBe(true)
      })
    )
  })
