/** The hub where something fails: each case is one that its model (hub.model.test.ts) cannot tell apart from luck. */
import { expect, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Logger from "effect/Logger"
import * as Metric from "effect/Metric"
import * as TestClock from "effect/testing/TestClock"
import { describe } from "vitest"
import type { LoggedEvent } from "../../src/schema/Event.ts"
import type { ChannelName } from "../../src/schema/Key.ts"
import { Changes } from "../../src/services/EventFeed.ts"
import { EventRing } from "../../src/services/EventRing.ts"
import { settle, World } from "./HubWorld.ts"

const channel = "one" as ChannelName
const ring = { maxEvents: 6, maxBytes: 1500 }

/** A hub on a log of this many events, with one subscriber at this position that takes. */
const open = (count: number, share: number) =>
  Effect.gen(function* () {
    const world = new World()
    yield* world.append(channel, count, "never")
    yield* world.restart(ring, 4)
    const subscriber = world.add(channel, share)
    yield* world.take(subscriber)
    yield* settle
    yield* Effect.addFinalizer(() => world.close)
    return { world, subscriber }
  })

const event = (position: number, size = 10): LoggedEvent => ({
  channel,
  position,
  id: `e${position}`,
  timestamp: 0 as LoggedEvent["timestamp"],
  message: new Uint8Array(size)
})

describe("a defect", () => {
  it.effect("in a look at the log does not end the looks: what no signal told of still comes", () =>
    Effect.gen(function* () {
      const { subscriber, world } = yield* open(5, 0.999)
      world.dying = 1
      yield* TestClock.adjust("1 second")
      expect(world.dying).toBe(0)
      yield* world.append(channel, 1, "never")
      yield* TestClock.adjust("4 seconds")
      yield* settle
      expect([subscriber.position, subscriber.end]).toEqual([6, undefined])
    })
  )

  it.effect("is one line of the log: a sentence, with the defect as its cause", () => {
    const lines: Array<readonly [unknown, string]> = []
    const logger = Logger.make(({ cause, message }) => void lines.push([message, Cause.pretty(cause)]))
    return Effect.gen(function* () {
      const { world } = yield* open(5, 0.999)
      world.dying = 1
      yield* TestClock.adjust("1 second")
      yield* settle
      const sentence = "a defect stopped the delivery of events in looking at the log, it is begun again"
      expect(lines).toEqual([[[sentence], expect.stringContaining("a defect")]])
    }).pipe(Effect.provide(Logger.layer([logger])))
  })

  it.effect("in the reading of a channel ends its subscriptions, saying so", () =>
    Effect.gen(function* () {
      const { subscriber, world } = yield* open(5, 0.999)
      yield* world.append(channel, 1, "never")
      world.dying = 1
      yield* world.signal([[channel, 6]])
      yield* TestClock.adjust("2 millis")
      yield* settle
      expect(subscriber.end).toContain("the delivery of events failed")
    })
  )
})

describe("a subscription ends", () => {
  it.effect("when the server drains, also while a read of the log hangs", () =>
    Effect.gen(function* () {
      const { subscriber, world } = yield* open(40, 0)
      world.delay = 1_000_000
      // First what was read ahead, then what is read for ever.
      for (let turn = 0; turn < 2; turn++) {
        yield* world.take(subscriber)
        yield* settle
      }
      yield* world.drain()
      yield* settle
      expect(subscriber.end).toContain("the server is shutting down")
    })
  )

  it.effect("when the database answers nothing any more, within seconds, saying so", () =>
    Effect.gen(function* () {
      const { subscriber, world } = yield* open(5, 0.999)
      world.delay = 1_000_000
      yield* TestClock.adjust("16 seconds")
      yield* settle
      expect(subscriber.end).toContain("the database is out of reach")
    })
  )

  it.effect("when the database refuses everything, within seconds, saying so", () =>
    Effect.gen(function* () {
      const { subscriber, world } = yield* open(5, 0.999)
      world.failing = Number.POSITIVE_INFINITY
      yield* TestClock.adjust("4500 millis")
      expect(subscriber.end).toBeUndefined()
      yield* TestClock.adjust("1 second")
      yield* settle
      expect(subscriber.end).toContain("the database is out of reach")
    })
  )

  it.effect("when the log lost events, also where others are in their places, saying so", () =>
    Effect.gen(function* () {
      for (const refill of [0, 3, 10]) {
        const { subscriber, world } = yield* open(9, 0.999)
        yield* world.failover(channel, 3, refill)
        yield* TestClock.adjust("1 second")
        yield* settle
        expect(subscriber.end).toContain("the database lost events that were sent")
        expect(world.wrong).toEqual([])
      }
    })
  )

  it.effect("when the subscriber replays what is lost by then, instead of going on in another log", () =>
    Effect.gen(function* () {
      const { subscriber, world } = yield* open(40, 0)
      yield* world.failover(channel, 38, 60)
      // What was read ahead by then is still of the log that it knows.
      for (let turn = 0; turn < 4; turn++) {
        yield* world.take(subscriber)
        yield* settle
      }
      expect(subscriber.end).toContain("the database lost events that were sent")
      expect(world.wrong).toEqual([])
    })
  )

  it.effect("when the log has a hole, without reading it again and again", () =>
    Effect.gen(function* () {
      const { subscriber, world } = yield* open(5, 0.999)
      yield* world.append(channel, 3, "never")
      world.log(channel)[5] = event(1000)
      yield* TestClock.adjust("2 seconds")
      yield* settle
      expect(subscriber.end).toBe("stored data could not be decoded")
    })
  )
})

describe("a subscription goes on", () => {
  it.effect("when no signal ever comes: the look at the log finds all within a second", () =>
    Effect.gen(function* () {
      const { subscriber, world } = yield* open(5, 0.999)
      yield* world.append(channel, 3, "never")
      yield* TestClock.adjust("1010 millis")
      yield* settle
      expect(subscriber.position).toBe(8)
    })
  )

  it.effect("at once after a signal that said too much", () =>
    Effect.gen(function* () {
      const { subscriber, world } = yield* open(5, 0.999)
      yield* world.signal([[channel, 1000]])
      yield* TestClock.adjust("5 millis")
      yield* world.append(channel, 1, "never")
      yield* world.signal([[channel, 6]])
      yield* TestClock.adjust("5 millis")
      yield* settle
      expect(subscriber.position).toBe(6)
    })
  )

  it.effect("when the database was away for less than five seconds", () =>
    Effect.gen(function* () {
      const { subscriber, world } = yield* open(5, 0.999)
      world.failing = Number.POSITIVE_INFINITY
      yield* TestClock.adjust("4 seconds")
      world.failing = 0
      yield* world.append(channel, 1, "never")
      yield* TestClock.adjust("1010 millis")
      yield* settle
      expect([subscriber.position, subscriber.end]).toEqual([6, undefined])
    })
  )

  it.effect("on one channel, while another's feed cannot be opened", () =>
    Effect.gen(function* () {
      const { subscriber, world } = yield* open(5, 0.999)
      world.delay = 1_000_000
      const stuck = world.add("two" as ChannelName, 0)
      yield* world.take(stuck)
      yield* world.append(channel, 1, "published")
      yield* settle
      expect(subscriber.position).toBe(6)
      yield* TestClock.adjust("5 seconds")
      yield* settle
      expect(stuck.end).toContain("the database is out of reach")
    })
  )
})

describe("nothing is left", () => {
  it.effect("of a subscriber who leaves while the feed opens", () =>
    Effect.gen(function* () {
      const { world } = yield* open(5, 0.999)
      world.delay = 100
      const leaver = world.add("two" as ChannelName, 0)
      yield* world.take(leaver)
      yield* settle
      yield* world.leave(leaver)
      world.delay = 0
      yield* TestClock.adjust("4 seconds")
      const openStreams = yield* gauge("orc_event_subscribers", "two")
      expect(openStreams).toBe(0)
    }).pipe(Effect.provideService(Metric.MetricRegistry, new Map()))
  )

  it.effect("of those who waited for a change and left", () =>
    Effect.gen(function* () {
      const changes = new Changes()
      const waiting = yield* Effect.forkChild(changes.since(0))
      yield* settle
      yield* Fiber.interrupt(waiting)
      expect(changes).toMatchObject({ waiters: new Set() })
    })
  )

  it("of large events that came early, but as many bytes as the ring may have", () => {
    const small = new EventRing(0, undefined, { maxEvents: 100, maxBytes: 1000 }, ({ message }) => message)
    for (let position = 2; position <= 50; position += 2) small.offer({ events: [event(position, 400)] })
    expect((small as unknown as { early: Map<number, unknown> }).early.size).toBe(2)
    expect(small.target).toBe(50)
  })
})

const gauge = (name: string, of?: string) =>
  Effect.map(Metric.snapshot, (metrics) => {
    const found = metrics.find(({ attributes, id }) => id === name && (of === undefined || attributes?.channel === of))
    const state = found?.state as { readonly value?: number; readonly count?: number } | undefined
    return state?.value ?? state?.count
  })

it.effect("what the hub counts becomes metrics with the next look at the log", () =>
  Effect.gen(function* () {
    const { subscriber, world } = yield* open(40, 0)
    yield* world.append(channel, 2, "never")
    yield* TestClock.adjust("1 second")
    yield* settle
    yield* TestClock.adjust("1 second")
    expect(yield* gauge("orc_event_subscribers", channel)).toBe(1)
    expect(yield* gauge("orc_event_subscriber_lag", channel)).toBe(42 - subscriber.position)
    expect(yield* gauge("orc_event_poll_found_total")).toBe(2)
    expect(yield* gauge("orc_event_ring_misses_total")).toBe(1)
    yield* world.signal([[channel, 42]])
    for (const head of [42, 43]) {
      if (head === 43) yield* world.append(channel, 1, "published")
      while (subscriber.position < head) {
        yield* world.take(subscriber)
        yield* settle
      }
    }
    yield* TestClock.adjust("1 second")
    expect(yield* gauge("orc_event_notifications_sent_total")).toBe(1)
    expect(yield* gauge("orc_event_notifications_received_total")).toBe(1)
    expect(yield* gauge("orc_event_ring_hits_total")).toBeGreaterThan(0)
    expect(yield* gauge("orc_event_subscriber_lag", channel)).toBe(0)
  }).pipe(Effect.provideService(Metric.MetricRegistry, new Map()))
)
