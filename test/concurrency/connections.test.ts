/**
 * Connections that break, and locks that nobody gives back. A call whose connection is lost before its COMMIT is run
 * again; one that is lost in its COMMIT is in doubt, and never run again: its log holds all of it or nothing.
 */
import { expect, layer } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import { ComputePlans } from "../../src/services/ComputePlans.ts"
import { ComputeTasks } from "../../src/services/ComputeTasks.ts"
import { Functions } from "../../src/services/Functions.ts"
import { Database } from "../../src/services/store/Database.ts"
import * as build from "../blackbox/Builders.ts"
import * as calls from "./calls.ts"
import { readLog } from "./Log.ts"
import { violations } from "./LogRules.ts"
import * as Proxy from "./Proxy.ts"
import { Lost, type Options, Postgres, services, servicesAt } from "./support.ts"

const channelLock = "(1869767528, hashtext($1))"

/** Ends a connection of the services from outside, as an administrator or a failover does. */
const terminate = (pid: number) =>
  Effect.flatMap(Postgres, ({ query }) => Effect.asVoid(query("SELECT pg_terminate_backend($1)", [pid])))

/** Runs an effect with services of its own at the same database. */
const withServices = (options: Options) => Effect.provide(servicesAt(options), { local: true })

const renamePlan = (as: calls.Caller, plan: build.Keyed, name = "renamed") =>
  calls.write(
    as,
    Effect.flatMap(ComputePlans, (plans) => plans.update({ key: build.keyOf(plan), name }))
  )

const inDoubt =
  "Unavailable: the connection to the database was lost during the commit: the call may have succeeded, make it again to find out"

layer(services({ poolSize: 9 }), { excludeTestServices: true })("a call", (it) => {
  it.effect("whose connection is lost while it reads is run again", () =>
    Effect.gen(function* () {
      const { as, plan } = yield* calls.openChannel
      const { blocked, connect } = yield* Postgres
      const lost = yield* Lost
      lost.length = 0
      const holder = yield* connect
      yield* holder.query("BEGIN")
      yield* holder.query("SELECT FROM compute_plans WHERE key = $1 FOR UPDATE", [plan.key])
      const renaming = yield* Effect.forkChild(calls.outcome(renamePlan(as, plan)))
      for (const run of [1, 2]) {
        const [pid] = yield* blocked(1)
        yield* terminate(pid as number)
        while ((yield* blocked(1))[0] === pid) yield* Effect.yieldNow
        expect(lost).toHaveLength(run)
      }
      yield* holder.query("ROLLBACK")
      expect(yield* Fiber.join(renaming)).toBe("ok")
      const log = yield* readLog(as.channel)
      expect(violations(log)).toEqual([])
      expect(log.filter(({ event }) => event.assetKey === plan.key)).toHaveLength(2)
    })
  )

  it.effect("that reads one state is run again, whole, when its connection is lost", () =>
    Effect.gen(function* () {
      const { as, task } = yield* calls.openChannel
      const one = task()
      yield* calls.registerTasks(as, one)
      const { blocked, connect } = yield* Postgres
      const holder = yield* connect
      yield* holder.query("BEGIN")
      yield* holder.query("LOCK TABLE functions")
      const reading = yield* Effect.forkChild(
        calls.outcome(
          calls.snapshot(
            as,
            Effect.flatMap(ComputeTasks, (tasks) => tasks.inputAssets(one.key))
          )
        )
      )
      const [pid] = yield* blocked(1)
      yield* terminate(pid as number)
      while ((yield* blocked(1))[0] === pid) yield* Effect.yieldNow
      yield* holder.query("ROLLBACK")
      expect(yield* Fiber.join(reading)).toBe("ok")
    })
  )

  it.effect("whose connection is lost before its writes are sent is run again", () =>
    Effect.gen(function* () {
      const { as, plan } = yield* calls.openChannel
      const { query } = yield* Postgres
      const lost = yield* Lost
      lost.length = 0
      // Once it is gone, another round trip, so that its end has come here too.
      const endIt = Effect.andThen(
        query(
          `SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity
            WHERE datname = current_database() AND state = 'idle in transaction'`
        ),
        query("SELECT 1")
      )
      const renaming = calls.writeThen(
        as,
        Effect.flatMap(ComputePlans, (plans) => plans.update({ key: build.keyOf(plan), name: "renamed" })),
        () => (lost.length === 0 ? endIt : Effect.void)
      )
      expect(yield* calls.outcome(renaming)).toBe("ok")
      expect(lost).toHaveLength(1)
      const log = yield* readLog(as.channel)
      expect(log.filter(({ event }) => event.assetKey === plan.key)).toHaveLength(2)
    })
  )

  it.effect("whose connection is ended while it commits is in doubt, and not run again", () =>
    Effect.gen(function* () {
      const { as } = yield* calls.openChannel
      const { blocked, connect, query, quiet } = yield* Postgres
      const lost = yield* Lost
      lost.length = 0
      const before = (yield* readLog(as.channel)).length
      const holder = yield* connect
      yield* holder.query(`SELECT pg_advisory_lock ${channelLock}`, [as.channel])
      const plan = build.newPlan()
      const registering = yield* Effect.forkChild(calls.outcome(calls.registerPlan(as, plan)))
      const [pid] = yield* blocked(1)
      yield* terminate(pid as number)
      expect(yield* Fiber.join(registering)).toBe(inDoubt)
      yield* holder.query(`SELECT pg_advisory_unlock ${channelLock}`, [as.channel])
      yield* quiet
      expect(yield* query("SELECT FROM compute_plans WHERE key = $1", [plan.key])).toEqual([])
      expect(yield* readLog(as.channel)).toHaveLength(before)
      expect(lost).toEqual([])
      expect(yield* calls.outcome(calls.registerPlan(as, plan))).toBe("ok")
    })
  )

  for (const [cut, again] of [
    ["before the commit", () => "ok"],
    ["after the commit", (key: string) => `Conflict: computeplan with key "${key}" already exists`]
  ] as const) {
    it.effect(`whose connection breaks just ${cut} is in doubt; made again, it tells`, () =>
      Effect.gen(function* () {
        const as = calls.caller("OrgA", build.newKey())
        const { url } = yield* Postgres
        const plan = build.newPlan()
        const proxy = yield* Proxy.make(url, cut)
        const outcomes = yield* Effect.gen(function* () {
          const first = yield* calls.outcome(calls.registerPlan(as, plan))
          yield* proxy.isCut
          return [first, yield* calls.outcome(calls.registerPlan(as, plan))]
        }).pipe(withServices({ poolSize: 3, via: (direct) => Effect.succeed(proxy.via(direct)) }))
        expect(outcomes).toEqual([inDoubt, again(plan.key)])
        const log = yield* readLog(as.channel)
        expect(log.map(({ event }) => event.assetKey)).toEqual([plan.key])
      })
    )
  }

  for (const [what, isLeft] of [
    ["that take long", false],
    ["that take long and that nobody waits for any more", true]
  ] as const) {
    it.effect(`that is quick does not wait for pages ${what}, nor do probes`, () =>
      Effect.gen(function* () {
        const { as, plan } = yield* calls.openChannel
        const { blocked, connect } = yield* Postgres
        const { ping } = yield* Database
        const holder = yield* connect
        yield* holder.query("BEGIN")
        yield* holder.query("LOCK TABLE compute_plans IN ACCESS EXCLUSIVE MODE")
        const page = calls.read(
          as,
          Effect.flatMap(ComputePlans, (plans) =>
            plans.query({ owner: "" }, { cursor: Option.none(), limit: 10, maxBytes: 1e6 })
          )
        )
        const pages = yield* Effect.forkChild(Effect.all([page, page, page], { concurrency: "unbounded" }))
        const before = yield* blocked(1)
        if (isLeft) yield* Fiber.interrupt(pages)
        const find = calls.outcome(
          calls.read(
            as,
            Effect.flatMap(Functions, (functions) => functions.get(build.newKey()))
          )
        )
        // A page that nobody waits for ends within seconds.
        for (let time = 0; time < (isLeft ? 1 : 3); time++) {
          const [, ...found] = yield* Effect.all([ping, find, find, find], { concurrency: "unbounded" })
          for (const outcome of found) expect(outcome).toMatch(/^NotFound/)
        }
        expect(yield* blocked(1)).toEqual(before)
        yield* holder.query("ROLLBACK")
        if (isLeft) return
        for (const { items } of yield* Fiber.join(pages)) expect(items.map(({ key }) => key)).toEqual([plan.key])
      })
    )
  }

  it.effect("finds a connection when all of the pool were lost", () =>
    Effect.gen(function* () {
      const { as } = yield* calls.openChannel
      const { query } = yield* Postgres
      for (let round = 0; round < 5; round++) {
        // Waits until they are gone: one that still answers would be lost later, in the middle of a call.
        yield* query(
          `SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity
            WHERE datname = current_database() AND application_name = 'substra-orchestrator'`
        )
        const outcomes = yield* calls.atOnce(
          ...Array.from({ length: 12 }, () => calls.registerPlan(as, build.newPlan())),
          ...Array.from({ length: 12 }, () =>
            calls.read(
              as,
              Effect.flatMap(ComputePlans, (plans) => plans.isRunning(build.newKey()))
            )
          )
        )
        expect(new Set(outcomes.slice(0, 12))).toEqual(new Set(["ok"]))
        for (const outcome of outcomes.slice(12)) expect(outcome).toMatch(/^NotFound/)
      }
    })
  )

  it.effect("that succeeds is in the log once, and one in doubt at most once, however many connections are lost", () =>
    Effect.gen(function* () {
      const as = calls.caller("OrgA", build.newKey())
      const { query } = yield* Postgres
      const outcomes = new Map<string, string>()
      const writing = yield* Effect.forkChild(
        Effect.forEach(
          Array.from({ length: 400 }, () => build.newPlan()),
          (plan) =>
            Effect.map(calls.outcome(calls.registerPlan(as, plan)), (outcome) => outcomes.set(plan.key, outcome)),
          { concurrency: 8, discard: true }
        )
      )
      const endOne = query(
        `SELECT pg_terminate_backend(pid) FROM (SELECT pid FROM pg_stat_activity
          WHERE datname = current_database() AND application_name = 'substra-orchestrator' AND state <> 'idle'
          ORDER BY random() LIMIT 1) one`
      )
      yield* Effect.repeat(endOne, { until: () => writing.pollUnsafe() !== undefined })
      const log = yield* readLog(as.channel)
      expect(violations(log)).toEqual([])
      const logged = new Set(log.map(({ event }) => event.assetKey))
      expect(logged.size).toBe(log.length)
      for (const [key, outcome] of outcomes) {
        if (outcome === "ok") expect(logged).toContain(key)
        else expect(outcome).toBe(inDoubt)
      }
      const rows = yield* query("SELECT key FROM compute_plans WHERE channel = $1", [as.channel])
      expect(new Set(rows.map(({ key }) => key))).toEqual(logged)
    })
  )

  it.effect("that a lock holds up for too long is run again, until its budget is used up", () =>
    Effect.gen(function* () {
      const { as, plan } = yield* calls.openChannel
      const other = build.newPlan()
      yield* calls.registerPlan(as, other)
      const { blocked, connect } = yield* Postgres
      const lost = yield* Lost
      lost.length = 0
      const holder = yield* connect
      yield* holder.query("BEGIN")
      yield* holder.query("SELECT FROM compute_plans WHERE key IN ($1, $2) FOR UPDATE", [plan.key, other.key])
      const patient = yield* Effect.forkChild(calls.outcome(renamePlan(as, plan)))
      const impatient = yield* Effect.forkChild(
        calls.outcome(renamePlan(as, other)).pipe(withServices({ poolSize: 3, retryBudget: Duration.seconds(1) }))
      )
      yield* blocked(2)
      expect(yield* Fiber.join(impatient)).toBe(
        "Unavailable: lost to concurrent calls 1 times within 1s, try again later"
      )
      while (lost.length === 0) yield* blocked(1)
      yield* blocked(1)
      yield* holder.query("ROLLBACK")
      expect(yield* Fiber.join(patient)).toBe("ok")
      expect(lost).toEqual(["55P03"])
    })
  )
})
