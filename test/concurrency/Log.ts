/** The log of a channel, read from the store and decoded: what a subscriber who saw everything would hold. */
import * as Effect from "effect/Effect"
import { Event } from "../../src/layers/wire/generated/event.ts"
import type { ChannelName } from "../../src/schema/Key.ts"
import { EventCodec } from "../../src/services/store/EventCodec.ts"
import { EventLog } from "../../src/services/store/EventLog.ts"

export interface Entry {
  readonly position: number
  /** Microseconds. */
  readonly timestamp: number
  readonly event: Event
  readonly asset: NonNullable<Event["asset"]>
  readonly reason: string | undefined
}

/** Everything that the channel's log holds. */
export const readLog = Effect.fnUntraced(function* (channel: ChannelName) {
  const log = yield* EventLog
  const codec = yield* EventCodec
  const head = (yield* log.heads([channel])).get(channel) ?? 0
  const entries: Array<Entry> = []
  while (entries.length < head) {
    const piece = yield* log.read(channel, {
      after: entries.length,
      upTo: head,
      limit: 10_000,
      maxBytes: 64 * 1024 * 1024
    })
    if (piece.length === 0) throw new Error(`the log ends at ${entries.length}, its head is ${head}`)
    for (const { id, message, position, timestamp } of piece) {
      const event = Event.decode(codec.complete(message, timestamp))
      if (event.id !== id || event.asset === undefined) throw new Error(`the message at ${position} is not its event's`)
      entries.push({ position, timestamp, event, asset: event.asset, reason: event.metadata.get("reason") })
    }
  }
  return entries
})

/** The statuses that a task has gone through, oldest first. */
export const statusesOf = (log: ReadonlyArray<Entry>, key: string): ReadonlyArray<string> =>
  log.flatMap(({ asset }) => (asset.$case === "computeTask" && asset.value.key === key ? [asset.value.status] : []))
