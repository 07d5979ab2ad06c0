/**
 * Live delivery: one hub a server, for all channels and subscribers. A subscriber is a cursor, the next event is always
 * the one at cursor + 1, wherever it comes from: the ring of the newest, or the log. So there can be no gap and no
 * repeat, and no queue that grows. What tells the hub that the log has grown (this server's commits, other servers'
 * signals, a look at the log every second) only makes it quick; a channel's events are read by one fiber for all.
 */
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as PubSub from "effect/PubSub"
import * as Schedule from "effect/Schedule"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { LoggedEvent } from "../schema/Event.ts"
import type { ChannelName } from "../schema/Key.ts"
import { StoredDataInvalid, Unavailable } from "../schema/OrchestratorError.ts"
import { Changes, type Cursor, Feed, type StreamEnd } from "./EventFeed.ts"
import { type EncodedEvent, EventRing, type RingBounds } from "./EventRing.ts"
import { HubMetrics } from "./HubMetrics.ts"
import type { Committed } from "./store/Database.ts"
import { EventCodec } from "./store/EventCodec.ts"
import { EventLog } from "./store/EventLog.ts"
import { EventSignals, type Signal } from "./store/EventSignals.ts"
import type { ReadError } from "./store/StoreError.ts"
import { CommittedEvents } from "./Transaction.ts"

/** What delivery may hold in memory and read at once. */
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
   * ended: Unavailable, because the server drains, the database is out of reach, or it has lost events.
   */
  readonly take: Effect.Effect<ReadonlyArray<EncodedEvent>, StreamEnd | ReadError>
  /**
   * The same without waiting, for who is at the end of the log most of the time: events from memory, `nothing` when
   * there is nothing to take, `elsewhere` when `take` must be asked, which may read the log or fail.
   */
  readonly takeReady: () => ReadonlyArray<EncodedEvent> | "nothing" | "elsewhere"
  /** Calls this whenever `takeReady` may have something else to say. Gives the way to end that. */
  readonly watch: (watcher: () => void) => () => void
  /** Fails once the subscription is ended, for whoever is busy with what it took. */
  readonly ended: Effect.Effect<never, StreamEnd>
}

/** Live delivery of events to any number of subscribers (docs/events.md). */
export class EventHub extends Context.Service<
  EventHub,
  {
    /**
     * Everything of the channel after this position, then what comes. `afterId` is the id of the event there: where it
     * is another one's, because the database lost events, the subscription ends. Ends with the scope.
     */
    readonly subscribe: (
      channel: ChannelName,
      after: number,
      afterId?: string
    ) => Effect.Effect<Subscription, ReadError | StreamEnd, Scope.Scope>
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
        const takeCommitted = Effect.map(PubSub.takeAll(committed), (batches) => hub.onCommitted(batches))
        yield* Effect.forkScoped(keptUp("taking committed events", Effect.forever(takeCommitted)))
        yield* Effect.forkScoped(keptUp("sending signals", hub.sendSignals))
        yield* Effect.forkScoped(keptUp("receiving signals", hub.receiveSignals))
        yield* Effect.forkScoped(keptUp("looking at the log", hub.watchLog))
        return EventHub.of({ subscribe: hub.subscribe, drain: hub.drain })
      })
    )
}

/** Events that one `take` hands out, and about how many bytes of them: what a slow subscriber can hold on to. */
const maxTake = 256
const maxTakeBytes = 256 * 1024
/** Batches that are read ahead of a subscriber that replays: it goes on, and a read costs more than its rows. */
const batchesAhead = 5
/** Bytes that one read of the log brings the ring. */
const maxReadBytes = 1024 * 1024
/** The least time between two signals to other servers. */
const signalInterval = Duration.millis(5)
/** A signal that takes longer is given up: the look at the log makes up for it. */
const signalTimeout = Duration.seconds(2)
/** The time between two looks at the log: what no signal told is found then. */
const pollInterval = Duration.seconds(1)
/** A look that takes longer has failed. */
const pollTimeout = Duration.seconds(2)
/** Looks at the log that may fail in a row before the database counts as lost. */
const maxFailedPolls = 5
/** How long the opening of a channel's feed may take. */
const openTimeout = Duration.seconds(5)
/** How long a gap is left to fill itself from commits that were overtaken, before it is read. */
const gapPatience = Duration.millis(1)
/** Tries of a read that brings the ring up, while the database is out of reach. */
const readAgain = Schedule.spaced(Duration.millis(200)).pipe(Schedule.upTo({ times: 50 }))
/** A feed without subscribers is kept for so many looks, for those that come again. */
const maxIdleLooks = 2

const draining = new Unavailable({ message: "the server is shutting down, subscribe again to another one" })
const databaseLost = new Unavailable({ message: "the database is out of reach, subscribe again" })
const wentBackwards = new Unavailable({
  message: "the database lost events that were sent, as after a failover: subscribe again from the last id"
})
const hubFailed = new Unavailable({ message: "the delivery of events failed, subscribe again" })
const left = new Unavailable({ message: "the subscription was closed" })

/** The log lacks an event between others: nothing may be sent across the gap. */
const gapAt = (channel: ChannelName, position: number): StoredDataInvalid =>
  new StoredDataInvalid({ cause: new Error(`the log of channel ${channel} has no event at position ${position}`) })

const missing = (after: number, events: ReadonlyArray<LoggedEvent>): number | undefined => {
  const index = events.findIndex((event, place) => event.position !== after + 1 + place)
  return index < 0 ? undefined : after + 1 + index
}

/** A defect must not end delivery in silence: it is told, and the work begins again. */
const keptUp = (what: string, work: Effect.Effect<void>): Effect.Effect<void> =>
  Effect.catchDefect(work, (defect) =>
    Effect.logError(`a defect stopped the delivery of events in ${what}, it is begun again`, Cause.die(defect)).pipe(
      Effect.andThen(Effect.sleep(pollInterval)),
      Effect.andThen(Effect.suspend(() => keptUp(what, work)))
    )
  )

class Hub {
  private readonly feeds = new Map<ChannelName, Feed>()
  /** Feeds on their way; who subscribes meanwhile waits for them. */
  private readonly opening = new Map<ChannelName, Deferred.Deferred<void, ReadError>>()
  /** Channels that this server has written to since the last signal, with their last positions. */
  private readonly dirty = new Map<ChannelName, number>()
  private readonly commits = new Changes()
  private readonly metrics = new HubMetrics()
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
    after: number,
    afterId?: string
  ): Effect.Effect<Subscription, ReadError | StreamEnd, Scope.Scope> =>
    Effect.map(this.join(channel, { position: after, id: afterId }), ([feed, cursor]) => ({
      take: this.take(channel, feed, cursor),
      takeReady: () => this.takeReady(feed, cursor),
      watch: (watcher) => feed.watch(watcher),
      ended: feed.ended
    }))

  private take(channel: ChannelName, feed: Feed, cursor: Cursor): Subscription["take"] {
    return Effect.gen({ self: this }, function* () {
      while (true) {
        const version = feed.version
        const ready = this.takeReady(feed, cursor)
        if (ready === "nothing") {
          yield* feed.since(version)
          continue
        }
        if (ready !== "elsewhere") return ready
        const end = feed.end ?? this.end
        if (end !== undefined) return yield* Effect.fail(end)
        const events = feed.ring.reaches(cursor.position)
          ? []
          : yield* Effect.raceFirst(this.below(channel, feed, cursor), feed.ended)
        // The event that the subscriber took last is not in the log, or is another one.
        if (events.length === 0) return yield* wentBackwards
        return moved(cursor, events)
      }
    })
  }

  private takeReady(feed: Feed, cursor: Cursor): ReturnType<Subscription["takeReady"]> {
    const { ring } = feed
    if ((feed.end ?? this.end) !== undefined) return "elsewhere"
    if (cursor.position > ring.last) return "nothing"
    if (!ring.reaches(cursor.position) || isOther(cursor.id, ring.idAt(cursor.position))) return "elsewhere"
    if (cursor.position === ring.last) return "nothing"
    this.metrics.count("ringHits")
    return moved(cursor, ring.after(cursor.position, maxTake, maxTakeBytes))
  }

  readonly drain: Effect.Effect<void> = Effect.sync(() => {
    this.end = draining
    for (const feed of this.feeds.values()) feed.finish(draining)
  })

  /** News from this server's own transactions: straight into the rings, and to be signalled. */
  onCommitted(batches: ReadonlyArray<Committed>): void {
    for (const batch of batches) {
      const tail = batch.events[batch.events.length - 1]
      if (tail === undefined) continue
      const { channel, position } = tail
      this.dirty.set(channel, Math.max(this.dirty.get(channel) ?? 0, position))
      const feed = this.feeds.get(channel)
      if (feed === undefined) continue
      if (this.offer(feed, batch) || feed.ring.isBehind) feed.wake()
    }
    this.commits.wake()
  }

  private offer(feed: Feed, batch: Committed): boolean {
    const offered = feed.ring.offer(batch)
    if (offered === "contradicts") feed.finish(wentBackwards)
    return offered === "grown"
  }

  /** One signal for all that was committed in the meantime, never inside a transaction. */
  readonly sendSignals: Effect.Effect<never> = Effect.forever(
    Effect.gen({ self: this }, function* (): Effect.fn.Return<void> {
      const version = this.commits.version
      if (this.dirty.size === 0) return yield* this.commits.since(version)
      const signal = [...this.dirty]
      this.dirty.clear()
      // A signal that is lost is made up for by the look at the log every second.
      const sent = yield* Effect.result(Effect.timeout(this.signals.send(signal), signalTimeout))
      if (sent._tag === "Success") this.metrics.count("signalsSent")
      yield* Effect.sleep(signalInterval)
    })
  )

  readonly receiveSignals: Effect.Effect<void> = Effect.suspend(() =>
    Stream.runForEach(this.signals.received, (signal) => this.onSignal(signal))
  )

  private onSignal(signal: Signal): Effect.Effect<void> {
    this.metrics.count("signalsReceived")
    if (signal === "all") return Effect.asVoid(this.lookAtLog(false))
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
  readonly watchLog: Effect.Effect<never> = Effect.suspend(() => {
    let failed = 0
    return Effect.forever(
      Effect.gen({ self: this }, function* () {
        yield* Effect.sleep(pollInterval)
        failed = (yield* this.lookAtLog(true)) ? 0 : failed + 1
        if (failed >= maxFailedPolls) for (const feed of this.feeds.values()) feed.finish(databaseLost)
        this.closeIdle()
        yield* this.metrics.flush(this.feeds)
      })
    )
  })

  /** Finds what has come, and what is there no more. Says whether the log could be looked at. */
  private lookAtLog(isPoll: boolean): Effect.Effect<boolean> {
    return Effect.suspend(() => {
      const before = Array.from(this.feeds, ([channel, feed]) => {
        const { last, lastId, target } = feed.ring
        return { channel, feed, last, lastId, target, furthest: Math.max(last, feed.furthest) }
      })
      const places = before.flatMap(({ channel, last }) => (last > 0 ? [[channel, last] as const] : []))
      const look = Effect.all([this.log.heads(before.map(({ channel }) => channel)), this.log.idsAt(places)], {
        concurrency: "unbounded"
      })
      return Effect.match(Effect.timeout(before.length === 0 ? Effect.succeed(undefined) : look, pollTimeout), {
        onFailure: () => false,
        onSuccess: (looked) => {
          const [heads, ids] = looked ?? []
          for (const { channel, feed, furthest, last, lastId, target } of before) {
            const head = heads?.get(channel) ?? 0
            // What was in the ring, or a subscriber's, before the log was asked must be in the log.
            if (head < furthest || (last > 0 && ids?.get(channel) !== lastId)) feed.finish(wentBackwards)
            // What was only heard of may be wrong.
            if (head < target && feed.ring.target === target) feed.ring.target = Math.max(feed.ring.last, head)
            if (isPoll && head > feed.ring.target) this.metrics.count("pollFound", head - feed.ring.target)
            this.grewTo(channel, head)
          }
          return true
        }
      })
    })
  }

  private closeIdle(): void {
    for (const [channel, feed] of this.feeds) {
      feed.idleLooks = feed.subscribers.size > 0 ? 0 : feed.idleLooks + 1
      if (feed.idleLooks <= maxIdleLooks && (feed.end === undefined || feed.idleLooks === 0)) continue
      feed.finish(left)
      this.feeds.delete(channel)
    }
  }

  /** Makes a subscriber one of the channel's feed, which the first of them opens. */
  private join(
    channel: ChannelName,
    cursor: Cursor
  ): Effect.Effect<readonly [Feed, Cursor], ReadError | StreamEnd, Scope.Scope> {
    return Effect.uninterruptibleMask((restore) =>
      Effect.gen({ self: this }, function* () {
        while (true) {
          if (this.end !== undefined) return yield* Effect.fail(this.end)
          const feed = this.feeds.get(channel)
          if (feed !== undefined && feed.end === undefined) {
            feed.subscribers.add(cursor)
            const leave = Effect.sync(() => feed.subscribers.delete(cursor))
            yield* Scope.addFinalizer(yield* Effect.scope, leave)
            return [feed, cursor] as const
          }
          let opening = this.opening.get(channel)
          if (opening === undefined) {
            opening = Deferred.makeUnsafe()
            this.opening.set(channel, opening)
            yield* Effect.forkIn(this.open(channel, opening), this.scope)
          }
          yield* restore(Deferred.await(opening))
        }
      })
    )
  }

  /** A feed that starts with the last event of the log. */
  private open(channel: ChannelName, opening: Deferred.Deferred<void, ReadError>): Effect.Effect<void> {
    const open = Effect.gen({ self: this }, function* () {
      const head = Effect.map(this.log.heads([channel]), (heads) => heads.get(channel) ?? 0)
      const start = yield* head
      const id = start === 0 ? undefined : (yield* this.log.idsAt([[channel, start]])).get(channel)
      if (start > 0 && id === undefined) return yield* wentBackwards
      const ring = new EventRing(start, id, this.options.ring, (event) =>
        this.codec.frame(event.message, event.timestamp)
      )
      const feed = new Feed(ring)
      this.feeds.set(channel, feed)
      yield* Effect.forkIn(this.readOn(channel, feed), this.scope)
      // What was committed before the feed was there to hear of it is found by a second look.
      this.grewTo(channel, yield* Effect.onError(head, (cause) => Effect.sync(() => feed.finish(endBy(cause)))))
    })
    return open.pipe(
      Effect.timeoutOrElse({ duration: openTimeout, orElse: () => Effect.fail(databaseLost) }),
      Effect.onExit((exit) =>
        Effect.sync(() => {
          this.opening.delete(channel)
          Deferred.doneUnsafe(opening, exit)
        })
      ),
      Effect.ignoreCause
    )
  }

  /** The channel's one reader: brings the ring up to what is known to exist, for as long as the feed lives. */
  private readOn(channel: ChannelName, feed: Feed): Effect.Effect<void> {
    const { batchSize } = this.options
    const { ring } = feed
    return Effect.gen({ self: this }, function* () {
      while (true) {
        const version = feed.version
        if (feed.end !== undefined) return
        if (!ring.isBehind) {
          yield* feed.since(version)
          continue
        }
        yield* Effect.sleep(gapPatience)
        if (!ring.isBehind) continue
        const { last, lastId, target } = ring
        const piece = { after: last, afterId: lastId, upTo: target, limit: batchSize, maxBytes: maxReadBytes }
        const events = yield* Effect.retry(this.log.read(channel, piece), { schedule: readAgain, while: isTransient })
        const gap = missing(last, events)
        if (gap !== undefined) return yield* gapAt(channel, gap)
        if (this.offer(feed, { events })) feed.wake()
        else if (events.length === 0) {
          // There is less than was heard of, or something else: that look tells which.
          yield* this.lookAtLog(false)
          if (feed.end === undefined && ring.isBehind) yield* Effect.sleep(pollInterval)
        }
      }
    }).pipe(
      Effect.raceFirst(feed.ended),
      Effect.catch((error) => Effect.sync(() => feed.finish(asEnd(error)))),
      Effect.catchDefect((defect) =>
        Effect.andThen(
          Effect.logError(
            `a defect stopped the delivery of events in channel ${channel}, its subscriptions end`,
            Cause.die(defect)
          ),
          Effect.sync(() => feed.finish(hubFailed))
        )
      )
    )
  }

  /**
   * Events below the ring, from the log, by one reader at a time: who replays at the same place shares the read. While
   * they are sent, those that follow are read.
   */
  private below(
    channel: ChannelName,
    feed: Feed,
    cursor: Cursor
  ): Effect.Effect<ReadonlyArray<EncodedEvent>, ReadError> {
    const after = { ...cursor }
    this.metrics.count("ringMisses")
    return Effect.tap(this.piece(channel, feed, after, this.options.batchSize), (events) => {
      const tail = events[events.length - 1]
      if (tail === undefined || feed.ring.reaches(tail.position) || feed.kept(tail) !== undefined) return Effect.void
      const next = { position: tail.position, id: tail.id }
      const ahead = this.piece(channel, feed, next, this.options.batchSize * batchesAhead)
      return Effect.forkIn(Effect.ignore(Effect.raceFirst(ahead, feed.ended)), this.scope)
    })
  }

  private piece(
    channel: ChannelName,
    feed: Feed,
    after: Readonly<Cursor>,
    limit: number
  ): Effect.Effect<ReadonlyArray<EncodedEvent>, ReadError> {
    return feed.reading.withPermit(
      Effect.gen({ self: this }, function* () {
        const kept = feed.kept(after)
        if (kept !== undefined) return kept
        const logged = yield* this.log.read(channel, {
          after: after.position,
          afterId: after.id,
          upTo: feed.ring.last,
          limit,
          maxBytes: maxTakeBytes
        })
        const gap = missing(after.position, logged)
        if (gap !== undefined) return yield* gapAt(channel, gap)
        const events = logged.map(({ id, message, position, timestamp }) => ({
          position,
          id,
          frame: this.codec.frame(message, timestamp)
        }))
        if (events.length > 0) feed.keep({ after, events })
        return events
      })
    )
  }
}

/** What was taken, with the cursor moved behind it. */
const moved = (cursor: Cursor, events: ReadonlyArray<EncodedEvent>): ReadonlyArray<EncodedEvent> => {
  const { id, position } = events[events.length - 1] as EncodedEvent
  cursor.position = position
  cursor.id = id
  return events
}

/** Whether the event that is known by this id is another one than that of the log. */
const isOther = (known: string | undefined, logged: string | undefined): boolean =>
  known !== undefined && known !== logged

const isTransient = (error: ReadError): boolean => error._tag === "Unavailable" || error._tag === "Contended"

/** A look that took too long is interrupted. */
const endBy = (cause: Cause.Cause<ReadError>): StreamEnd =>
  Cause.hasDies(cause)
    ? hubFailed
    : Option.match(Cause.findErrorOption(cause), { onNone: () => databaseLost, onSome: asEnd })

const asEnd = (error: ReadError | StreamEnd): StreamEnd =>
  error._tag === "Unavailable" || error._tag === "Contended" ? databaseLost : error
