/** Functions in memory. */
import * as Effect from "effect/Effect"
import * as HashMap from "effect/HashMap"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type { Function } from "../../schema/Function.ts"
import type { ChannelName, Key } from "../../schema/Key.ts"
import type { AssetCursor } from "../../schema/Pagination.ts"
import { FunctionStore } from "../../services/store/FunctionStore.ts"
import { type Access, access, type Memory } from "./Memory.ts"
import { compareAssets, type State } from "./State.ts"
import * as Table from "./Table.ts"
import * as Tree from "./Tree.ts"

const make = ({ locking, read, write }: Access): FunctionStore["Service"] => ({
  find: (channel, key) => read((state) => Table.find(state.functions, channel, key)),
  lock: (channel, key) =>
    locking((state, held) => held.lockFound("functions", Table.find(state.functions, channel, key))),
  share: (channel, keys) =>
    locking((state, held) => held.share("functions", Table.many(state.functions, channel, keys))),
  isTaken: (key) => read((state) => Table.isTaken(state.functions, key)),
  page: (channel, { computePlanKey }, { cursor, limit }) =>
    read((state) => {
      const after = Option.getOrUndefined(cursor)
      const functions =
        computePlanKey === undefined
          ? Table.list(state.functions, channel, undefined, after)
          : ofPlan(state, channel, computePlanKey, after)
      return Table.cut(functions, limit)
    }),
  insert: (channel, fn) => write((state) => ({ ...state, functions: Table.insert(state.functions, channel, fn) })),
  update: (channel, fn) =>
    write(
      (state) => {
        const { image, name, status } = fn
        const before = Table.get(state.functions, channel, fn.key)
        return { ...state, functions: Table.replace(state.functions, channel, { ...before, image, name, status }) }
      },
      (held) => held.require("functions", [fn.key])
    )
})

/** The functions that tasks of a plan use. */
function* ofPlan(state: State, channel: ChannelName, planKey: Key, after?: AssetCursor): Generator<Function> {
  const keys = Option.getOrUndefined(HashMap.get(state.functionsOfPlans, planKey))
  for (const key of Tree.values(keys, compareAssets, after)) yield* Table.many(state.functions, channel, [key])
}

export const layer: Layer.Layer<FunctionStore, never, Memory> = Layer.effect(FunctionStore, Effect.map(access, make))
