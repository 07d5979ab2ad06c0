/** An event of the old log as this server keeps it: its columns, and its message in the contract's encoding. */
import * as Result from "effect/Result"
import * as OldEvents from "../postgres/adoption/OldEvents.ts"
import type { Row } from "../postgres/Session.ts"
import * as OldEventCodec from "../wire/OldEventCodec.ts"

export interface ReadEvent {
  readonly event: OldEvents.OldEvent
  readonly message: Uint8Array
}

/** The event, or why it cannot be taken over. */
export const readEvent = (channel: string, row: Row): Result.Result<ReadEvent, string> =>
  Result.flatMap(OldEvents.decode(row), (event) =>
    Result.map(OldEventCodec.encode(channel, event), (message) => ({ event, message }))
  )
