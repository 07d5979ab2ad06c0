/** The suites of the store on memory, and what only memory promises: its clock, and that misuse is a defect. */
import { describe, expect, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as TestClock from "effect/testing/TestClock"
import * as MemoryStore from "../../src/layers/memory/MemoryStore.ts"
import { ComputePlanStore } from "../../src/services/store/ComputePlanStore.ts"
import { ComputeTaskStore } from "../../src/services/store/ComputeTaskStore.ts"
import { Database } from "../../src/services/store/Database.ts"
import { DataManagerStore } from "../../src/services/store/DataManagerStore.ts"
import { DataSampleStore } from "../../src/services/store/DataSampleStore.ts"
import { FunctionStore } from "../../src/services/store/FunctionStore.ts"
import { ModelStore } from "../../src/services/store/ModelStore.ts"
import { PerformanceStore } from "../../src/services/store/PerformanceStore.ts"
import type { ReadError } from "../../src/services/store/StoreError.ts"
import { emitEvents, UnitOfWork } from "../../src/services/store/UnitOfWork.ts"
import * as build from "../../src/testing/suites/builders.ts"
import { all } from "../../src/testing/suites/pages.ts"
import { suite } from "../../src/testing/suites/Store.suite.ts"
import {
  commit,
  defectOf,
  insertTasks,
  prepare,
  run,
  type Store,
  work,
  world
} from "../../src/testing/suites/support.ts"

suite("memory", MemoryStore.layer)

const test = (name: string, body: () => Effect.Effect<unknown, unknown, Store>) =>
  it.effect(name, () => Effect.provide(body(), MemoryStore.layer))

describe("memory's clock", () => {
  test("gives microseconds of Effect's clock", () =>
    Effect.gen(function* () {
      yield* TestClock.setTime(1_790_000_000_123)
      yield* TestClock.adjust("4567 nanos")
      const now = yield* commit(
        build.channel(),
        Effect.flatMap(UnitOfWork, (unit) => unit.now)
      )
      expect(now).toBe(1_790_000_000_123_004)
    }))

  test("is read once in a transaction, when it is first asked for", () =>
    Effect.gen(function* () {
      yield* TestClock.setTime(1000)
      const times = yield* commit(
        build.channel(),
        Effect.gen(function* () {
          const { now } = yield* UnitOfWork
          yield* TestClock.setTime(2000)
          const first = yield* now
          yield* TestClock.setTime(3000)
          return [first, yield* now]
        })
      )
      expect(times).toEqual([2_000_000, 2_000_000])
    }))

  test("may go back, timestamps of a channel's events never do", () =>
    Effect.gen(function* () {
      const [channel, elsewhere] = [build.channel(), build.channel()]
      const at = (millis: number, of = channel) =>
        Effect.andThen(
          TestClock.setTime(millis),
          Effect.map(run(of, emitEvents([build.event()])), ([, [event]]) => event?.timestamp)
        )
      expect(yield* at(5000)).toBe(5_000_000)
      expect(yield* at(3000)).toBe(5_000_000)
      expect(yield* at(3000, elsewhere)).toBe(3_000_000)
      expect(yield* at(4999)).toBe(5_000_000)
      expect(yield* at(6000)).toBe(6_000_000)
    }))
})

describe("memory's transactions", () => {
  test("run one at a time, in the order of their calls", () =>
    Effect.gen(function* () {
      const steps: Array<string> = []
      const body = (name: string) =>
        Effect.gen(function* () {
          steps.push(`${name} begins`)
          yield* Effect.yieldNow
          steps.push(`${name} ends`)
        })
      yield* Effect.forEach(["a", "b", "c"], (name) => commit(build.channel(), body(name)), {
        concurrency: "unbounded"
      })
      expect(steps).toEqual(["a", "b", "c"].flatMap((name) => [`${name} begins`, `${name} ends`]))
    }))

  test("give up their turn when they are interrupted while they wait for it", () =>
    Effect.gen(function* () {
      const channel = build.channel()
      const release = yield* Deferred.make<void>()
      const first = yield* Effect.forkChild(commit(channel, Deferred.await(release)))
      yield* Effect.yieldNow
      const second = yield* Effect.forkChild(commit(channel, emitEvents([build.event()])))
      yield* Effect.yieldNow
      yield* Fiber.interrupt(second)
      yield* Deferred.succeed(release, undefined)
      yield* Fiber.join(first)
      const [, committed] = yield* run(channel, emitEvents([build.event()]))
      expect(committed.map((event) => event.position)).toEqual([1])
    }))

  test("of one store are none of another", () =>
    Effect.gen(function* () {
      const plans = yield* ComputePlanStore
      const channel = build.channel()
      const other = Effect.flatMap(ComputePlanStore, (plans) => plans.insert(channel, build.computePlan()))
      const mixed = commit(channel, Effect.andThen(other, plans.insert(channel, build.computePlan())))
      expect(yield* defectOf(Effect.provide(mixed, Layer.fresh(MemoryStore.layer)))).toContain(
        "outside of a transaction"
      )
    }))

  test("die when an event has the id of another one", () =>
    Effect.gen(function* () {
      const channel = build.channel()
      const plans = yield* ComputePlanStore
      const events = yield* prepare([build.event(), build.event()])
      const same = events.map((event) => ({ ...event, id: "93b4ae6b-7d0e-4d5e-8e4c-7c9dbf5a1c0d" }))
      const database = yield* Database
      const body = plans.insert(channel, build.computePlan())
      const twice = { ...work(body), prepare: () => Effect.succeed(same) }
      expect(yield* defectOf(database.run(channel, twice))).toContain("is in use")
      expect(yield* all((request) => plans.page(channel, {}, request))).toEqual([])
    }))
})

describe("memory's referential rules", () => {
  test("make defects of what PostgreSQL's foreign keys would refuse", () =>
    Effect.gen(function* () {
      const tasks = yield* ComputeTaskStore
      const samples = yield* DataSampleStore
      const performances = yield* PerformanceStore
      const { channel, task } = yield* world()
      const unknown = build.key()
      const refused = [
        ["computeplan", tasks.insert(channel, [task({ computePlanKey: unknown })])],
        ["function", tasks.insert(channel, [task({ functionKey: unknown })])],
        ["computetask", tasks.insert(channel, [task({ inputs: build.fromParents(task({ key: unknown })) })])],
        ["computetask", performances.insert(channel, build.performance({ key: unknown }))],
        ["datamanager", samples.insert(channel, [build.dataSample({ dataManagerKeys: [unknown] })])]
      ] as const
      for (const [asset, write] of refused) {
        expect(yield* defectOf(commit(channel, write))).toContain(`has no ${asset} with key "${unknown}"`)
      }
    }))
})

describe("memory's notes on locks", () => {
  test("make a defect of a change without a lock", () =>
    Effect.gen(function* () {
      const functions = yield* FunctionStore
      const managers = yield* DataManagerStore
      const samples = yield* DataSampleStore
      const plans = yield* ComputePlanStore
      const tasks = yield* ComputeTaskStore
      const models = yield* ModelStore
      const { channel, fn, manager, plan, task } = yield* world()
      const [one, sample] = [task(), build.dataSample()]
      yield* insertTasks(channel, one)
      yield* commit(channel, samples.insert(channel, [sample]))
      const model = { model: build.model(one), outputIdentifier: "model" }
      yield* commit(channel, Effect.andThen(tasks.lock(channel, one.key), models.insert(channel, [model])))
      const changes = [
        functions.update(channel, fn),
        managers.update(channel, manager),
        samples.update(channel, [sample]),
        plans.update(channel, [plan]),
        tasks.setStatus(channel, [one.key], "STATUS_DONE"),
        models.insert(channel, [{ ...model, model: build.model(one) }]),
        models.disable(channel, [model.model.key])
      ]
      for (const change of changes) expect(yield* defectOf(commit(channel, change))).toContain("without a lock")
      const shared = Effect.andThen(functions.share(channel, [fn.key]), functions.update(channel, fn))
      expect(yield* defectOf(commit(channel, shared))).toContain("without a lock")
      const following = tasks.lockOfFunction(channel, fn.key, [one.status])
      expect(yield* defectOf(commit(channel, following))).toContain("without a lock")
    }))

  test("make a defect of locks out of order", () =>
    Effect.gen(function* () {
      const functions = yield* FunctionStore
      const plans = yield* ComputePlanStore
      const tasks = yield* ComputeTaskStore
      const { channel, fn, plan, task } = yield* world()
      const one = task()
      yield* insertTasks(channel, one)
      const locks = [
        functions.lock(channel, fn.key),
        functions.share(channel, [fn.key]),
        tasks.share(channel, [one.key]),
        tasks.lockForDone(channel, one.key),
        plans.lockOfTask(channel, one.key),
        plans.lock(channel, [plan.key])
      ].map((lock) => Effect.asVoid<unknown, ReadError, UnitOfWork>(lock))
      yield* commit(channel, Effect.all(locks))
      for (const [later, earlier] of [
        [2, 0],
        [3, 1],
        [4, 0],
        [5, 3]
      ] as const) {
        const crossed = Effect.all([locks[later] ?? Effect.void, locks[earlier] ?? Effect.void])
        expect(yield* defectOf(commit(channel, crossed))).toContain("must be taken before")
      }
    }))
})
