/** The event log in memory. Only Database.ts appends to it. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { ChannelName } from "../../schema/Key.ts"
import { EventLog } from "../../services/store/EventLog.ts"
import * as Logs from "./EventLogs.ts"
import { type Access, access, type Memory } from "./Memory.ts"

const make = ({ read }: Access): EventLog["Service"] => ({
  page: (channel, filter, descending, request) =>
    read(({ logs }) => Logs.page(logs, channel, filter, descending, request)),
  positionOf: (channel, id) => read(({ logs }) => Logs.positionOf(logs, channel, id)),
  read: (channel, { after, afterId, limit, maxBytes, upTo }) =>
    read(({ logs }) =>
      afterId === undefined || Logs.idAt(logs, channel, after) === afterId
        ? Logs.read(logs, channel, after, upTo, limit, maxBytes)
        : []
    ),
  heads: (channels) => read(({ logs }) => new Map(channels.map((channel) => [channel, Logs.head(logs, channel)]))),
  idsAt: (places) =>
    read(({ logs }) => {
      const ids = places.map(([channel, position]) => [channel, Logs.idAt(logs, channel, position)] as const)
      return new Map(ids.filter((place): place is readonly [ChannelName, string] => place[1] !== undefined))
    })
})

export const layer: Layer.Layer<EventLog, never, Memory> = Layer.effect(EventLog, Effect.map(access, make))
