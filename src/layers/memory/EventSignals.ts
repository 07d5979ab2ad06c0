/** Signals between those who share this memory. A receiver that falls behind loses its oldest: a later one says more. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as PubSub from "effect/PubSub"
import * as Stream from "effect/Stream"
import { EventSignals, type Signal } from "../../services/store/EventSignals.ts"

const capacity = 1024

export const layer: Layer.Layer<EventSignals> = Layer.effect(
  EventSignals,
  Effect.map(PubSub.sliding<Signal>(capacity), (signals) => ({
    send: (signal) => Effect.asVoid(PubSub.publish(signals, signal)),
    received: Stream.fromPubSub(signals)
  }))
)
