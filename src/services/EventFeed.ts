/** One channel with subscribers, as the hub keeps it: its ring, pieces of the log below it, and who waits for what. */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Semaphore from "effect/Semaphore"
import type { Internal, StoredDataInvalid, Unavailable } from "../schema/OrchestratorError.ts"
import type { EncodedEvent, EventRing } from "./EventRing.ts"

/** What ends all subscriptions of a channel. */
export type StreamEnd = Unavailable | StoredDataInvalid | Internal

/** Where a subscriber is: the last event that it took; no id at the beginning of a log. */
export interface Cursor {
  position: number
  id: string | undefined
}

/** Woken at each change; who waits names the version that it has seen, so that no change is missed. */
export class Changes {
  version = 0
  private readonly waiters = new Set<() => void>()
  private readonly watchers = new Set<() => void>()

  wake(): void {
    this.version++
    const waiters = [...this.waiters]
    this.waiters.clear()
    for (const waiter of waiters) waiter()
    for (const watcher of this.watchers) watcher()
  }

  /** Calls this at each change from now on, in the middle of it: it must be quick. Gives the way to end that. */
  watch(watcher: () => void): () => void {
    this.watchers.add(watcher)
    return () => this.watchers.delete(watcher)
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

/** Events of the log that follow each other, and the event before them. */
interface Piece {
  readonly after: Readonly<Cursor>
  readonly events: ReadonlyArray<EncodedEvent>
}

/** Pieces of the log kept for subscribers below the ring, so that those who replay together read together. */
const maxPieces = 8

export class Feed extends Changes {
  readonly ring: EventRing
  readonly subscribers = new Set<Cursor>()
  /** One subscriber below the ring reads at a time. */
  readonly reading = Semaphore.makeUnsafe(1)
  /** Looks at the log during which nobody was subscribed. */
  idleLooks = 0
  end: StreamEnd | undefined
  /** Fails once the feed has ended. */
  readonly ended: Effect.Effect<never, StreamEnd>
  private readonly ending = Deferred.makeUnsafe<never, StreamEnd>()
  private readonly pieces: Array<Piece> = []

  constructor(ring: EventRing) {
    super()
    this.ring = ring
    this.ended = Deferred.await(this.ending)
  }

  finish(end: StreamEnd): void {
    if (this.end !== undefined) return
    this.end = end
    Deferred.doneUnsafe(this.ending, Effect.fail(end))
    this.wake()
  }

  /** How far the slowest subscriber is behind, in events. */
  get lag(): number {
    let lag = 0
    for (const { position } of this.subscribers) lag = Math.max(lag, this.ring.last - position)
    return lag
  }

  /** The last position that a subscriber has taken. */
  get furthest(): number {
    let furthest = 0
    for (const { position } of this.subscribers) furthest = Math.max(furthest, position)
    return furthest
  }

  keep(piece: Piece): void {
    this.pieces.push(piece)
    if (this.pieces.length > maxPieces) this.pieces.shift()
  }

  /** What a kept piece has after this event. */
  kept({ id, position }: Cursor): ReadonlyArray<EncodedEvent> | undefined {
    for (const { after, events } of this.pieces) {
      const taken = position - after.position
      if (taken < 0 || taken >= events.length) continue
      if ((taken === 0 ? after : events[taken - 1])?.id === id) return taken === 0 ? events : events.slice(taken)
    }
    return undefined
  }
}
