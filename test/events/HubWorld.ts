/**
 * The hub with everything around it faked: a log, signals, a codec, and subscribers that check each event that they
 * take against the log as a plain list. A step does one thing; time is the TestClock's.
 */

import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as PubSub from "effect/PubSub"
import * as Queue from "effect/Queue"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { LoggedEvent } from "../../src/schema/Event.ts"
import type { ChannelName } from "../../src/schema/Key.ts"
import { Unavailable } from "../../src/schema/OrchestratorError.ts"
import type { Timestamp } from "../../src/schema/Timestamp.ts"
import { EventHub, type Subscription } from "../../src/services/EventHub.ts"
import type { Committed } from "../../src/services/store/Database.ts"
import { EventCodec } from "../../src/services/store/EventCodec.ts"
import { EventLog } from "../../src/services/store/EventLog.ts"
import { EventSignals, type Signal } from "../../src/services/store/EventSignals.ts"
import { CommittedEvents } from "../../src/services/Transaction.ts"

/** How an append is told to the hub: to its own process at once, later and out of order, or not at all. */
export type Told = "published" | "later" | "never"

const lost = new Unavailable({ message: "the fake log is out of reach" })

/** Lets every fiber run until it waits for the clock or for an event. */
export const settle = Effect.gen(function* () {
  for (let turn = 0; turn < 12; turn++) yield* Effect.yieldNow
})

interface Live {
  readonly subscription: Subscription
  readonly scope: Scope.Closeable
}

/** What one subscriber has seen, over all its connections. */
export interface Subscriber {
  readonly channel: ChannelName
  /** The last event that it took, as a position and an id; none at the beginning. */
  position: number
  id: string | undefined
  /** Whether it takes what comes where it hears of it, as streams at the end of the log do. */
  readonly eager: boolean
  live: Live | undefined
  /** Ends its watching. */
  unwatch: (() => void) | undefined
  taking: Fiber.Fiber<unknown, unknown> | undefined
  /** How its last connection ended. */
  end: string | undefined
}

export class World {
  readonly logs = new Map<ChannelName, Array<LoggedEvent>>()
  /** Which event each was appended behind: what no subscriber may ever see otherwise. */
  readonly behind = new Map<string, string | undefined>()
  readonly subscribers: Array<Subscriber> = []
  readonly wrong: Array<string> = []
  deliveries = 0
  /** Operations of the log that fail from now on, and how long one takes. */
  failing = 0
  /** Operations of the log that die from now on. */
  dying = 0
  delay = 0
  private count = 0
  private held: Array<Committed> = []
  private signals: Queue.Queue<Signal> | undefined
  private hub: EventHub["Service"] | undefined
  private committed: PubSub.PubSub<Committed> | undefined
  private scope: Scope.Closeable | undefined

  log(channel: ChannelName): Array<LoggedEvent> {
    const log = this.logs.get(channel) ?? []
    this.logs.set(channel, log)
    return log
  }

  private event(channel: ChannelName): LoggedEvent {
    const log = this.log(channel)
    const id = `e${++this.count}`
    this.behind.set(id, log.at(-1)?.id)
    const size = this.count % 5 === 0 ? 600 : 20
    const event = { channel, position: log.length + 1, id, timestamp: 0 as Timestamp, message: new Uint8Array(size) }
    log.push(event)
    return event
  }

  append(channel: ChannelName, count: number, told: Told): Effect.Effect<void> {
    return Effect.suspend(() => {
      const previousId = this.log(channel).at(-1)?.id
      const batch = { events: Array.from({ length: count }, () => this.event(channel)), previousId }
      if (told === "later") this.held.push(batch)
      return told === "published" && this.committed !== undefined
        ? Effect.asVoid(PubSub.publish(this.committed, batch))
        : Effect.void
    })
  }

  /** Publishes one of the batches that were held back, whichever. */
  publishHeld(index: number): Effect.Effect<void> {
    return Effect.suspend(() => {
      const [batch] = this.held.splice(index % Math.max(1, this.held.length), 1)
      return batch === undefined || this.committed === undefined
        ? Effect.void
        : Effect.asVoid(PubSub.publish(this.committed, batch))
    })
  }

  signal(signal: Signal): Effect.Effect<void> {
    return Effect.suspend(() =>
      this.signals === undefined ? Effect.void : Effect.asVoid(Queue.offer(this.signals, signal))
    )
  }

  /** The database loses the last events, others take their places. */
  failover(channel: ChannelName, lostEvents: number, refill: number): Effect.Effect<void> {
    return Effect.gen({ self: this }, function* () {
      yield* settle
      const log = this.log(channel)
      log.length = Math.max(0, log.length - lostEvents)
      for (let index = 0; index < refill; index++) this.event(channel)
    })
  }

  private answer<A>(value: () => A): Effect.Effect<A, Unavailable> {
    return Effect.suspend(() => {
      if (this.failing > 0) {
        this.failing--
        return Effect.fail(lost)
      }
      if (this.dying > 0) {
        this.dying--
        return Effect.die(new Error("a defect"))
      }
      const now = value()
      return this.delay === 0 ? Effect.succeed(now) : Effect.as(Effect.sleep(this.delay), now)
    })
  }

  private readonly fakeLog = EventLog.of({
    page: () => Effect.die("no pages here"),
    positionOf: (channel, id) =>
      this.answer(() =>
        Option.map(
          Option.fromUndefinedOr(this.log(channel).find((event) => event.id === id)),
          (event) => event.position
        )
      ),
    read: (channel, { after, afterId, limit, maxBytes, upTo }) =>
      this.answer(() => {
        const log = this.log(channel)
        if (afterId !== undefined && log[after - 1]?.id !== afterId) return []
        let bytes = 0
        return log.slice(after, Math.min(upTo, after + limit)).filter(({ message }) => {
          const fits = bytes < maxBytes
          bytes += message.length
          return fits
        })
      }),
    heads: (channels) => this.answer(() => new Map(channels.map((channel) => [channel, this.log(channel).length]))),
    idsAt: (places) =>
      this.answer(() => {
        const ids = new Map<ChannelName, string>()
        for (const [channel, position] of places) {
          const id = this.log(channel)[position - 1]?.id
          if (id !== undefined) ids.set(channel, id)
        }
        return ids
      })
  })

  /** A server starts; the one before it is killed. */
  restart(ring: { readonly maxEvents: number; readonly maxBytes: number }, batchSize: number): Effect.Effect<void> {
    return Effect.gen({ self: this }, function* () {
      if (this.scope !== undefined) yield* Scope.close(this.scope, Exit.void)
      for (const subscriber of this.subscribers) yield* this.leave(subscriber)
      this.held = []
      const scope = yield* Scope.make()
      const signals = yield* Queue.unbounded<Signal>()
      const services = Layer.mergeAll(
        CommittedEvents.layer,
        Layer.succeed(EventLog, this.fakeLog),
        Layer.succeed(EventSignals, { send: () => Effect.void, received: Stream.fromQueue(signals) }),
        Layer.succeed(EventCodec, {
          encode: () => new Uint8Array(),
          complete: (message) => message,
          frame: (message) => message,
          timestampSize: 0
        })
      )
      const context = yield* Layer.buildWithScope(
        EventHub.layer({ ring, batchSize }).pipe(Layer.provideMerge(services)),
        scope
      )
      this.scope = scope
      this.signals = signals
      this.hub = Context.get(context, EventHub)
      this.committed = Context.get(context, CommittedEvents)
    })
  }

  readonly close: Effect.Effect<void> = Effect.suspend(() =>
    this.scope === undefined ? Effect.void : Scope.close(this.scope, Exit.void)
  )

  drain(): Effect.Effect<void> {
    return this.hub?.drain ?? Effect.void
  }

  /** A new subscriber, after the event at this share of the log. */
  add(channel: ChannelName, share: number): Subscriber {
    const log = this.log(channel)
    const position = Math.floor(share * (log.length + 1))
    const subscriber: Subscriber = {
      channel,
      position,
      id: log[position - 1]?.id,
      eager: this.subscribers.length % 2 === 1,
      live: undefined,
      unwatch: undefined,
      taking: undefined,
      end: undefined
    }
    this.subscribers.push(subscriber)
    return subscriber
  }

  /** Connects it where it was, as a client does: by the id. One whose event is lost starts at the beginning. */
  connect(subscriber: Subscriber): Effect.Effect<void> {
    return Effect.gen({ self: this }, function* () {
      const hub = this.hub
      if (hub === undefined || subscriber.live !== undefined) return
      const log = this.log(subscriber.channel)
      if (subscriber.id !== undefined && log[subscriber.position - 1]?.id !== subscriber.id) {
        subscriber.position = 0
        subscriber.id = undefined
      }
      const scope = yield* Scope.make()
      const connecting = hub.subscribe(subscriber.channel, subscriber.position, subscriber.id).pipe(
        Effect.provideService(Scope.Scope, scope),
        Effect.flatMap((subscription) =>
          Effect.sync(() => {
            subscriber.live = { subscription, scope }
          })
        ),
        Effect.catch((error) => {
          subscriber.end = error.message
          return Scope.close(scope, Exit.void)
        })
      )
      yield* Effect.ensuring(
        connecting,
        Effect.suspend(() => (subscriber.live?.scope === scope ? Effect.void : Scope.close(scope, Exit.void)))
      )
    })
  }

  /** Starts to take, unless it does; what comes is checked. */
  take(subscriber: Subscriber): Effect.Effect<void> {
    return Effect.gen({ self: this }, function* () {
      if (subscriber.taking?.pollUnsafe() === undefined && subscriber.taking !== undefined) return
      if (subscriber.unwatch !== undefined) return
      const connected = subscriber.live === undefined ? this.connect(subscriber) : Effect.void
      const taking = Effect.andThen(
        connected,
        Effect.suspend(() => {
          const live = subscriber.live
          if (live === undefined) return Effect.void
          return Effect.matchEffect(live.subscription.take, {
            onSuccess: (events) =>
              Effect.sync(() => {
                this.receive(subscriber, events)
                if (subscriber.eager) this.watch(subscriber, live)
              }),
            onFailure: (error) => {
              subscriber.end = error._tag === "Contended" ? error._tag : error.message
              return this.leaveWith(subscriber, live)
            }
          })
        })
      )
      subscriber.taking = yield* Effect.forkDetach(taking)
    })
  }

  /** Takes whatever is ready, now and at each change, until `take` must be asked. */
  private watch(subscriber: Subscriber, { subscription }: Live): void {
    const pump = () => {
      while (true) {
        const ready = subscription.takeReady()
        if (ready === "nothing") return
        if (ready === "elsewhere") break
        this.receive(subscriber, ready)
      }
      subscriber.unwatch?.()
      subscriber.unwatch = undefined
    }
    subscriber.unwatch = subscription.watch(pump)
    pump()
  }

  private receive(
    subscriber: Subscriber,
    events: ReadonlyArray<{ readonly position: number; readonly id: string }>
  ): void {
    if (events.length === 0) this.wrong.push("nothing was taken")
    for (const { id, position } of events) {
      this.deliveries++
      if (position !== subscriber.position + 1 || this.behind.get(id) !== subscriber.id) {
        this.wrong.push(`${id} at ${position} came behind ${subscriber.id} at ${subscriber.position}`)
      }
      subscriber.position = position
      subscriber.id = id
    }
  }

  private leaveWith(subscriber: Subscriber, live: Live): Effect.Effect<void> {
    if (subscriber.live === live) {
      subscriber.live = undefined
      subscriber.unwatch?.()
      subscriber.unwatch = undefined
    }
    return Scope.close(live.scope, Exit.void)
  }

  leave(subscriber: Subscriber): Effect.Effect<void> {
    return Effect.gen({ self: this }, function* () {
      if (subscriber.taking !== undefined) yield* Fiber.interrupt(subscriber.taking)
      subscriber.taking = undefined
      if (subscriber.live !== undefined) yield* this.leaveWith(subscriber, subscriber.live)
    })
  }
}
