/** The port that makes an event's message in the contract's encoding: what the log keeps and subscribers get. */
import * as Context from "effect/Context"
import type { NewEvent } from "../../schema/Event.ts"
import type { ChannelName } from "../../schema/Key.ts"
import type { Timestamp } from "../../schema/Timestamp.ts"

/** Encodes events as messages of the contract. */
export class EventCodec extends Context.Service<
  EventCodec,
  {
    /** The message of an event but for its timestamp. */
    readonly encode: (channel: ChannelName, id: string, assetKey: string, event: NewEvent) => Uint8Array
    /** The whole message: the stored one with the timestamp that the log gave it. */
    readonly complete: (message: Uint8Array, timestamp: Timestamp) => Uint8Array
    /** The whole message as it goes on a stream, behind its prefix: one byte 0, for no compression, and four of length. */
    readonly frame: (message: Uint8Array, timestamp: Timestamp) => Uint8Array
    /** The most bytes that `complete` adds. */
    readonly timestampSize: number
  }
>()("orchestrator/services/store/EventCodec") {}
