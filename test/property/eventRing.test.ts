/**
 * The ring of the newest events against a plain list: whatever is offered, in whatever order, the ring holds one piece of
 * the log up to its last position, as much as its bounds let it, and takes nothing that contradicts what it holds.
 */
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import type { LoggedEvent } from "../../src/schema/Event.ts"
import type { ChannelName } from "../../src/schema/Key.ts"
import { fromMicros } from "../../src/schema/Timestamp.ts"
import { EventRing } from "../../src/services/EventRing.ts"

const event = (position: number, size: number, id = `event ${position}`): LoggedEvent => ({
  channel: "channel" as ChannelName,
  position,
  id,
  timestamp: fromMicros(position),
  message: new Uint8Array(size)
})

/** A log that starts before the ring does, cut into transactions; pieces of it are offered again and again. */
interface Script {
  readonly log: ReadonlyArray<LoggedEvent>
  readonly start: number
  readonly bounds: { readonly maxEvents: number; readonly maxBytes: number }
  readonly offers: ReadonlyArray<readonly [from: number, to: number]>
}

const script: fc.Arbitrary<Script> = fc
  .record({
    sizes: fc.array(fc.integer({ min: 0, max: 20 }), { minLength: 1, maxLength: 60 }),
    start: fc.integer({ min: 0, max: 10 }),
    bounds: fc.record({ maxEvents: fc.integer({ min: 1, max: 20 }), maxBytes: fc.integer({ min: 1, max: 200 }) }),
    pieces: fc.array(fc.tuple(fc.nat(), fc.integer({ min: 0, max: 8 })), { maxLength: 40 })
  })
  .map(({ bounds, pieces, sizes, start }) => ({
    log: sizes.map((size, index) => event(index + 1, size)),
    start: Math.min(start, sizes.length),
    bounds,
    offers: pieces.map(([from, length]) => [from % sizes.length, (from % sizes.length) + length] as const)
  }))

const idAt = (log: ReadonlyArray<LoggedEvent>, position: number) => log[position - 1]?.id

const open = ({ bounds, log, start }: Script) =>
  new EventRing(start, idAt(log, start), bounds, ({ message }) => message)

/** Where a list that takes in what it is offered would stand: early pieces wait, the ring may give them up. */
const expectPiece = (ring: EventRing, { bounds, log, start }: Script, offered: ReadonlySet<number>) => {
  const held = ring.after(ring.first - 1, Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY)
  const expected = log.slice(ring.first - 1, ring.last)
  expect(held.map(({ id, position }) => [position, id])).toEqual(expected.map(({ id, position }) => [position, id]))
  expect(held.map(({ frame }) => frame.length)).toEqual(expected.map(({ message }) => message.length))
  for (let position = start + 1; position <= ring.last; position++) expect(offered).toContain(position)
  const size = held.reduce((sum, { frame }) => sum + frame.length, 0)
  expect(held.length).toBeLessThanOrEqual(bounds.maxEvents)
  if (held.length > 1) expect(size).toBeLessThanOrEqual(bounds.maxBytes)
  // Nothing is dropped before it must be.
  const dropped = log[ring.first - 2]
  if (ring.first - 1 > start && dropped !== undefined && held.length < bounds.maxEvents) {
    expect(size + dropped.message.length).toBeGreaterThan(bounds.maxBytes)
  }
  expect(ring.isBehind).toBe(ring.target > ring.last)
  for (let position = ring.first - 1; position <= ring.last; position++) {
    expect(ring.idAt(position)).toBe(idAt(log, position))
    expect(ring.reaches(position)).toBe(true)
  }
  expect(ring.reaches(ring.first - 2)).toBe(false)
  expect(ring.lastId).toBe(idAt(log, ring.last))
}

describe("the ring of the newest events", () => {
  it("holds one piece of the log, in order, within its bounds", () => {
    fc.assert(
      fc.property(script, (given) => {
        const ring = open(given)
        const offered = new Set<number>()
        let target = given.start
        for (const [from, to] of given.offers) {
          const batch = given.log.slice(from, to)
          const before = ring.last
          for (const { position } of batch) offered.add(position)
          const tail = batch.at(-1)?.position ?? 0
          if (tail > before) target = Math.max(target, tail)
          const continues = tail > before && (batch[0]?.position ?? 0) <= before + 1
          expect(ring.offer({ events: batch })).toBe(continues ? "grown" : "unchanged")
          if (continues) expect(ring.last).toBeGreaterThanOrEqual(tail)
          else expect(ring.last).toBe(before)
          expect(ring.target).toBe(target)
          expectPiece(ring, given, offered)
        }
      }),
      { numRuns: 2000 }
    )
  })

  it("loses nothing of transactions that come in any order, once each, where there is room", () => {
    const shuffled = fc.array(fc.integer({ min: 1, max: 5 }), { minLength: 1, maxLength: 40 }).chain((lengths) => {
      const batches: Array<ReadonlyArray<LoggedEvent>> = []
      let position = 0
      for (const length of lengths) batches.push(Array.from({ length }, () => event(++position, 1)))
      return fc.shuffledSubarray(batches, { minLength: batches.length })
    })
    fc.assert(
      fc.property(shuffled, (batches) => {
        const ring = new EventRing(0, undefined, { maxEvents: 1000, maxBytes: 1000 }, ({ message }) => message)
        for (const events of batches) ring.offer({ events })
        const count = batches.flat().length
        expect(ring.isBehind).toBe(false)
        const held = ring.after(0, Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY)
        expect(held.map(({ position }) => position)).toEqual(Array.from({ length: count }, (_, index) => index + 1))
      }),
      { numRuns: 1000 }
    )
  })

  it("hands out slices: no more events than asked for, nor bytes, but one at least", () => {
    fc.assert(
      fc.property(
        script,
        fc.nat(),
        fc.integer({ min: 1, max: 10 }),
        fc.integer({ min: 1, max: 60 }),
        (given, place, limit, maxBytes) => {
          const ring = open(given)
          ring.offer({ events: given.log.slice(given.start) })
          const after = ring.first - 1 + (place % (ring.last - ring.first + 2))
          const slice = ring.after(after, limit, maxBytes)
          expect(slice.map(({ position }) => position)).toEqual(slice.map((_, index) => after + 1 + index))
          expect(slice.length).toBeLessThanOrEqual(limit)
          const sizes = slice.map(({ frame }) => frame.length)
          const sizeOf = (count: number) => sizes.slice(0, count).reduce((sum, size) => sum + size, 0)
          expect(sizeOf(slice.length - 1)).toBeLessThanOrEqual(maxBytes)
          const isAll = after + slice.length === ring.last
          if (!isAll) expect(slice.length === limit || sizeOf(slice.length) >= maxBytes).toBe(true)
        }
      ),
      { numRuns: 1000 }
    )
  })

  it("says when another event is known to be at a place, and keeps what it has", () => {
    fc.assert(
      fc.property(script, fc.nat(), fc.nat(), (given, from, changed) => {
        const ring = open(given)
        ring.offer({ events: given.log.slice(given.start) })
        const before = ring.after(ring.first - 1, Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY)
        const batch = given.log.slice(from % given.log.length)
        const at = changed % batch.length
        const other = batch.map((one, index) => (index === at ? event(one.position, 1, "another event") : one))
        const position = other[at]?.position ?? 0
        const isKnown = position >= ring.first - 1 && position <= ring.last
        expect(ring.offer({ events: other })).toBe(isKnown ? "contradicts" : "unchanged")
        expect(ring.after(ring.first - 1, Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY)).toEqual(before)
      }),
      { numRuns: 1000 }
    )
  })
})
