/**
 * The events between two marks: a mark is a profiling step of a fresh key, whose event can be found by that key and
 * subscribed from. So a test sees exactly what its calls caused, whatever else is in the channel.
 */
import type { Event } from "../../src/layers/wire/generated/event.ts"
import * as Build from "./Builders.ts"
import type { Client } from "./Client.ts"

/** The id of a fresh event. */
export const mark = async (client: Client): Promise<string> => {
  const assetKey = Build.newKey()
  await client.registerProfilingStep({ assetKey, step: "mark", duration: 1 })
  const [event, ...more] = await eventsOf(client, assetKey)
  if (event === undefined || more.length > 0) throw new Error("a mark makes one event")
  return event.id
}

/** All events of this key, oldest first, as QueryEvents gives them. */
export const eventsOf = async (client: Client, asset: Build.Keyed): Promise<Array<Event>> => {
  const assetKey = Build.keyOf(asset)
  const filter = {
    assetKey,
    assetKind: "ASSET_UNKNOWN",
    eventKind: "EVENT_UNKNOWN",
    metadata: new Map<string, string>(),
    start: undefined,
    end: undefined
  } as const
  return (await client.queryEvents({ filter, pageSize: 10_000 })).events
}

/** What a subscriber gets after one event and before another. */
export const between = async (client: Client, start: string, end: string): Promise<Array<Event>> => {
  await using stream = client.subscribeToEvents({ startEventId: start })
  return await stream.until(({ id }) => id === end)
}

/** The events that these calls caused, in the order of the stream. */
export const recorded = async (client: Client, calls: () => Promise<unknown>): Promise<Array<Event>> => {
  const start = await mark(client)
  await calls()
  return between(client, start, await mark(client))
}

/** `["COMPUTE_TASK", "UPDATED", key, reason]`, the reason only where there is one. */
export const short = (event: Event): ReadonlyArray<string> => [
  event.assetKind.replace("ASSET_", ""),
  event.eventKind.replace("EVENT_ASSET_", ""),
  event.assetKey,
  ...[...event.metadata].map(([name, value]) => (name === "reason" ? value : `${name}=${value}`))
]

/** The asset that an event carries. */
export const assetOf = (event: Event) => event.asset?.value
