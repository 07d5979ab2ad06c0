/**
 * Many writers on one channel: what they append to its log is one row of events without gaps, in the order of their
 * commits, and nobody is lost to anybody.
 */
import { expect, layer } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as build from "../blackbox/Builders.ts"
import * as calls from "./calls.ts"
import { readLog } from "./Log.ts"
import { violations } from "./LogRules.ts"
import { Lost, Postgres, services } from "./support.ts"

const writers = 64
const plansEach = 25

layer(services(), { excludeTestServices: true })("many writers on one channel", (it) => {
  it.effect("make a log without gaps, in the order of their commits", () =>
    Effect.gen(function* () {
      const as = calls.caller("OrgA", build.newKey())
      const { query } = yield* Postgres
      const lost = yield* Lost

      // Whoever looks at the log while it is written sees all of it up to its head: nothing comes in behind that.
      const hasEnded = yield* Deferred.make<void>()
      const heads: Array<number> = []
      const look = Effect.map(
        query("SELECT count(*)::int AS count, coalesce(max(position), 0)::int AS head FROM events WHERE channel = $1", [
          as.channel
        ]),
        ([row]) => {
          expect(row?.count).toBe(row?.head)
          heads.push(Number(row?.head))
        }
      )
      const looking = yield* Effect.forkChild(Effect.repeat(look, { until: () => Deferred.isDoneUnsafe(hasEnded) }))

      // Events of a call that was answered come before those of a call that was made after it.
      let answered = 0
      const calledAfter = new Map<string, number>()
      const positions = new Map<string, number>()
      const plan = Effect.gen(function* () {
        const message = build.newPlan()
        calledAfter.set(message.key, answered)
        yield* calls.registerPlan(as, message)
        answered++
      })
      yield* Effect.forEach(Array.from({ length: writers }), () => Effect.repeat(plan, { times: plansEach - 1 }), {
        concurrency: "unbounded",
        discard: true
      })
      yield* Deferred.succeed(hasEnded, undefined)
      yield* Fiber.join(looking)

      const log = yield* readLog(as.channel)
      expect(violations(log)).toEqual([])
      expect(log).toHaveLength(writers * plansEach)
      expect(new Set(log.map(({ event }) => event.assetKey)).size).toBe(writers * plansEach)
      for (const { event, position } of log) positions.set(event.assetKey, position)
      for (const [key, before] of calledAfter) expect(positions.get(key)).toBeGreaterThan(before)
      expect(heads).toEqual(heads.toSorted((a, b) => a - b))
      expect(lost).toEqual([])
    })
  )

  it.effect("keep the events of each transaction together", () =>
    Effect.gen(function* () {
      const as = calls.caller("OrgA", build.newKey())
      const batches = Array.from({ length: writers }, () => Array.from({ length: 10 }, () => build.newDataSample()))
      const outcomes = yield* calls.atOnce(...batches.map((batch) => calls.registerSamples(as, batch)))
      expect(new Set(outcomes)).toEqual(new Set(["ok"]))
      const log = yield* readLog(as.channel)
      expect(violations(log)).toEqual([])
      const keys = log.map(({ event }) => event.assetKey)
      for (const batch of batches) {
        const start = keys.indexOf(batch[0]?.key ?? "")
        expect(keys.slice(start, start + batch.length)).toEqual(batch.map(({ key }) => key))
      }
    })
  )

  it.effect("of two channels do not know of one another", () =>
    Effect.gen(function* () {
      const channels = Array.from({ length: 4 }, () => calls.caller("OrgA", build.newKey()))
      const outcomes = yield* calls.atOnce(
        ...Array.from({ length: writers }, (_, index) =>
          calls.registerPlan(channels[index % channels.length] as calls.Caller, build.newPlan())
        )
      )
      expect(new Set(outcomes)).toEqual(new Set(["ok"]))
      for (const { channel } of channels) {
        const log = yield* readLog(channel)
        expect(violations(log)).toEqual([])
        expect(log).toHaveLength(writers / channels.length)
      }
    })
  )
})
