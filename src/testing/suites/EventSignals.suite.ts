/** Signals that logs have grown. They may be lost, doubled or late: so the tests send until somebody has heard. */
import { expect, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import { EventSignals, type Signal } from "../../services/store/EventSignals.ts"
import * as build from "./builders.ts"
import type { Store } from "./support.ts"

/** Sends a signal again and again until every one of these receivers has got what it waits for. */
const sendUntil = <A>(signal: Signal, receivers: ReadonlyArray<Effect.Effect<A>>) =>
  Effect.gen(function* () {
    const { send } = yield* EventSignals
    const sending = Effect.forever(Effect.andThen(send(signal), Effect.yieldNow))
    return yield* Effect.raceFirst(Effect.all(receivers, { concurrency: "unbounded" }), sending)
  })

/** The first signal that fits. */
const receive = (fits: (signal: Signal) => boolean) =>
  Effect.map(EventSignals, ({ received }) =>
    received.pipe(Stream.filter(fits), Stream.runHead, Effect.map(Option.getOrUndefined))
  )

export const suite = <E>(name: string, store: Layer.Layer<Store, E>) =>
  layer(store, { excludeTestServices: true })(`${name}: signals`, (it) => {
    it.effect("name channels with their last positions, to everybody who listens", () =>
      Effect.gen(function* () {
        const [one, other] = [build.channel(), build.channel()]
        const receiver = yield* receive((signal) => signal !== "all" && signal.some(([channel]) => channel === one))
        const signal: Signal = [
          [one, 3],
          [other, 9_007_199_254_740_991]
        ]
        expect(yield* sendUntil(signal, [receiver, receiver])).toEqual([signal, signal])
      })
    )

    it.effect("name all channels at once", () =>
      Effect.gen(function* () {
        const receiver = yield* receive((signal) => signal === "all")
        expect(yield* sendUntil("all", [receiver, receiver])).toEqual(["all", "all"])
      })
    )

    it.effect("are heard from the time on that one listens", () =>
      Effect.gen(function* () {
        const signals = yield* EventSignals
        const [early, late] = [build.channel(), build.channel()]
        yield* signals.send([[early, 1]])
        const isOf = (signal: Signal, of: string) => signal !== "all" && signal.some(([channel]) => channel === of)
        const heard: Array<Signal> = []
        const receiver = signals.received.pipe(
          Stream.tap((signal) => Effect.sync(() => heard.push(signal))),
          Stream.filter((signal) => isOf(signal, late)),
          Stream.runHead
        )
        yield* sendUntil([[late, 1]], [receiver])
        expect(heard.filter((signal) => isOf(signal, early))).toEqual([])
      })
    )

    it.effect("can be sent when nobody listens", () =>
      Effect.flatMap(EventSignals, (signals) => signals.send([[build.channel(), 1]]))
    )
  })
