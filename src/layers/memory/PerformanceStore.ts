/** Performances in memory. */
import * as Effect from "effect/Effect"
import * as Iterable from "effect/Iterable"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import { PerformanceStore } from "../../services/store/PerformanceStore.ts"
import { type Access, access, type Memory } from "./Memory.ts"
import * as Table from "./Table.ts"

const make = ({ read, write }: Access): PerformanceStore["Service"] => ({
  ofTask: (channel, taskKey) =>
    read((state) => Array.from(Table.list(state.performances, channel, { index: "task", group: taskKey }))),
  page: (channel, { computeTaskKey, computeTaskOutputIdentifier }, { cursor, limit }) =>
    read((state) => {
      const list = computeTaskKey === undefined ? undefined : ({ index: "task", group: computeTaskKey } as const)
      const performances = Iterable.filter(
        Table.list(state.performances, channel, list, Option.getOrUndefined(cursor)),
        (performance) =>
          computeTaskOutputIdentifier === undefined ||
          performance.computeTaskOutputIdentifier === computeTaskOutputIdentifier
      )
      return Table.cut(performances, limit)
    }),
  insert: (channel, performance) =>
    write((state) => {
      Table.get(state.computeTasks, channel, performance.computeTaskKey)
      return { ...state, performances: Table.insert(state.performances, channel, performance) }
    })
})

export const layer: Layer.Layer<PerformanceStore, never, Memory> = Layer.effect(
  PerformanceStore,
  Effect.map(access, make)
)
