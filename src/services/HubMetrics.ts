/**
 * What the hub counts. On the way of an event these are plain numbers; they become Effect's metrics once a second, when
 * the hub looks at the log.
 */
import * as Effect from "effect/Effect"
import * as Metric from "effect/Metric"
import type { ChannelName } from "../schema/Key.ts"
import type { Feed } from "./EventFeed.ts"

const subscribers = Metric.gauge("orc_event_subscribers", { description: "Open event streams" })

const lag = Metric.gauge("orc_event_subscriber_lag", {
  description: "Events that the slowest subscriber has yet to take of those that this server has ready"
})

const counter = (name: string, description: string) => Metric.counter(name, { description, incremental: true })

const counters = {
  ringHits: counter("orc_event_ring_hits_total", "Times that a subscriber found what follows in memory"),
  ringMisses: counter("orc_event_ring_misses_total", "Times that a subscriber needed the log in the database"),
  signalsSent: counter("orc_event_notifications_sent_total", "Notifications sent to the other servers"),
  signalsReceived: counter("orc_event_notifications_received_total", "Notifications received, this server's own too"),
  pollFound: counter("orc_event_poll_found_total", "Events that the look at the log found before any notification")
}

type Counters = { -readonly [Name in keyof typeof counters]: number }

const none = (): Counters => ({ ringHits: 0, ringMisses: 0, signalsSent: 0, signalsReceived: 0, pollFound: 0 })

export class HubMetrics {
  private counts = none()
  private channels: ReadonlySet<ChannelName> = new Set()

  count(name: keyof Counters, by = 1): void {
    this.counts[name] += by
  }

  /** Hands over what was counted since the last time, and how the feeds are now. */
  flush(feeds: ReadonlyMap<ChannelName, Feed>): Effect.Effect<void> {
    return Effect.suspend(() => {
      const { counts } = this
      this.counts = none()
      const gone = [...this.channels].filter((channel) => !feeds.has(channel))
      this.channels = new Set(feeds.keys())
      const gauges = (channel: ChannelName, size: number, behind: number) =>
        Effect.andThen(
          Metric.update(Metric.withAttributes(subscribers, { channel }), size),
          Metric.update(Metric.withAttributes(lag, { channel }), behind)
        )
      return Effect.all(
        [
          ...Object.entries(counters)
            .filter(([name]) => counts[name as keyof Counters] > 0)
            .map(([name, metric]) => Metric.update(metric, counts[name as keyof Counters])),
          ...Array.from(feeds, ([channel, feed]) => gauges(channel, feed.subscribers.size, feed.lag)),
          ...gone.map((channel) => gauges(channel, 0, 0))
        ],
        { discard: true }
      )
    })
  }
}
