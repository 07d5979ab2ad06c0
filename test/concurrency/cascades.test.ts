/**
 * Tasks and functions that decide over the same children at once. Whatever the order in which they come to it, no child
 * may be left waiting for ever, none is started twice, and nobody is lost to a deadlock.
 */
import { expect, layer } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as build from "../blackbox/Builders.ts"
import {
  atOnce,
  functionIn,
  moveFunction,
  moveTask,
  openChannel,
  registerPlan,
  registerTasks,
  registerTasksThen,
  shuffled
} from "./calls.ts"
import { statusesOf } from "./Log.ts"
import { play } from "./rounds.ts"
import { Lost, Postgres, services } from "./support.ts"

const rounds = 200

const waitsForBuilder = "STATUS_WAITING_FOR_BUILDER_SLOT"
const building = "STATUS_BUILDING"
const waitsForParents = "STATUS_WAITING_FOR_PARENT_TASKS"
const canRun = "STATUS_WAITING_FOR_EXECUTOR_SLOT"

layer(services(), { excludeTestServices: true })("at once", (it) => {
  it.effect("four parents that finish start each of their four children once", () =>
    Effect.gen(function* () {
      const { as, task } = yield* openChannel
      const { log, results } = yield* play(as.channel, rounds, () =>
        Effect.gen(function* () {
          const parents = Array.from({ length: 4 }, () => task())
          const children = Array.from({ length: 4 }, () => task(shuffled(parents)))
          yield* registerTasks(as, ...parents, ...children)
          yield* atOnce(...parents.map((parent) => moveTask(as, parent, "EXECUTING")))
          const outcomes = yield* atOnce(...parents.map((parent) => moveTask(as, parent, "DONE")))
          expect(outcomes).toEqual(["ok", "ok", "ok", "ok"])
          return children
        })
      )
      for (const { key } of results.flat()) expect(statusesOf(log, key)).toEqual([waitsForParents, canRun])
    })
  )

  it.effect("the last parent that finishes and the function that gets ready start the child", () =>
    Effect.gen(function* () {
      const { as, task } = yield* openChannel
      const { log, results } = yield* play(as.channel, rounds, () =>
        Effect.gen(function* () {
          const fn = yield* functionIn(as, ["BUILDING"])
          const parent = task()
          const children = Array.from({ length: 2 }, () => task([parent], { fn }))
          yield* registerTasks(as, parent, ...children)
          yield* moveTask(as, parent, "EXECUTING")
          const outcomes = yield* atOnce(moveTask(as, parent, "DONE"), moveFunction(as, fn, "READY"))
          expect(outcomes).toEqual(["ok", "ok"])
          return children
        })
      )
      const ways = [
        [building, canRun],
        [building, waitsForParents, canRun]
      ]
      for (const { key } of results.flat()) expect(ways).toContainEqual(statusesOf(log, key))
    })
  )

  it.effect("two parents that finish and a registration that names both start the child", () =>
    Effect.gen(function* () {
      const { as, task } = yield* openChannel
      const { log, results } = yield* play(as.channel, rounds, () =>
        Effect.gen(function* () {
          const parents = [task(), task()]
          const children = [task(shuffled(parents)), task(shuffled(parents))]
          yield* registerTasks(as, ...parents)
          yield* atOnce(...parents.map((parent) => moveTask(as, parent, "EXECUTING")))
          const outcomes = yield* atOnce(
            registerTasks(as, ...children),
            ...parents.map((parent) => moveTask(as, parent, "DONE"))
          )
          expect(outcomes).toEqual(["ok", "ok", "ok"])
          return children
        })
      )
      const ways = [[canRun], [waitsForParents, canRun]]
      for (const { key } of results.flat()) expect(ways).toContainEqual(statusesOf(log, key))
    })
  )

  it.effect("a task that finishes and registrations that name it and its child do not wait for one another", () =>
    Effect.gen(function* () {
      const { as, task } = yield* openChannel
      yield* play(as.channel, rounds, () =>
        Effect.gen(function* () {
          const parent = task()
          const child = task([parent])
          yield* registerTasks(as, parent, child)
          yield* moveTask(as, parent, "EXECUTING")
          const outcomes = yield* atOnce(
            registerTasks(as, task(shuffled([parent, child]))),
            registerTasks(as, task(shuffled([parent, child]))),
            moveTask(as, parent, "DONE")
          )
          expect(outcomes).toEqual(["ok", "ok", "ok"])
        })
      )
    })
  )

  for (const [before, move, ways] of [
    [[], "BUILDING", [[waitsForBuilder, building], [building]]],
    [["BUILDING"], "READY", [[building, canRun], [canRun]]],
    [["BUILDING"], "FAILED", [[building, "STATUS_FAILED"], ["STATUS_FAILED"]]],
    [["BUILDING"], "CANCELED", [[building, "STATUS_CANCELED"], ["STATUS_CANCELED"]]],
    [[], "CANCELED", [[waitsForBuilder, "STATUS_CANCELED"], ["STATUS_CANCELED"]]]
  ] as const) {
    it.effect(
      `a task that is registered follows its function, which becomes ${move} after ${before[0] ?? "WAITING"}`,
      () =>
        Effect.gen(function* () {
          const { as, task } = yield* openChannel
          const { log, results } = yield* play(as.channel, 60, () =>
            Effect.gen(function* () {
              const plan = build.newPlan()
              yield* registerPlan(as, plan)
              const fn = yield* functionIn(as, before)
              const tasks = [task([], { fn, plan }), task([], { fn, plan }), task([], { fn, plan })]
              const outcomes = yield* atOnce(moveFunction(as, fn, move), ...tasks.map((one) => registerTasks(as, one)))
              expect(outcomes).toEqual(["ok", "ok", "ok", "ok"])
              return tasks
            })
          )
          for (const { key } of results.flat()) expect(ways).toContainEqual(statusesOf(log, key))
        })
    )
  }

  it.effect("two parents do not wait for one another over a child registered meanwhile", () =>
    Effect.gen(function* () {
      const { as, task } = yield* openChannel
      const { blocked, connect } = yield* Postgres
      const lost = yield* Lost
      const [lateKey, earlierKey, oneKey, otherKey] = build.newKeys(4) as [string, string, string, string]
      const [one, other] = [task([], { key: oneKey }), task([], { key: otherKey })]
      yield* registerTasks(as, one, other, task([one, other], { key: earlierKey }))
      for (const parent of [one, other]) yield* moveTask(as, parent, "EXECUTING")
      lost.length = 0

      const holder = yield* connect
      yield* holder.query("BEGIN")
      yield* holder.query("SELECT FROM compute_tasks WHERE key = $1 FOR SHARE", [oneKey])
      const hasLocked = yield* Deferred.make<void>()
      const mayCommit = yield* Deferred.make<void>()
      const late = yield* Effect.forkChild(
        registerTasksThen(as, [task([one, other], { key: lateKey })], () =>
          Effect.andThen(Deferred.succeed(hasLocked, undefined), Deferred.await(mayCommit))
        )
      )
      yield* Deferred.await(hasLocked)
      const first = yield* Effect.forkChild(moveTask(as, one, "DONE"))
      yield* blocked(1)
      yield* Deferred.succeed(mayCommit, undefined)
      yield* Fiber.join(late)
      const second = yield* Effect.forkChild(moveTask(as, other, "DONE"))
      yield* Effect.raceFirst(blocked(2), Fiber.await(second))
      yield* holder.query("COMMIT")
      yield* Fiber.join(first)
      yield* Fiber.join(second)
      expect(lost).not.toContain("40P01")
    })
  )
})
