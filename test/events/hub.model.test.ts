/** The hub against a plain list: whatever happens around it, each subscriber gets the log, all of it, once, in order. */
import * as Effect from "effect/Effect"
import * as TestClock from "effect/testing/TestClock"
import fc from "fast-check"
import { expect, test } from "vitest"
import type { ChannelName } from "../../src/schema/Key.ts"
import { settle, World } from "./HubWorld.ts"

const channels = ["one", "two"] as Array<ChannelName>
const channel = fc.constantFrom(...channels)
const share = fc.double({ min: 0, max: 0.999, noNaN: true })

/** One thing that happens. Subscribers are named by any number, modulo how many there are. */
const step = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      kind: fc.constant("append" as const),
      channel,
      count: fc.integer({ min: 1, max: 5 }),
      told: fc.constantFrom("published", "published", "later", "never")
    })
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("burst" as const), channel }) },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant("overtaken" as const),
      channel,
      first: fc.constantFrom("later" as const, "never" as const),
      second: fc.constantFrom("published" as const, "never" as const),
      millis: fc.constantFrom(0, 0, 2)
    })
  },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant("publishHeld" as const), index: fc.nat(20) }) },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant("signal" as const),
      channel,
      says: fc.constantFrom("head", "twice", "old", "too much", "all")
    })
  },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant("subscribe" as const), channel, share }) },
  { weight: 10, arbitrary: fc.record({ kind: fc.constant("take" as const), who: fc.nat(50) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("leave" as const), who: fc.nat(50) }) },
  {
    weight: 4,
    arbitrary: fc.record({ kind: fc.constant("wait" as const), millis: fc.constantFrom(1, 2, 10, 250, 1500) })
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("fail" as const), reads: fc.integer({ min: 1, max: 30 }) }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant("slow" as const), millis: fc.constantFrom(0, 3, 3, 700) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("restart" as const) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("drain" as const) }) },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant("failover" as const),
      channel,
      lost: fc.integer({ min: 1, max: 8 }),
      refill: fc.option(fc.nat(12), { nil: "the same" as const }),
      published: fc.nat(2)
    })
  }
)
type Step = typeof step extends fc.Arbitrary<infer S> ? S : never

const ring = { maxEvents: 6, maxBytes: 1500 }
const batchSize = 4

const act = (world: World, happens: Step): Effect.Effect<void> => {
  const who = (index: number) => world.subscribers[index % Math.max(1, world.subscribers.length)]
  switch (happens.kind) {
    case "append":
      return world.append(happens.channel, happens.count, happens.told as never)
    case "burst":
      return world.append(happens.channel, 40, "never")
    case "overtaken":
      // The second transaction is heard of before the first, which may be told in the middle of a read for both.
      return Effect.all(
        [
          world.append(happens.channel, 2, happens.first),
          world.append(happens.channel, 2, happens.second),
          world.signal([[happens.channel, world.log(happens.channel).length + 4]]),
          settle,
          TestClock.adjust(happens.millis),
          happens.millis === 0 ? Effect.void : world.publishHeld(0)
        ],
        { discard: true }
      )
    case "publishHeld":
      return world.publishHeld(happens.index)
    case "signal": {
      const head = world.log(happens.channel).length
      switch (happens.says) {
        case "all":
          return world.signal("all")
        case "old":
          return world.signal([[happens.channel, Math.floor(head / 2)]])
        case "too much":
          return world.signal([[happens.channel, head + 3]])
        default: {
          const signal = world.signal([[happens.channel, head]])
          return happens.says === "twice" ? Effect.andThen(signal, signal) : signal
        }
      }
    }
    case "subscribe":
      return world.take(world.add(happens.channel, happens.share))
    case "take": {
      const subscriber = who(happens.who)
      return subscriber === undefined ? Effect.void : world.take(subscriber)
    }
    case "leave": {
      const subscriber = who(happens.who)
      return subscriber === undefined ? Effect.void : world.leave(subscriber)
    }
    case "wait":
      return TestClock.adjust(happens.millis)
    case "fail":
      return Effect.sync(() => {
        world.failing = happens.reads
      })
    case "slow":
      return Effect.sync(() => {
        world.delay = happens.millis
      })
    case "restart":
      return world.restart(ring, batchSize)
    case "drain":
      return Effect.andThen(world.drain(), Effect.andThen(settle, world.restart(ring, batchSize)))
    case "failover":
      return Effect.andThen(
        world.failover(happens.channel, happens.lost, happens.refill === "the same" ? happens.lost : happens.refill),
        Effect.forEach(Array(happens.published), () => world.append(happens.channel, 1, "published"), { discard: true })
      )
  }
}

/** With nothing in the way any more, everybody reads on: by the look at the log alone. */
const catchUp = (world: World) =>
  Effect.gen(function* () {
    world.failing = 0
    world.delay = 0
    const behind = () => world.subscribers.filter(({ channel, position }) => position < world.log(channel).length)
    for (let turn = 0; turn < 400; turn++) {
      for (const subscriber of world.subscribers) yield* world.take(subscriber)
      yield* turn % 8 === 7 ? TestClock.adjust(1000) : settle
      if (turn > 20 && behind().length === 0) break
    }
    for (const { channel, end, position } of behind()) {
      world.wrong.push(`a subscriber of ${channel} stays at ${position} of ${world.log(channel).length}: ${end}`)
    }
    for (const { channel, id, position } of world.subscribers) {
      if (position > 0 && world.log(channel)[position - 1]?.id !== id) world.wrong.push(`${id} is not in the log`)
    }
  })

const run = (steps: ReadonlyArray<Step>): Effect.Effect<World> =>
  Effect.gen(function* () {
    const world = new World()
    yield* world.append(channels[0] as ChannelName, 9, "never")
    yield* world.restart(ring, batchSize)
    for (const happens of steps) {
      yield* act(world, happens)
      yield* settle
    }
    yield* catchUp(world)
    for (const subscriber of world.subscribers) yield* world.leave(subscriber)
    yield* world.close
    return world
  })

// The suite goes one way, always the same; SEED and MODEL_SECONDS explore others.
const seed = Number(process.env.SEED ?? 20261124)
const seconds = Number(process.env.MODEL_SECONDS ?? 12)
const maxRuns = process.env.SEED === undefined ? 1000 : 1_000_000

test(
  `each subscriber gets the log after its start, in order, once (SEED=${seed})`,
  async () => {
    let runs = 0
    let deliveries = 0
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 60, size: "max" }), async (steps) => {
        const world = await Effect.runPromise(Effect.provide(run(steps), TestClock.layer()))
        runs++
        deliveries += world.deliveries
        expect(world.wrong).toEqual([])
      }),
      { seed, numRuns: maxRuns, interruptAfterTimeLimit: seconds * 1000, markInterruptAsFailure: false }
    )
    console.log(`${runs} runs, ${deliveries} deliveries, seed ${seed}`)
  },
  (seconds + 60) * 1000
)
