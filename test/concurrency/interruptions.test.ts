/**
 * A call that its client gives up leaves nothing behind, wherever it stands: no row, no event, no open transaction, no
 * lock, and no connection that others would miss. Once its COMMIT is sent, it stands whole.
 */
import { expect, layer } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as PubSub from "effect/PubSub"
import { ComputePlans } from "../../src/services/ComputePlans.ts"
import { Database } from "../../src/services/store/Database.ts"
import { CommittedEvents } from "../../src/services/Transaction.ts"
import { work } from "../../src/testing/suites/support.ts"
import * as build from "../blackbox/Builders.ts"
import * as calls from "./calls.ts"
import { readLog } from "./Log.ts"
import { Lost, Postgres, services } from "./support.ts"

/** Three connections write. */
const poolSize = 5
const writers = 3

/** A channel, and what it looks like from outside. */
const open = Effect.gen(function* () {
  const { as, plan } = yield* calls.openChannel
  const { query, quiet } = yield* Postgres
  const plans = Effect.map(
    query("SELECT name FROM compute_plans WHERE channel = $1 ORDER BY name", [as.channel]),
    (rows) => rows.map(({ name }) => name)
  )
  const before = (yield* readLog(as.channel)).length

  /** Nothing is left of a call, and there are connections for more calls than there are connections. */
  const expectNothing = Effect.gen(function* () {
    yield* quiet
    expect(yield* plans).toEqual(["plan"])
    expect(yield* readLog(as.channel)).toHaveLength(before)
    const outcomes = yield* calls.atOnce(
      ...Array.from({ length: 3 * writers }, () => calls.registerPlan(as, build.newPlan({ name: "later" })))
    )
    expect(new Set(outcomes)).toEqual(new Set(["ok"]))
  })

  return { as, plan, plans, before, expectNothing }
})

/** Interrupts a call and expects that to be how it ends. */
const interrupt = <A, E>(fiber: Fiber.Fiber<A, E>) =>
  Effect.gen(function* () {
    yield* Fiber.interrupt(fiber)
    expect(Exit.hasInterrupts(yield* Fiber.await(fiber))).toBe(true)
  })

const renamePlan = (as: calls.Caller, key: string) =>
  calls.write(
    as,
    Effect.flatMap(ComputePlans, (plans) => plans.update({ key, name: "renamed" }))
  )

layer(services({ poolSize }), { excludeTestServices: true })("a call that is interrupted", (it) => {
  it.effect("while it waits for a connection leaves nothing", () =>
    Effect.gen(function* () {
      const { as, expectNothing } = yield* open
      const mayEnd = yield* Deferred.make<void>()
      const held = yield* Effect.forEach(Array.from({ length: writers }), () => Deferred.make<void>())
      const holders = yield* Effect.forEach(held, (isHeld) =>
        Effect.forkChild(
          calls.writeThen(
            as,
            Effect.flatMap(ComputePlans, (plans) => plans.register(build.newPlan())),
            () =>
              Effect.andThen(
                Deferred.succeed(isHeld, undefined),
                Effect.andThen(Deferred.await(mayEnd), Effect.fail("no"))
              )
          )
        )
      )
      yield* Effect.forEach(held, (isHeld) => Deferred.await(isHeld))
      const waiting = yield* Effect.forkChild(calls.registerPlan(as, build.newPlan()), { startImmediately: true })
      yield* interrupt(waiting)
      yield* Deferred.succeed(mayEnd, undefined)
      for (const holder of holders) expect(yield* Effect.flip(Fiber.join(holder))).toBe("no")
      yield* expectNothing
    })
  )

  it.effect("while it waits for a lock leaves nothing, and the lock is still waited for by nobody", () =>
    Effect.gen(function* () {
      const { as, expectNothing, plan } = yield* open
      const { blocked, connect } = yield* Postgres
      const holder = yield* connect
      yield* holder.query("BEGIN")
      yield* holder.query("SELECT FROM compute_plans WHERE key = $1 FOR UPDATE", [plan.key])
      // More calls, one after the other, than there are connections: none may keep one.
      for (let index = 0; index < 2 * writers; index++) {
        const renaming = yield* Effect.forkChild(renamePlan(as, plan.key))
        yield* blocked(1)
        const [duration] = yield* Effect.timed(interrupt(renaming))
        // The lock would be given up after 5 seconds.
        expect(Duration.toSeconds(duration)).toBeLessThan(4)
      }
      yield* expectNothing
      yield* holder.query("ROLLBACK")
    })
  )

  it.effect("once it has read leaves nothing", () =>
    Effect.gen(function* () {
      const { as, expectNothing } = yield* open
      const hasRead = yield* Deferred.make<void>()
      const registering = yield* Effect.forkChild(
        calls.write(
          as,
          Effect.gen(function* () {
            yield* (yield* ComputePlans).register(build.newPlan())
            yield* Deferred.succeed(hasRead, undefined)
            return yield* Effect.never
          })
        )
      )
      yield* Deferred.await(hasRead)
      yield* interrupt(registering)
      yield* expectNothing
    })
  )

  it.effect("while its events are made ready leaves nothing", () =>
    Effect.gen(function* () {
      const { as, expectNothing } = yield* open
      const database = yield* Database
      const isPreparing = yield* Deferred.make<void>()
      const body = Effect.flatMap(ComputePlans, (plans) => plans.register(build.newPlan()))
      const registering = yield* Effect.forkChild(
        database.run(as.channel, {
          ...work(calls.by(as, body)),
          prepare: () => Effect.andThen(Deferred.succeed(isPreparing, undefined), Effect.never)
        })
      )
      yield* Deferred.await(isPreparing)
      yield* interrupt(registering)
      yield* expectNothing
    })
  )

  it.effect("while its answer is made leaves nothing", () =>
    Effect.gen(function* () {
      const { as, expectNothing } = yield* open
      const isAnswering = yield* Deferred.make<void>()
      const registering = yield* Effect.forkChild(
        calls.writeThen(
          as,
          Effect.flatMap(ComputePlans, (plans) => plans.register(build.newPlan())),
          () => Effect.andThen(Deferred.succeed(isAnswering, undefined), Effect.never)
        )
      )
      yield* Deferred.await(isAnswering)
      yield* interrupt(registering)
      yield* expectNothing
    })
  )

  it.effect("while its COMMIT is under way stands whole", () =>
    Effect.gen(function* () {
      const { as, before, plans } = yield* open
      const { blocked, connect, quiet } = yield* Postgres
      const holder = yield* connect
      const lock = "(1869767528, hashtext($1))"
      yield* holder.query(`SELECT pg_advisory_lock ${lock}`, [as.channel])
      const registering = yield* Effect.forkChild(calls.registerPlan(as, build.newPlan({ name: "stands" })))
      yield* blocked(1)
      const interrupting = yield* Effect.forkChild(Fiber.interrupt(registering), { startImmediately: true })
      // Longer than a transaction that is not to be gets to end in order.
      yield* Effect.raceFirst(Fiber.await(interrupting), holder.query("SELECT pg_sleep(1)"))
      expect(interrupting.pollUnsafe()).toBeUndefined()
      yield* holder.query(`SELECT pg_advisory_unlock ${lock}`, [as.channel])
      yield* Fiber.join(interrupting)
      yield* quiet
      expect(yield* plans).toEqual(["plan", "stands"])
      expect(yield* readLog(as.channel)).toHaveLength(before + 1)
    })
  )

  it.effect("while its COMMIT is under way is told to subscribers all the same", () =>
    Effect.gen(function* () {
      const { as, before } = yield* open
      const { blocked, connect } = yield* Postgres
      const committed = yield* PubSub.subscribe(yield* CommittedEvents)
      const holder = yield* connect
      const lock = "(1869767528, hashtext($1))"
      yield* holder.query(`SELECT pg_advisory_lock ${lock}`, [as.channel])
      const registering = yield* Effect.forkChild(calls.registerPlan(as, build.newPlan()))
      yield* blocked(1)
      const interrupting = yield* Effect.forkChild(Fiber.interrupt(registering), { startImmediately: true })
      yield* holder.query(`SELECT pg_advisory_unlock ${lock}`, [as.channel])
      yield* Fiber.join(interrupting)
      const next = yield* Effect.forkChild(calls.registerPlan(as, build.newPlan()))
      yield* Fiber.join(next)
      const told = [...(yield* PubSub.takeAll(committed))].flatMap(({ events }) => events)
      expect(told.map(({ position }) => position)).toEqual([before + 1, before + 2])
    })
  )

  it.effect("at any other moment is there with its event, or not at all", () =>
    Effect.gen(function* () {
      const { as } = yield* open
      const { query, quiet } = yield* Postgres
      const lost = yield* Lost
      const rounds = 300
      for (let index = 0; index < rounds; index++) {
        const fiber = yield* Effect.forkChild(calls.registerPlan(as, build.newPlan({ name: `round ${index}` })))
        for (let yields = 0; yields < index % 60; yields++) yield* Effect.yieldNow
        yield* Fiber.interrupt(fiber)
      }
      yield* quiet
      const rows = yield* query("SELECT key FROM compute_plans WHERE channel = $1 AND name LIKE 'round%'", [as.channel])
      const log = yield* readLog(as.channel)
      const logged = log.filter(({ asset }) => asset.$case === "computePlan" && asset.value.name.startsWith("round"))
      expect(logged.map(({ event }) => event.assetKey).toSorted()).toEqual(rows.map(({ key }) => key).toSorted())
      expect(lost).toEqual([])
      expect(rows.length).toBeGreaterThan(0)
      expect(rows.length).toBeLessThan(rounds)
    })
  )
})
