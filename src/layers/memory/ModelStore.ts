/** Models in memory, numbered in the order of their registration. */
import * as Effect from "effect/Effect"
import * as HashMap from "effect/HashMap"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type { ChannelName, Key } from "../../schema/Key.ts"
import { ModelStore, type OutputModel } from "../../services/store/ModelStore.ts"
import { type Access, access, type Memory } from "./Memory.ts"
import type { State } from "./State.ts"
import * as Table from "./Table.ts"

const make = ({ read, write }: Access): ModelStore["Service"] => ({
  find: (channel, key) => read((state) => Option.map(Table.find(state.models, channel, key), (stored) => stored.model)),
  many: (channel, keys) => read((state) => Table.many(state.models, channel, keys).map((stored) => stored.model)),
  ofTasks: (channel, taskKeys) =>
    read((state) => Array.from(new Set(taskKeys)).flatMap((key) => ofTask(state, channel, key))),
  taken: (keys) => read((state) => new Set(keys.filter((key) => Table.isTaken(state.models, key)))),
  insert: (channel, models) =>
    write(
      (state) => ({ ...state, models: models.reduce(insert(state, channel), state.models) }),
      (held) =>
        held.require(
          "computeTasks",
          models.map(({ model }) => model.computeTaskKey)
        )
    ),
  disable: (channel, keys) =>
    write(
      (state) => ({ ...state, models: keys.reduce(disable(channel), state.models) }),
      (held, state) =>
        held.require(
          "computeTasks",
          Table.many(state.models, channel, keys).map(({ model }) => model.computeTaskKey)
        )
    )
})

const ofTask = ({ models }: State, channel: ChannelName, key: Key): ReadonlyArray<OutputModel> =>
  Array.from(Table.list(models, channel, { index: "task", group: key }), ({ model, outputIdentifier }) => ({
    model,
    outputIdentifier
  }))

const insert =
  (state: State, channel: ChannelName) =>
  (models: State["models"], { model, outputIdentifier }: OutputModel): State["models"] => {
    Table.get(state.computeTasks, channel, model.computeTaskKey)
    return Table.insert(models, channel, { model, outputIdentifier, ordinal: HashMap.size(models.rows) })
  }

const disable =
  (channel: ChannelName) =>
  (models: State["models"], key: Key): State["models"] => {
    const stored = Table.get(models, channel, key)
    const { address: _, ...model } = stored.model
    return Table.replace(models, channel, { ...stored, model })
  }

export const layer: Layer.Layer<ModelStore, never, Memory> = Layer.effect(ModelStore, Effect.map(access, make))
