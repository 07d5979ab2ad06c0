/** The log: positions and timestamps as transactions come, and events as they are read. */
import { expect, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import type { LoggedEvent } from "../../schema/Event.ts"
import type { ChannelName } from "../../schema/Key.ts"
import { ComputePlanStore } from "../../services/store/ComputePlanStore.ts"
import { EventLog } from "../../services/store/EventLog.ts"
import { emitEvents, UnitOfWork } from "../../services/store/UnitOfWork.ts"
import * as build from "./builders.ts"
import { commit, found, plain, prepare, run, type Store } from "./support.ts"

/** Events of one transaction. */
const append = (channel: ChannelName, count: number) =>
  Effect.map(run(channel, emitEvents(Array.from({ length: count }, () => build.event()))), ([, events]) => events)

/** Events of transactions in a row, so many each. */
const appendAll = (channel: ChannelName, ...counts: ReadonlyArray<number>) =>
  Effect.map(
    Effect.forEach(counts, (count) => append(channel, count)),
    (events) => events.flat()
  )

/** Bytes for any number of these events. */
const plenty = 1_000_000

const whole = (channel: ChannelName) =>
  Effect.flatMap(EventLog, (log) =>
    Effect.map(log.read(channel, { after: 0, upTo: 1_000_000, limit: 1_000_000, maxBytes: plenty }), (events) =>
      events.map(plain)
    )
  )

const positions = (events: ReadonlyArray<{ readonly position: number }>) => events.map((event) => event.position)

const upTo = (count: number) => Array.from({ length: count }, (_, index) => index + 1)

export const suite = <E>(name: string, store: Layer.Layer<Store, E>) =>
  layer(store, { excludeTestServices: true })(`${name}: the event log`, (it) => {
    it.effect("gives each event the next position, in the order in which they were made", () =>
      Effect.gen(function* () {
        const channel = build.channel()
        const committed = yield* appendAll(channel, 2, 1, 3)
        expect(positions(committed)).toEqual(upTo(6))
        expect(yield* whole(channel)).toEqual(committed.map(plain))
      })
    )

    it.effect("keeps an event as it was made ready: its channel, id and message", () =>
      Effect.gen(function* () {
        const log = yield* EventLog
        const channel = build.channel()
        const message = Uint8Array.from({ length: 256 }, (_, byte) => byte)
        const [prepared] = yield* prepare([build.event()])
        if (prepared === undefined) return
        const ready = Effect.succeed([{ ...prepared, message }])
        const [, committed] = yield* run(channel, emitEvents([prepared.event]), { prepare: () => ready })
        const expected = { channel, position: 1, id: prepared.id, message: Array.from(message) }
        expect(committed.map(plain)).toMatchObject([expected])
        expect((yield* log.read(channel, { after: 0, upTo: 1, limit: 1, maxBytes: plenty })).map(plain)).toMatchObject([
          expected
        ])
      })
    )

    it.effect("counts each channel for itself", () =>
      Effect.gen(function* () {
        const [one, other] = [build.channel(), build.channel()]
        yield* append(one, 3)
        expect(positions(yield* append(other, 2))).toEqual([1, 2])
        expect(positions(yield* append(one, 1))).toEqual([4])
        expect((yield* whole(other)).map((event) => event.channel)).toEqual([other, other])
      })
    )

    it.effect("leaves no gap where a transaction came to nothing", () =>
      Effect.gen(function* () {
        const channel = build.channel()
        yield* append(channel, 1)
        yield* Effect.flip(run(channel, Effect.andThen(emitEvents([build.event()]), Effect.fail("refused"))))
        expect(positions(yield* append(channel, 1))).toEqual([2])
      })
    )

    it.effect("gives the events of a transaction its time, or that of the last event where that is later", () =>
      Effect.gen(function* () {
        const channel = build.channel()
        let last = 0
        for (let n = 0; n < 5; n++) {
          const body = Effect.gen(function* () {
            yield* emitEvents([build.event(), build.event()])
            return yield* Effect.flatMap(UnitOfWork, (unit) => unit.now)
          })
          const [time, committed] = yield* run(channel, body)
          last = Math.max(time, last)
          expect(committed.map((event) => event.timestamp)).toEqual([last, last])
        }
        const timestamps = (yield* whole(channel)).map((event) => event.timestamp)
        expect(timestamps).toEqual(timestamps.toSorted((a, b) => a - b))
      })
    )

    it.effect("gives concurrent transactions dense positions, each its own together, and no time goes back", () =>
      Effect.gen(function* () {
        const channel = build.channel()
        const counts = Array.from({ length: 24 }, (_, n) => (n % 3) + 1)
        const committed = yield* Effect.forEach(counts, (count) => append(channel, count), {
          concurrency: "unbounded"
        })
        for (const events of committed) {
          const first = events[0]?.position ?? 0
          expect(positions(events)).toEqual(events.map((_, index) => first + index))
          expect(new Set(events.map((event) => event.timestamp)).size).toBe(1)
        }
        const events = yield* whole(channel)
        expect(positions(events)).toEqual(upTo(48))
        expect(events).toEqual(
          committed
            .flat()
            .toSorted((a, b) => a.position - b.position)
            .map(plain)
        )
        const timestamps = events.map((event) => event.timestamp)
        expect(timestamps).toEqual(timestamps.toSorted((a, b) => a - b))
      })
    )

    it.effect("puts what saw another transaction's change after that transaction's events", () =>
      Effect.gen(function* () {
        const plans = yield* ComputePlanStore
        const channel = build.channel()
        const plan = build.computePlan({ name: "" })
        yield* commit(channel, plans.insert(channel, plan))
        const grow = run(
          channel,
          Effect.gen(function* () {
            const [locked] = yield* plans.lock(channel, [plan.key])
            const name = `${locked?.name}x`
            yield* plans.update(channel, [{ ...plan, name }])
            yield* emitEvents([build.event()])
            return name.length
          })
        )
        const runs = yield* Effect.all(
          Array.from({ length: 16 }, () => grow),
          { concurrency: "unbounded" }
        )
        for (const [turn, events] of runs) expect(positions(events)).toEqual([turn])
        expect((yield* found(plans.find(channel, plan.key)))?.name).toHaveLength(16)
      })
    )

    it.effect("shows the events of a transaction in one piece", () =>
      Effect.gen(function* () {
        const log = yield* EventLog
        const channel = build.channel()
        const writing = Effect.forEach(Array.from({ length: 10 }), () => append(channel, 5), { discard: true })
        const seen: Array<number> = []
        const reading = Effect.forEach(
          Array.from({ length: 40 }),
          () =>
            Effect.gen(function* () {
              seen.push((yield* log.read(channel, { after: 0, upTo: 1000, limit: 1000, maxBytes: plenty })).length)
              seen.push((yield* log.heads([channel])).get(channel) ?? -1)
              yield* Effect.yieldNow
            }),
          { discard: true }
        )
        yield* Effect.all([writing, reading], { concurrency: "unbounded" })
        expect(seen.filter((count) => count % 5 !== 0)).toEqual([])
      })
    )

    it.effect("reads from behind one position to another, so many at most", () =>
      Effect.gen(function* () {
        const log = yield* EventLog
        const channel = build.channel()
        const events = yield* appendAll(channel, 4, 3)
        const read = (after: number, upTo: number, limit: number) =>
          Effect.map(
            log.read(channel, { after, upTo, limit, maxBytes: plenty }),
            (events: ReadonlyArray<LoggedEvent>) => events.map(plain)
          )
        const expected = (from: number, to: number) => events.slice(from, to).map(plain)
        expect(yield* read(0, 7, 100)).toEqual(expected(0, 7))
        expect(yield* read(2, 5, 100)).toEqual(expected(2, 5))
        expect(yield* read(2, 5, 2)).toEqual(expected(2, 4))
        expect(yield* read(0, 7, 7)).toEqual(expected(0, 7))
        expect(yield* read(5, 100, 100)).toEqual(expected(5, 7))
        expect(yield* read(7, 100, 100)).toEqual([])
        expect(yield* read(3, 3, 100)).toEqual([])
        expect(yield* read(50, 100, 100)).toEqual([])
        expect(yield* log.read(build.channel(), { after: 0, upTo: 7, limit: 100, maxBytes: plenty })).toEqual([])
      })
    )

    it.effect("reads no more events than fill so many bytes, but one at least", () =>
      Effect.gen(function* () {
        const log = yield* EventLog
        const channel = build.channel()
        const events = yield* append(channel, 6)
        const size = events[0]?.message.length ?? 0
        expect(new Set(events.map((event) => event.message.length))).toEqual(new Set([size]))
        const read = (after: number, limit: number, maxBytes: number) =>
          Effect.map(log.read(channel, { after, upTo: 6, limit, maxBytes }), positions)
        expect(yield* read(0, 100, 6 * size)).toEqual([1, 2, 3, 4, 5, 6])
        expect(yield* read(0, 100, 3 * size)).toEqual([1, 2, 3])
        expect(yield* read(3, 100, 2 * size)).toEqual([4, 5])
        expect(yield* read(3, 1, 2 * size)).toEqual([4])
        expect(yield* read(2, 100, 1)).toEqual([3])
        expect(yield* read(6, 100, 1)).toEqual([])
      })
    )

    it.effect("knows the position of its own events only", () =>
      Effect.gen(function* () {
        const log = yield* EventLog
        const [channel, elsewhere] = [build.channel(), build.channel()]
        const events = yield* appendAll(channel, 2, 2)
        for (const { id, position } of events) {
          expect(yield* found(log.positionOf(channel, id))).toBe(position)
          expect(yield* found(log.positionOf(elsewhere, id))).toBeUndefined()
        }
        expect(yield* found(log.positionOf(channel, build.key()))).toBeUndefined()
      })
    )

    it.effect("tells the last position of each channel, 0 where nothing happened", () =>
      Effect.gen(function* () {
        const log = yield* EventLog
        const [one, other, empty] = [build.channel(), build.channel(), build.channel()]
        yield* appendAll(one, 2, 1)
        yield* append(other, 1)
        expect(yield* log.heads([one, empty, other])).toEqual(
          new Map([
            [one, 3],
            [empty, 0],
            [other, 1]
          ])
        )
        expect(yield* log.heads([])).toEqual(new Map())
      })
    )

    it.effect("tells the ids of the events at places, and none where there is no event", () =>
      Effect.gen(function* () {
        const log = yield* EventLog
        const [one, other, empty] = [build.channel(), build.channel(), build.channel()]
        const events = yield* appendAll(one, 2, 1)
        const [only] = yield* append(other, 1)
        expect(
          yield* log.idsAt([
            [one, 2],
            [other, 1],
            [empty, 1]
          ])
        ).toEqual(
          new Map([
            [one, events[1]?.id],
            [other, only?.id]
          ])
        )
        expect(yield* log.idsAt([[one, 4]])).toEqual(new Map())
        expect(yield* log.idsAt([])).toEqual(new Map())
      })
    )

    it.effect("reads on from an event only where that event is the one it is said to be", () =>
      Effect.gen(function* () {
        const log = yield* EventLog
        const channel = build.channel()
        const [first, second, third] = yield* appendAll(channel, 3)
        const after = (position: number, id: string | undefined) =>
          Effect.map(
            log.read(channel, { after: position, upTo: 10, limit: 10, maxBytes: plenty, afterId: id }),
            positions
          )
        expect(yield* after(1, first?.id)).toEqual([2, 3])
        expect(yield* after(1, second?.id)).toEqual([])
        expect(yield* after(3, third?.id)).toEqual([])
        expect(yield* after(4, third?.id)).toEqual([])
      })
    )
  })
