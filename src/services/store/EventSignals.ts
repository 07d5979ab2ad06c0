/**
 * The port by which the servers of one store tell each other that a channel's log has grown. It only makes delivery
 * quick: signals may be lost, doubled or late, and what they say is always checked against the log.
 */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type * as Stream from "effect/Stream"
import type { ChannelName } from "../../schema/Key.ts"
import type { ReadError } from "./StoreError.ts"

/** Channels with their last positions; `all` when more than one signal can tell have grown. */
export type Signal = ReadonlyArray<readonly [ChannelName, number]> | "all"

/** Signals between the servers of one store. A store that one server alone uses may send to itself. */
export class EventSignals extends Context.Service<
  EventSignals,
  {
    /** Tells everybody who receives, this server too or not. */
    readonly send: (signal: Signal) => Effect.Effect<void, ReadError>
    /** Everybody's signals, from now on. Starts again by itself when the connection behind it is lost, after an `all`. */
    readonly received: Stream.Stream<Signal>
  }
>()("orchestrator/services/store/EventSignals") {}
