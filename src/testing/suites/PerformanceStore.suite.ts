/** Stored performances. */
import { expect, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Layer from "effect/Layer"
import type { ChannelName } from "../../schema/Key.ts"
import type { PerformanceCursor } from "../../schema/Pagination.ts"
import type { Performance } from "../../schema/Performance.ts"
import { type PerformanceFilter, PerformanceStore } from "../../services/store/PerformanceStore.ts"
import * as build from "./builders.ts"
import { walk } from "./pages.ts"
import { commit, insertTasks, type Store, world } from "./support.ts"

const insertAll = (channel: ChannelName, ...performances: ReadonlyArray<Performance>) =>
  Effect.flatMap(PerformanceStore, (store) =>
    commit(
      channel,
      Effect.forEach(performances, (performance) => store.insert(channel, performance), { discard: true })
    )
  )

const cursorOf = (performance: Performance): PerformanceCursor => [
  performance.creationDate,
  performance.computeTaskKey,
  performance.computeTaskOutputIdentifier
]

const pagesOf = (channel: ChannelName, filter: PerformanceFilter, limit: number) =>
  Effect.flatMap(PerformanceStore, (store) => walk((request) => store.page(channel, filter, request), cursorOf, limit))

/** A channel with tasks in ascending order of their keys. */
const withTasks = (count: number) =>
  Effect.gen(function* () {
    const { channel, task } = yield* world()
    const tasks = build.keys(count).map((key) => task({ key }))
    yield* insertTasks(channel, ...tasks)
    return { channel, tasks: tasks as [(typeof tasks)[number], ...typeof tasks] }
  })

export const suite = <E>(name: string, store: Layer.Layer<Store, E>) =>
  layer(store, { excludeTestServices: true })(`${name}: performances`, (it) => {
    it.effect("of a task are found together, in their channel only", () =>
      Effect.gen(function* () {
        const performances = yield* PerformanceStore
        const { channel, tasks } = yield* withTasks(2)
        const [one, other] = tasks
        const made = ["a", "b"].map((computeTaskOutputIdentifier) =>
          build.performance(one, { computeTaskOutputIdentifier })
        )
        yield* insertAll(channel, ...made, build.performance(other ?? one))
        const ofTask = yield* performances.ofTask(channel, one.key)
        expect(ofTask).toHaveLength(2)
        expect(new Set(ofTask)).toEqual(new Set(made))
        expect(yield* performances.ofTask(build.channel(), one.key)).toEqual([])
        expect(yield* performances.ofTask(channel, build.key())).toEqual([])
      })
    )

    it.effect("keep every 32-bit float", () =>
      Effect.gen(function* () {
        const performances = yield* PerformanceStore
        const { channel, tasks } = yield* withTasks(1)
        const values = [0, -1.5, Math.fround(0.1), 3.4028234663852886e38, 2 ** -149, Infinity, -Infinity, NaN]
        const made = values.map((performanceValue, index) =>
          build.performance(tasks[0], { performanceValue, computeTaskOutputIdentifier: `output ${index}` })
        )
        yield* insertAll(channel, ...made)
        expect(new Set(yield* performances.ofTask(channel, tasks[0].key))).toEqual(new Set(made))
        expect(yield* pagesOf(channel, {}, 100)).toEqual(made)
      })
    )

    it.effect(
      "are listed by creation date, then task key backwards, then output identifier, in pages of any size",
      () =>
        Effect.gen(function* () {
          const { channel, tasks } = yield* withTasks(3)
          const ordered = [1, 2, 3].flatMap((date) =>
            tasks.toReversed().flatMap((task) =>
              ["a", "b"].map((identifier) =>
                build.performance(task, {
                  creationDate: build.at(date),
                  computeTaskOutputIdentifier: `${identifier}${date}`
                })
              )
            )
          )
          yield* insertAll(channel, ...ordered.toReversed())
          for (const limit of [1, 2, 4, 5, 17, 18, 19]) expect(yield* pagesOf(channel, {}, limit)).toEqual(ordered)
          expect(yield* pagesOf(build.channel(), {}, 10)).toEqual([])
        })
    )

    it.effect("are listed by task, by output, and by both, in pages of any size", () =>
      Effect.gen(function* () {
        const { channel, tasks } = yield* withTasks(2)
        const [one] = tasks
        const ordered = [1, 2].flatMap((date) =>
          tasks
            .toReversed()
            .map((task) =>
              build.performance(task, { creationDate: build.at(date), computeTaskOutputIdentifier: `output ${date}` })
            )
        )
        yield* insertAll(channel, ...ordered)
        const filters: ReadonlyArray<PerformanceFilter> = [
          { computeTaskKey: one.key },
          { computeTaskOutputIdentifier: "output 2" },
          { computeTaskKey: one.key, computeTaskOutputIdentifier: "output 1" },
          { computeTaskKey: build.key() },
          { computeTaskOutputIdentifier: "output" }
        ]
        for (const filter of filters) {
          const names = Object.keys(filter) as Array<keyof PerformanceFilter>
          const fitting = ordered.filter((one) => names.every((name) => one[name] === filter[name]))
          for (const limit of [1, 2, 10]) expect(yield* pagesOf(channel, filter, limit)).toEqual(fitting)
        }
        expect(yield* pagesOf(build.channel(), { computeTaskKey: one.key }, 10)).toEqual([])
      })
    )

    it.effect("conflict with one of the same output of the same task", () =>
      Effect.gen(function* () {
        const performances = yield* PerformanceStore
        const { channel, tasks } = yield* withTasks(1)
        const performance = build.performance(tasks[0])
        yield* insertAll(channel, performance)
        const error = yield* Effect.flip(insertAll(channel, { ...performance, creationDate: build.at(1) }))
        expect(error).toMatchObject({
          _tag: "Conflict",
          message: `performance with key "${tasks[0].key}|score" already exists`
        })
        expect(yield* performances.ofTask(channel, tasks[0].key)).toEqual([performance])
      })
    )

    it.effect("are refused for a task that their channel does not have", () =>
      Effect.gen(function* () {
        const { tasks } = yield* withTasks(1)
        const { channel } = yield* withTasks(1)
        const exit = yield* Effect.exit(insertAll(channel, build.performance(tasks[0])))
        expect(Exit.isFailure(exit)).toBe(true)
        expect(yield* pagesOf(channel, {}, 10)).toEqual([])
      })
    )
  })
