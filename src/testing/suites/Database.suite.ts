/** Transactions: all or nothing, one after the other on the same rows, and their time. */
import { expect, layer } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import type { ChannelName } from "../../schema/Key.ts"
import { ComputePlanStore } from "../../services/store/ComputePlanStore.ts"
import { type Committed, Database } from "../../services/store/Database.ts"
import { DataSampleStore } from "../../services/store/DataSampleStore.ts"
import { EventLog } from "../../services/store/EventLog.ts"
import { ProfilingStore } from "../../services/store/ProfilingStore.ts"
import { emitEvents, readTogether, UnitOfWork } from "../../services/store/UnitOfWork.ts"
import * as build from "./builders.ts"
import { all } from "./pages.ts"
import { commit, defectOf, found, inTurn, plain, prepare, run, type Store, unbound, work } from "./support.ts"

/** Puts down a fresh plan with its event, and stores a profiling step. */
const put = Effect.fnUntraced(function* (channel: ChannelName) {
  const plans = yield* ComputePlanStore
  const profiling = yield* ProfilingStore
  const plan = build.computePlan()
  yield* plans.insert(channel, plan)
  yield* emitEvents([build.event(plan)])
  expect(yield* profiling.add(channel, step)).toBe(true)
  return plan
})

const step = build.profilingStep()

/** Nothing of `put` is there. */
const expectNothing = Effect.fnUntraced(function* (channel: ChannelName) {
  const plans = yield* ComputePlanStore
  const profiling = yield* ProfilingStore
  const log = yield* EventLog
  expect(yield* all((request) => plans.page(channel, {}, request))).toEqual([])
  expect(yield* log.heads([channel])).toEqual(new Map([[channel, 0]]))
  expect(yield* log.read(channel, { after: 0, upTo: 10, limit: 10, maxBytes: 1000 })).toEqual([])
  expect(yield* commit(channel, profiling.add(channel, step))).toBe(true)
})

export const suite = <E>(name: string, store: Layer.Layer<Store, E>) =>
  layer(store, { excludeTestServices: true })(`${name}: transactions`, (it) => {
    it.effect("store writes and events together, and answer with what the body and the log gave", () =>
      Effect.gen(function* () {
        const plans = yield* ComputePlanStore
        const log = yield* EventLog
        const channel = build.channel()
        const [plan, committed] = yield* run(channel, put(channel))
        expect(yield* found(plans.find(channel, plan.key))).toEqual(plan)
        expect(committed).toHaveLength(1)
        expect((yield* log.read(channel, { after: 0, upTo: 1, limit: 10, maxBytes: 1000 })).map(plain)).toEqual(
          committed.map(plain)
        )
      })
    )

    it.effect("stand whole once they are answered, also those of many large writes", () =>
      Effect.gen(function* () {
        const samples = yield* DataSampleStore
        const log = yield* EventLog
        const channel = build.channel()
        const batches = Array.from({ length: 60 }, () =>
          build.keys(500).map((key) => build.dataSample({ key, dataManagerKeys: [] }))
        )
        const [, committed] = yield* run(
          channel,
          Effect.gen(function* () {
            for (const batch of batches) yield* samples.insert(channel, batch)
            yield* emitEvents([build.event()])
          })
        )
        for (const batch of [batches[0], batches.at(-1)]) {
          const keys = (batch ?? []).map(({ key }) => key)
          expect(yield* samples.many(channel, keys)).toHaveLength(500)
        }
        expect((yield* log.read(channel, { after: 0, upTo: 1, limit: 10, maxBytes: 1000 })).map(plain)).toEqual(
          committed.map(plain)
        )
      })
    )

    it.effect("cannot read back what they put down", () =>
      Effect.gen(function* () {
        const plans = yield* ComputePlanStore
        const log = yield* EventLog
        const channel = build.channel()
        const seen = yield* commit(
          channel,
          Effect.gen(function* () {
            const plan = yield* put(channel)
            return {
              plan: yield* found(plans.find(channel, plan.key)),
              locked: yield* plans.lock(channel, [plan.key]),
              isTaken: yield* plans.isTaken(plan.key),
              page: yield* all((request) => plans.page(channel, {}, request)),
              heads: yield* log.heads([channel])
            }
          })
        )
        expect(seen).toEqual({ plan: undefined, locked: [], isTaken: false, page: [], heads: new Map([[channel, 0]]) })
      })
    )

    it.effect("show nothing to others before they are committed", () =>
      Effect.gen(function* () {
        const plans = yield* ComputePlanStore
        const channel = build.channel()
        const isPutDown = yield* Deferred.make<void>()
        const wasRead = yield* Deferred.make<void>()
        const writing = yield* Effect.forkChild(
          commit(
            channel,
            put(channel).pipe(Effect.tap(Deferred.succeed(isPutDown, undefined)), Effect.tap(Deferred.await(wasRead)))
          )
        )
        yield* Deferred.await(isPutDown)
        expect(yield* all((request) => plans.page(channel, {}, request))).toEqual([])
        yield* Deferred.succeed(wasRead, undefined)
        const plan = yield* Fiber.join(writing)
        expect(yield* all((request) => plans.page(channel, {}, request))).toEqual([plan])
      })
    )

    it.effect("leave nothing when the body fails", () =>
      Effect.gen(function* () {
        const channel = build.channel()
        const error = yield* Effect.flip(run(channel, Effect.andThen(put(channel), Effect.fail("refused" as const))))
        expect(error).toBe("refused")
        yield* expectNothing(channel)
      })
    )

    it.effect("leave nothing when the body dies", () =>
      Effect.gen(function* () {
        const channel = build.channel()
        const exit = yield* Effect.exit(run(channel, Effect.andThen(put(channel), Effect.die("a defect"))))
        expect(Exit.isFailure(exit)).toBe(true)
        yield* expectNothing(channel)
      })
    )

    it.effect("leave nothing when the body is interrupted", () =>
      Effect.gen(function* () {
        const channel = build.channel()
        const atWork = yield* Deferred.make<void>()
        const body = put(channel).pipe(Effect.tap(Deferred.succeed(atWork, undefined)), Effect.andThen(Effect.never))
        const fiber = yield* Effect.forkChild(run(channel, body))
        yield* Deferred.await(atWork)
        yield* Fiber.interrupt(fiber)
        yield* expectNothing(channel)
      })
    )

    it.effect("leave nothing when the events cannot be made ready", () =>
      Effect.gen(function* () {
        const database = yield* Database
        const channel = build.channel()
        const error = yield* Effect.flip(
          database.run(channel, { ...work(put(channel)), prepare: () => Effect.fail("too large" as const) })
        )
        expect(error).toBe("too large")
        yield* expectNothing(channel)
      })
    )

    it.effect("leave nothing when they are interrupted while the events or the answer are made", () =>
      Effect.gen(function* () {
        const database = yield* Database
        for (const part of ["events", "answer"]) {
          const channel = build.channel()
          const making = yield* Deferred.make<void>()
          const stop = Effect.andThen(Deferred.succeed(making, undefined), Effect.never)
          const fiber = yield* Effect.forkChild(
            database.run(channel, {
              ...work(put(channel)),
              prepare: (events) => (part === "events" ? stop : prepare(events)),
              finish: () => stop
            })
          )
          yield* Deferred.await(making)
          yield* Fiber.interrupt(fiber)
          yield* expectNothing(channel)
        }
      })
    )

    it.effect("leave nothing when a key was taken meanwhile, and nobody hears of it", () =>
      Effect.gen(function* () {
        const plans = yield* ComputePlanStore
        const channel = build.channel()
        const elsewhere = build.channel()
        const taken = build.computePlan()
        yield* commit(elsewhere, plans.insert(elsewhere, taken))
        const database = yield* Database
        const heard: Array<Committed> = []
        const error = yield* Effect.flip(
          database.run(channel, {
            ...work(Effect.andThen(put(channel), plans.insert(channel, taken))),
            onCommitted: (committed) => Effect.sync(() => heard.push(committed))
          })
        )
        expect(error).toMatchObject({
          _tag: "Conflict",
          message: `computeplan with key "${taken.key}" already exists`
        })
        expect(heard).toEqual([])
        yield* expectNothing(channel)
      })
    )

    it.effect("that only write leave nothing when one of their writes is refused", () =>
      Effect.gen(function* () {
        const plans = yield* ComputePlanStore
        const channel = build.channel()
        const [taken, free] = [build.computePlan(), build.computePlan()]
        yield* commit(channel, plans.insert(channel, taken))
        const writes = Effect.andThen(plans.insert(channel, free), plans.insert(channel, taken))
        expect((yield* Effect.flip(commit(channel, writes)))._tag).toBe("Conflict")
        expect(yield* plans.isTaken(free.key)).toBe(false)
      })
    )

    it.effect("are whole and heard of, or nothing, whenever they are interrupted", () =>
      Effect.gen(function* () {
        const plans = yield* ComputePlanStore
        const log = yield* EventLog
        const database = yield* Database
        for (let turns = 0; turns < 30; turns++) {
          const channel = build.channel()
          const heard: Array<Committed> = []
          const onCommitted = (committed: Committed) => Effect.sync(() => heard.push(committed))
          const fiber = yield* Effect.forkChild(database.run(channel, { ...work(put(channel)), onCommitted }))
          for (let turn = 0; turn < turns; turn++) yield* turn % 2 === 0 ? Effect.yieldNow : database.ping
          yield* Fiber.interrupt(fiber)
          const stored = yield* all((request) => plans.page(channel, {}, request))
          expect(yield* log.heads([channel])).toEqual(new Map([[channel, stored.length]]))
          expect(heard.map(({ events }) => events.length)).toEqual(stored.map(() => 1))
          const exit = yield* Fiber.await(fiber)
          if (Exit.isSuccess(exit)) expect(stored).toHaveLength(1)
        }
      })
    )

    it.effect("let one of several register a key, and leave nothing of the others", () =>
      Effect.gen(function* () {
        const plans = yield* ComputePlanStore
        const log = yield* EventLog
        const channel = build.channel()
        const plan = build.computePlan()
        const register = run(channel, Effect.andThen(plans.insert(channel, plan), emitEvents([build.event(plan)])))
        const exits = yield* Effect.all(
          Array.from({ length: 5 }, () => Effect.result(register)),
          { concurrency: "unbounded" }
        )
        expect(exits.filter((exit) => exit._tag === "Success")).toHaveLength(1)
        for (const exit of exits) if (exit._tag === "Failure") expect(exit.failure._tag).toBe("Conflict")
        expect(yield* log.heads([channel])).toEqual(new Map([[channel, 1]]))
      })
    )

    it.effect("make their events ready once the body is through, all together and in order, then the answer", () =>
      Effect.gen(function* () {
        const database = yield* Database
        const channel = build.channel()
        const made = Array.from({ length: 4 }, () => build.event())
        const calls: Array<unknown> = []
        const body = Effect.gen(function* () {
          yield* emitEvents(made.slice(0, 2))
          const unit = yield* UnitOfWork
          yield* unit.emit(new Set(made.slice(2)))
          return "value"
        })
        const answer = yield* database.run(channel, {
          body,
          prepare: (events) => {
            calls.push([...events])
            return prepare(events)
          },
          finish: (value) => {
            calls.push(value)
            return Effect.succeed("answer")
          },
          onCommitted: ({ events }) => Effect.sync(() => calls.push(events.map(({ position }) => position)))
        })
        expect(answer).toBe("answer")
        expect(calls).toEqual([made, "value", [1, 2, 3, 4]])
      })
    )

    it.effect("are over for a fiber that they have left behind: it reads what is committed, and cannot write", () =>
      Effect.gen(function* () {
        const plans = yield* ComputePlanStore
        const channel = build.channel()
        const hasEnded = yield* Deferred.make<void>()
        const plan = build.computePlan()
        const late = Effect.gen(function* () {
          const unit = yield* UnitOfWork
          yield* Deferred.await(hasEnded)
          const seen = yield* found(plans.find(channel, plan.key))
          const uses = [plans.lock(channel, [plan.key]), plans.insert(channel, build.computePlan())]
          const kept = [unit.now, unit.emit([build.event()])]
          return {
            seen,
            uses: yield* Effect.forEach(uses, (use) => defectOf(use)),
            kept: yield* Effect.forEach(kept, (use) => defectOf(use))
          }
        })
        const fiber = yield* commit(
          channel,
          Effect.tap(Effect.forkDetach(late), () => plans.insert(channel, plan))
        )
        yield* Deferred.succeed(hasEnded, undefined)
        const outside = expect.stringContaining("outside of a transaction, or after its end")
        const after = expect.stringContaining("after its end")
        expect(yield* Fiber.join(fiber)).toEqual({ seen: plan, uses: [outside, outside], kept: [after, after] })
        expect(yield* all((request) => plans.page(channel, {}, request))).toEqual([plan])
      })
    )

    it.effect("die inside of one another", () =>
      Effect.gen(function* () {
        const { snapshot } = yield* Database
        const one = commit(build.channel(), Effect.void)
        const nested = [
          commit(build.channel(), one),
          commit(build.channel(), snapshot(Effect.void)),
          snapshot(one),
          snapshot(snapshot(Effect.void))
        ]
        for (const each of nested) expect(yield* defectOf(each)).toContain("a transaction inside of another one")
      })
    )

    it.effect("are none of another store's: it reads what it has committed, and cannot write", () =>
      Effect.gen(function* () {
        const other = yield* Layer.build(Layer.fresh(store))
        const plans = Context.get(other, ComputePlanStore)
        const channel = build.channel()
        const plan = build.computePlan()
        yield* Effect.provideContext(commit(channel, plans.insert(channel, plan)), other)
        const [seen, ...uses] = yield* commit(
          channel,
          Effect.all([
            found(plans.find(channel, plan.key)),
            defectOf(plans.lock(channel, [plan.key])),
            defectOf(plans.insert(channel, build.computePlan()))
          ])
        )
        const outside = expect.stringContaining("outside of a transaction")
        expect([seen, ...uses]).toEqual([plan, outside, outside])
      })
    )

    it.effect("are not seen by who reads one state, where they are committed between its reads", () =>
      Effect.gen(function* () {
        const { snapshot } = yield* Database
        const plans = yield* ComputePlanStore
        const channel = build.channel()
        const [before, after] = [build.computePlan(), build.computePlan()]
        const seen = all((request) => plans.page(channel, {}, request))
        yield* commit(channel, plans.insert(channel, before))
        const hasRead = yield* Deferred.make<void>()
        const writer = yield* Effect.forkChild(
          Effect.andThen(Deferred.await(hasRead), commit(channel, plans.insert(channel, after)))
        )
        const reads = yield* snapshot(
          Effect.gen(function* () {
            const first = yield* seen
            yield* Deferred.succeed(hasRead, undefined)
            yield* Fiber.join(writer)
            return [first, yield* seen, yield* found(plans.find(channel, before.key))]
          })
        )
        expect(reads).toEqual([[before], [before], before])
        expect(yield* seen).toHaveLength(2)
      })
    )

    it.effect("are seen by what is left behind by who has read one state", () =>
      Effect.gen(function* () {
        const { snapshot } = yield* Database
        const plans = yield* ComputePlanStore
        const channel = build.channel()
        const seen = all((request) => plans.page(channel, {}, request))
        const isCommitted = yield* Deferred.make<void>()
        const late = yield* snapshot(
          Effect.tap(Effect.forkDetach(Effect.andThen(Deferred.await(isCommitted), seen)), () => seen)
        )
        yield* commit(channel, plans.insert(channel, build.computePlan()))
        yield* Deferred.succeed(isCommitted, undefined)
        expect(yield* Fiber.join(late)).toHaveLength(1)
      })
    )

    it.effect("go on where reads of one state failed, died or were interrupted", () =>
      Effect.gen(function* () {
        const { snapshot } = yield* Database
        const plans = yield* ComputePlanStore
        const channel = build.channel()
        const key = build.key()
        const read = plans.find(channel, key)
        for (let time = 0; time < 20; time++) {
          expect(yield* Effect.flip(snapshot(Effect.andThen(read, Effect.fail("failed"))))).toBe("failed")
          expect(yield* defectOf(snapshot(Effect.andThen(read, Effect.die(new Error("died")))))).toContain("died")
          const reading = yield* Effect.forkChild(snapshot(Effect.andThen(read, Effect.never)))
          yield* Effect.yieldNow
          yield* Fiber.interrupt(reading)
        }
        yield* commit(channel, plans.insert(channel, build.computePlan({ key })))
        expect(yield* snapshot(found(read))).toMatchObject({ key })
      })
    )

    it.effect("are asked for by locks and writes", () =>
      Effect.gen(function* () {
        const plans = yield* ComputePlanStore
        const channel = build.channel()
        for (const use of [plans.lock(channel, [build.key()]), plans.insert(channel, build.computePlan())]) {
          expect(yield* defectOf(unbound(use))).toContain("use Database.run")
        }
      })
    )

    it.effect("without events leave the log as it is", () =>
      Effect.gen(function* () {
        const plans = yield* ComputePlanStore
        const log = yield* EventLog
        const channel = build.channel()
        const plan = build.computePlan()
        const [, committed] = yield* run(channel, plans.insert(channel, plan))
        expect(committed).toEqual([])
        expect(yield* found(plans.find(channel, plan.key))).toEqual(plan)
        expect(yield* log.heads([channel])).toEqual(new Map([[channel, 0]]))
      })
    )

    it.effect("have one time, whenever it is asked for, and it is a time of now", () =>
      Effect.gen(function* () {
        const plans = yield* ComputePlanStore
        const channel = build.channel()
        const times = yield* commit(
          channel,
          Effect.gen(function* () {
            const unit = yield* UnitOfWork
            const first = yield* unit.now
            yield* plans.find(channel, build.key())
            const { plan, time } = yield* readTogether({ plan: plans.lock(channel, [build.key()]) })
            expect(plan).toEqual([])
            return [first, time, yield* unit.now]
          })
        )
        expect(new Set(times).size).toBe(1)
        expect(Number.isSafeInteger(times[0])).toBe(true)
        const dayInMicros = 86_400_000_000
        expect(Math.abs((times[0] as number) - Date.now() * 1000)).toBeLessThan(dayInMicros)
      })
    )

    it.effect("have a time after that of the one that they waited for", () =>
      Effect.gen(function* () {
        const plans = yield* ComputePlanStore
        const channel = build.channel()
        const plan = build.computePlan()
        yield* commit(channel, plans.insert(channel, plan))
        const lockAndTime = Effect.map(readTogether({ plans: plans.lock(channel, [plan.key]) }), ({ time }) => time)
        const seen = yield* inTurn(channel, {
          hold: lockAndTime,
          change: (time) => plans.update(channel, [{ ...plan, failureDate: time }]),
          see: Effect.map(readTogether({ plans: plans.lock(channel, [plan.key]) }), ({ plans: [locked], time }) => ({
            before: locked?.failureDate,
            time
          }))
        })
        expect(seen.time).toBeGreaterThanOrEqual(seen.before as number)
      })
    )

    it.effect("of one row come one after the other, each on what the one before left", () =>
      Effect.gen(function* () {
        const plans = yield* ComputePlanStore
        const channel = build.channel()
        const { key } = yield* commit(channel, put(channel))
        const append = (letter: string) =>
          Effect.gen(function* () {
            const [plan] = yield* plans.lock(channel, [key])
            if (plan === undefined) return expect.unreachable("the plan is there")
            yield* Effect.yieldNow
            yield* plans.update(channel, [{ ...plan, name: plan.name + letter }])
          })
        yield* commit(
          channel,
          Effect.gen(function* () {
            const [plan] = yield* plans.lock(channel, [key])
            if (plan !== undefined) yield* plans.update(channel, [{ ...plan, name: "" }])
          })
        )
        const letters = [..."abcdefghijklmnop"]
        yield* Effect.forEach(letters, (letter) => commit(channel, append(letter)), { concurrency: "unbounded" })
        const plan = yield* found(plans.find(channel, key))
        expect([...(plan?.name ?? "")].sort()).toEqual(letters)
      })
    )

    it.effect("answer to a ping", () => Effect.flatMap(Database, (database) => database.ping))
  })
