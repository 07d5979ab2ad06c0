/**
 * Live delivery: one hub a server, for all channels and subscribers. A subscriber is a cursor, the next event is always
 * the one at cursor + 1, wherever it comes from: the ring of the newest, or the log. So there can be no gap and no
 * repeat, and no queue that grows. What tells the hub that the log has grown (this server's commits, other servers'
 * signals, a look at the log every second) only makes it quick; a channel's events are read by one fiber for all.
 */
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as PubSub from "effect/PubSub"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import * as Stream from "effect/Stream"
import type { ChannelName } from "../schema/Key.ts"
import { type PermissionDenied, Unavailable } from "../schema/OrchestratorError.ts"
import { type EncodedEvent, EventRing, type RingBounds } from "./EventRing.ts"
import type { Committed } from "./store/Database.ts"
import { EventCodec } from "./store/EventCodec.ts"
import { EventLog } from "./store/EventLog.ts"
import { EventSignals, type Signal } from "./store/EventSignals.ts"
import type { ReadError } from "./store/StoreError.ts"
import { CommittedEvents } from "./Transaction.ts"

export interface EventHubOptions {
  /** How many of the newest events of a channel are kept ready, and how many bytes of them. */
  readonly ring: RingBounds
  /** Rows read from the log at once. */
  readonly batchSize: number
}

/** A subscriber's place in the log of its channel. */
export interface Subscription {
  /**
   * The events that follow those taken before, in order, one at least: waits for it. Fails when the subscription is
   * ended: Unavailable (the server drains, the database is lost or has lost events), PermissionDenied (no access any more).
   */
  readonly take: Effect.Effect<ReadonlyArray<EncodedEvent>, Unavailable | PermissionDenied | ReadError>
}

export class EventHub extends Context.Service<
  EventHub,
  {
    /** Everything of the channel after this position, then what comes. Ends with the scope. */
    readonly subscribe: (
      channel: ChannelName,
      after: number
    ) => Effect.Effect<Subscription, ReadError | Unavailable, Scope.Scope>
    /** Ends all subscriptions with Unavailable, and refuses new ones: the server drains. */
    readonly drain: Effect.Effect<void>
  }
>()("orchestrator/services/EventHub") {
  static readonly layer = (options: EventHubOptions) =>
    Layer.effect(
      EventHub,
      Effect.gen(function* () {
        const hub = new Hub(options, yield* EventLog, yield* EventCodec, yield* EventSignals, yield* Effect.scope)
        const committed = yield* PubSub.subscribe(yield* CommittedEvents)
        yield* Effect.forkScoped(
          Effect.forever(Effect.map(PubSub.takeAll(committed), (batches) => hub.onCommitted(batches)))
        )
        yield* Effect.forkScoped(hub.sendSignals)
        yield* Effect.forkScoped(hub.receiveSignals)
        yield* Effect.forkScoped(hub.watchHeads)
        return EventHub.of({ subscribe: hub.subscribe, drain: hub.drain })
      })
    )
}

/** Events that one `take` hands out, and about how many bytes of them: what a slow subscriber can hold on to. */
const maxTake = 256
const maxTakeBytes = 256 * 1024
/** Bytes that one read of the log brings. */
const maxReadBytes = 1024 * 1024
/** Pieces of the log kept for subscribers below the ring, so that those who replay together read together. */
const maxPieces = 4
/** The least time between two signals to other servers. */
const signalInterval = Duration.millis(5)
/** The time between two looks at the log: what no signal told is found then. */
const pollInterval = Duration.seconds(1)
/** A look that takes longer has failed. */
const pollTimeout = Duration.seconds(5)
/** How long a gap is left to fill itself from commits that were overtaken, before it is read. */
const gapPatience = Duration.millis(1)
/** Looks at the log that may fail in a row before the database counts as lost. */
const maxFailedPolls = 5

const draining = new Unavailable({ message: "the server is shutting down, subscribe again to another one" })
const databaseLost = new Unavailable({ message: "the database is out of reach, subscribe again" })
const wentBackwards = new Unavailable({
  message: "the database lost events that were sent, as after a failover: subscribe again from the last id"
})

const left = new Unavailable({ message: "the subscription was closed" })

type StreamEnd = Unavailable | PermissionDenied

/** Woken at each change; who waits names the version that it has seen, so that no change is missed. */
class Changes {
  version = 0
  private readonly waiters = new Set<() => void>()

  wake(): void {
    this.version++
    const waiters = [...this.waiters]
    this.waiters.clear()
    for (const waiter of waiters) waiter()
  }

  /** Resumes once there is a change after this version. */
  since(version: number): Effect.Effect<void> {
    return Effect.callback((resume) => {
      if (this.version !== version) return resume(Effect.void)
      const waiter = () => resume(Effect.void)
      this.waiters.add(waiter)
      return Effect.sync(() => this.waiters.delete(waiter))
    })
  }
}

/** One channel with subscribers. */
class Feed extends Changes {
  readonly ring: EventRing
  /** Pieces of the log below the ring. */
  readonly pieces: Array<ReadonlyArray<EncodedEvent>> = []
  readonly reading = Semaphore.makeUnsafe(1)
  subscribers = 0
  end: StreamEnd | undefined

  constructor(ring: EventRing) {
    super()
    this.ring = ring
  }

  finish(end: StreamEnd): void {
    this.end ??= end
    this.wake()
  }
}

class Hub {
  private readonly feeds = new Map<ChannelName, Feed>()
  private readonly opening = Semaphore.makeUnsafe(1)
  /** Channels that this server has written to since the last signal, with their last positions. */
  private readonly dirty = new Map<ChannelName, number>()
  private readonly commits = new Changes()
  private end: StreamEnd | undefined
  private readonly options: EventHubOptions
  private readonly log: EventLog["Service"]
  private readonly codec: EventCodec["Service"]
  private readonly signals: EventSignals["Service"]
  private readonly scope: Scope.Scope

  constructor(
    options: EventHubOptions,
    log: EventLog["Service"],
    codec: EventCodec["Service"],
    signals: EventSignals["Service"],
    scope: Scope.Scope
  ) {
    this.options = options
    this.log = log
    this.codec = codec
    this.signals = signals
    this.scope = scope
  }

  readonly subscribe = (
    channel: ChannelName,
    after: number
  ): Effect.Effect<Subscription, ReadError | Unavailable, Scope.Scope> =>
    Effect.gen({ self: this }, function* () {
      if (this.end !== undefined) return yield* this.end as Unavailable
      const feed = yield* Effect.acquireRelease(this.join(channel), (joined) => this.leave(channel, joined))
      let cursor = after
      const take: Subscription["take"] = Effect.gen({ self: this }, function* () {
        while (true) {
          const version = feed.version
          const end = feed.end ?? this.end
          if (end !== undefined) return yield* Effect.fail(end)
          if (cursor < feed.ring.last) {
            const events =
              cursor + 1 >= feed.ring.first
                ? feed.ring.after(cursor, maxTake, maxTakeBytes)
                : yield* this.below(channel, feed, cursor)
            const tail = events[events.length - 1]
            if (tail !== undefined) {
              cursor = tail.position
              return events
            }
            // The log has less than it had: the next look at the heads ends the subscription.
          }
          yield* feed.since(version)
        }
      })
      return { take }
    })

  readonly drain: Effect.Effect<void> = Effect.sync(() => {
    this.end = draining
    for (const feed of this.feeds.values()) feed.finish(draining)
  })

  /** News from this server's own transactions: straight into the rings, and to be signalled. */
  onCommitted(batches: ReadonlyArray<Committed>): void {
    for (const batch of batches) {
      const tail = batch[batch.length - 1]
      if (tail === undefined) continue
      this.dirty.set(tail.channel, Math.max(this.dirty.get(tail.channel) ?? 0, tail.position))
      const feed = this.feeds.get(tail.channel)
      if (feed !== undefined && (feed.ring.offer(batch) || feed.ring.isBehind)) feed.wake()
    }
    this.commits.wake()
  }

  /** One signal for all that was committed in the meantime, never inside a transaction. */
  readonly sendSignals: Effect.Effect<never> = Effect.forever(
    Effect.gen({ self: this }, function* (): Effect.fn.Return<void> {
      const version = this.commits.version
      if (this.dirty.size === 0) return yield* this.commits.since(version)
      const signal = [...this.dirty]
      this.dirty.clear()
      // A signal that is lost is made up for by the look at the log every second.
      yield* Effect.ignore(this.signals.send(signal))
      yield* Effect.sleep(signalInterval)
    })
  )

  readonly receiveSignals: Effect.Effect<void> = Effect.suspend(() =>
    Stream.runForEach(this.signals.received, (signal) => this.onSignal(signal))
  )

  private onSignal(signal: Signal): Effect.Effect<void> {
    if (signal === "all") return Effect.ignore(this.lookAtHeads)
    return Effect.sync(() => {
      for (const [channel, position] of signal) this.grewTo(channel, position)
    })
  }

  private grewTo(channel: ChannelName, position: number): void {
    const feed = this.feeds.get(channel)
    if (feed === undefined || position <= feed.ring.target) return
    feed.ring.target = position
    feed.wake()
  }

  /** The guarantee: whatever happens to signals, the log is looked at. */
  readonly watchHeads: Effect.Effect<never> = Effect.suspend(() => {
    let failed = 0
    return Effect.forever(
      Effect.gen({ self: this }, function* () {
        yield* Effect.sleep(pollInterval)
        const looked = yield* Effect.result(Effect.timeout(this.lookAtHeads, pollTimeout))
        failed = looked._tag === "Success" ? 0 : failed + 1
        if (failed >= maxFailedPolls) for (const feed of this.feeds.values()) feed.finish(databaseLost)
      })
    )
  })

  private readonly lookAtHeads: Effect.Effect<void, ReadError> = Effect.suspend(() => {
    const before = new Map(Array.from(this.feeds, ([channel, feed]) => [channel, feed.ring.last]))
    if (before.size === 0) return Effect.void
    return Effect.map(this.log.heads([...before.keys()]), (heads) => {
      for (const [channel, head] of heads) {
        const feed = this.feeds.get(channel)
        // What was in the ring before the log was asked must be in the log.
        if (feed !== undefined && head < (before.get(channel) ?? 0)) feed.finish(wentBackwards)
        this.grewTo(channel, head)
      }
    })
  })

  /** The channel's feed; the first subscriber opens it, others meanwhile wait for that. */
  private join(channel: ChannelName): Effect.Effect<Feed, ReadError> {
    return this.opening.withPermit(
      Effect.suspend(() => {
        const open = this.feeds.get(channel)
        if (open === undefined || open.end !== undefined) return this.open(channel)
        open.subscribers++
        return Effect.succeed(open)
      })
    )
  }

  /** A feed with its first subscriber. It starts at the log's head. */
  private open(channel: ChannelName): Effect.Effect<Feed, ReadError> {
    return Effect.gen({ self: this }, function* () {
      const head = Effect.map(this.log.heads([channel]), (heads) => heads.get(channel) ?? 0)
      const ring = new EventRing(yield* head, this.options.ring, (event) =>
        this.codec.complete(event.message, event.timestamp)
      )
      const feed = new Feed(ring)
      feed.subscribers = 1
      this.feeds.set(channel, feed)
      yield* Effect.forkIn(this.readOn(channel, feed), this.scope)
      // What was committed before the feed was there to hear of it is found by a second look.
      this.grewTo(channel, yield* Effect.tapError(head, () => this.leave(channel, feed)))
      return feed
    })
  }

  private leave(channel: ChannelName, feed: Feed): Effect.Effect<void> {
    return Effect.sync(() => {
      feed.subscribers--
      if (feed.subscribers > 0) return
      feed.finish(left)
      if (this.feeds.get(channel) === feed) this.feeds.delete(channel)
    })
  }

  /** The channel's one reader: brings the ring up to what is known to exist, for as long as the feed lives. */
  private readOn(channel: ChannelName, feed: Feed): Effect.Effect<void> {
    return Effect.gen({ self: this }, function* () {
      while (feed.end === undefined) {
        const version = feed.version
        if (!feed.ring.isBehind) {
          yield* feed.since(version)
          continue
        }
        yield* Effect.sleep(gapPatience)
        if (!feed.ring.isBehind) continue
        const { last, target } = feed.ring
        const events = yield* this.log
          .read(channel, last, target, this.options.batchSize, maxReadBytes)
          .pipe(Effect.retry(Schedule.spaced(Duration.millis(200)).pipe(Schedule.upTo({ times: 50 }))), Effect.option)
        if (events._tag === "None") return feed.finish(databaseLost)
        if (feed.ring.offer(events.value)) feed.wake()
        else if (events.value.length === 0) yield* Effect.sleep(pollInterval)
      }
    })
  }

  /** Events below the ring, from the log, by one reader at a time: who replays at the same place shares the read. */
  private below(
    channel: ChannelName,
    feed: Feed,
    cursor: number
  ): Effect.Effect<ReadonlyArray<EncodedEvent>, ReadError> {
    return feed.reading.withPermit(
      Effect.suspend(() => {
        const piece = feed.pieces.find(
          (events) =>
            (events[0]?.position ?? Number.POSITIVE_INFINITY) <= cursor + 1 && (events.at(-1)?.position ?? 0) > cursor
        )
        if (piece !== undefined) return Effect.succeed(piece.slice(cursor + 1 - (piece[0] as EncodedEvent).position))
        return this.log.read(channel, cursor, feed.ring.last, this.options.batchSize, maxReadBytes).pipe(
          Effect.map((logged) => {
            const events = logged.map((event) => ({
              position: event.position,
              bytes: this.codec.complete(event.message, event.timestamp)
            }))
            if (events.length > 0) feed.pieces.push(events)
            if (feed.pieces.length > maxPieces) feed.pieces.shift()
            return events
          })
        )
      })
    )
  }
}
