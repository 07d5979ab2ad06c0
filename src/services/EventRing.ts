/**
 * The newest events of one channel, ready to be sent, in one piece: positions `first` to `last`. Bounded in number and
 * bytes; what falls out is in the log. A plain data structure: it reads nothing and waits for nothing.
 */
import type { LoggedEvent } from "../schema/Event.ts"
import type { Committed } from "./store/Database.ts"

/** An event as it goes to a subscriber: encoded once for all of them. */
export interface EncodedEvent {
  /** Its place in the log of its channel, from 1. */
  readonly position: number
  readonly id: string
  /** Its message behind the prefix of a stream (EventCodec.frame). */
  readonly frame: Uint8Array
}

/** What a ring holds at most, for each channel with subscribers. */
export interface RingBounds {
  readonly maxEvents: number
  readonly maxBytes: number
}

/** What became of a batch: `contradicts` says that it belongs to another log than what is in the ring. */
export type Offered = "grown" | "unchanged" | "contradicts"

/** Batches that came before their time wait for those between; more than this many are left to the log. */
const maxEarly = 256

const sizeOf = (batch: ReadonlyArray<LoggedEvent>): number =>
  batch.reduce((size, event) => size + event.message.length, 0)

export class EventRing {
  /** The position of the last event in the ring, or where the ring starts when it holds none. */
  last: number
  /** The highest position that is known to exist. */
  target: number
  /** The id of the event before the first; none at the beginning of a log. */
  private idBefore: string | undefined
  /** The first `dropped` places are empty. */
  private events: Array<EncodedEvent | undefined> = []
  private dropped = 0
  private bytes = 0
  private readonly early = new Map<number, Committed>()
  private earlyBytes = 0
  private readonly bounds: RingBounds
  private readonly encode: (event: LoggedEvent) => Uint8Array

  constructor(
    start: number,
    startId: string | undefined,
    bounds: RingBounds,
    encode: (event: LoggedEvent) => Uint8Array
  ) {
    this.last = start
    this.target = start
    this.idBefore = startId
    this.bounds = bounds
    this.encode = encode
  }

  /** The position of the first event in the ring. */
  get first(): number {
    return this.last - (this.events.length - this.dropped) + 1
  }

  /** Whether events are known to exist that the ring does not have yet. */
  get isBehind(): boolean {
    return this.target > this.last
  }

  get lastId(): string | undefined {
    return this.idAt(this.last)
  }

  /** Whether the event after this position is in the ring, or will be the next to come. */
  reaches(position: number): boolean {
    return position + 1 >= this.first
  }

  /** The id of the event at this position, from the one before the first to the last. */
  idAt(position: number): string | undefined {
    const { first } = this
    return position === first - 1 ? this.idBefore : this.events[this.dropped + position - first]?.id
  }

  /**
   * Takes events that follow each other. Those that continue the ring go in, with what waited for them; those that come
   * early wait; those that are there already are passed over.
   */
  offer(batch: Committed): Offered {
    const [head] = batch.events
    const tail = batch.events[batch.events.length - 1]
    if (head === undefined || tail === undefined) return "unchanged"
    if (this.isContradictedBy(batch)) return "contradicts"
    if (tail.position <= this.last) return "unchanged"
    this.target = Math.max(this.target, tail.position)
    if (head.position > this.last + 1) {
      this.keepForLater(batch)
      return "unchanged"
    }
    let next: Committed | undefined = batch
    while (next !== undefined) {
      if (this.isContradictedBy(next)) return "contradicts"
      for (const event of next.events) if (event.position === this.last + 1) this.push(event)
      next = this.early.get(this.last + 1)
      this.forget(this.last + 1)
    }
    for (const position of this.early.keys()) if (position <= this.last) this.forget(position)
    this.shrink()
    return "grown"
  }

  /**
   * Events after this position, `limit` at most and no more than fill `maxBytes`, but one at least where there is one.
   * The position must not be below the ring.
   */
  after(position: number, limit: number, maxBytes: number): ReadonlyArray<EncodedEvent> {
    const start = this.dropped + (position + 1 - this.first)
    let end = start
    let size = 0
    while (end < this.events.length && end - start < limit && size < maxBytes) {
      size += (this.events[end] as EncodedEvent).frame.length
      end++
    }
    return this.events.slice(start, end) as ReadonlyArray<EncodedEvent>
  }

  private isContradictedBy(batch: Committed): boolean {
    const { events, previousId } = batch
    const isNext = events[0]?.position === this.last + 1
    if (isNext && previousId !== undefined && previousId !== this.lastId) return true
    for (const { id, position } of events) {
      if (position > this.last) return false
      if (position >= this.first - 1 && this.idAt(position) !== id) return true
    }
    return false
  }

  private keepForLater(batch: Committed): void {
    const size = sizeOf(batch.events)
    const position = batch.events[0]?.position
    if (position === undefined || this.early.has(position)) return
    if (this.early.size >= maxEarly || this.earlyBytes + size > this.bounds.maxBytes) return
    this.early.set(position, batch)
    this.earlyBytes += size
  }

  private forget(position: number): void {
    const batch = this.early.get(position)
    if (batch === undefined) return
    this.early.delete(position)
    this.earlyBytes -= sizeOf(batch.events)
  }

  private push(event: LoggedEvent): void {
    const frame = this.encode(event)
    this.events.push({ position: event.position, id: event.id, frame })
    this.bytes += frame.length
    this.last = event.position
  }

  private shrink(): void {
    while (
      this.events.length - this.dropped > this.bounds.maxEvents ||
      (this.bytes > this.bounds.maxBytes && this.events.length - this.dropped > 1)
    ) {
      const oldest = this.events[this.dropped] as EncodedEvent
      this.idBefore = oldest.id
      this.bytes -= oldest.frame.length
      this.events[this.dropped] = undefined
      this.dropped++
    }
    // The front is cut off when half of the array is empty: each event is moved once on average.
    if (this.dropped > 1024 && this.dropped * 2 > this.events.length) {
      this.events = this.events.slice(this.dropped)
      this.dropped = 0
    }
  }
}
