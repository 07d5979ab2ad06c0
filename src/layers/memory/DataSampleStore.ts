/** Data samples in memory. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type { DataSample } from "../../schema/DataSample.ts"
import type { ChannelName, Key } from "../../schema/Key.ts"
import type { AssetCursor } from "../../schema/Pagination.ts"
import { DataSampleStore } from "../../services/store/DataSampleStore.ts"
import { type Access, access, type Memory } from "./Memory.ts"
import { compareAssets, placeOf, type State } from "./State.ts"
import * as Table from "./Table.ts"

const make = ({ locking, read, write }: Access): DataSampleStore["Service"] => ({
  find: (channel, key) => read((state) => Table.find(state.dataSamples, channel, key)),
  many: (channel, keys) => read((state) => Table.many(state.dataSamples, channel, keys)),
  lock: (channel, keys) =>
    locking((state, held) => held.lock("dataSamples", Table.many(state.dataSamples, channel, keys))),
  taken: (keys) => read((state) => new Set(keys.filter((key) => Table.isTaken(state.dataSamples, key)))),
  page: (channel, { keys }, { cursor, limit }) =>
    read((state) => {
      const after = Option.getOrUndefined(cursor)
      const samples =
        keys === undefined
          ? Table.list(state.dataSamples, channel, undefined, after)
          : ofKeys(state, channel, keys, after)
      return Table.cut(samples, limit)
    }),
  insert: (channel, samples) =>
    write((state) => ({ ...state, dataSamples: samples.reduce(insert(state, channel), state.dataSamples) })),
  update: (channel, samples) =>
    write(
      (state) => ({ ...state, dataSamples: samples.reduce(update(state, channel), state.dataSamples) }),
      (held) =>
        held.require(
          "dataSamples",
          samples.map(({ key }) => key)
        )
    )
})

const ofKeys = (
  { dataSamples }: State,
  channel: ChannelName,
  keys: ReadonlyArray<Key>,
  after?: AssetCursor
): ReadonlyArray<DataSample> =>
  Table.many(dataSamples, channel, keys)
    .filter((sample) => after === undefined || compareAssets(placeOf(sample), after) > 0)
    .sort((a, b) => compareAssets(placeOf(a), placeOf(b)))

type Samples = State["dataSamples"]

const insert =
  (state: State, channel: ChannelName) =>
  (samples: Samples, sample: DataSample): Samples => {
    for (const key of sample.dataManagerKeys) Table.get(state.dataManagers, channel, key)
    return Table.insert(samples, channel, sample)
  }

const update =
  (state: State, channel: ChannelName) =>
  (samples: Samples, { dataManagerKeys, key }: DataSample): Samples => {
    for (const manager of dataManagerKeys) Table.get(state.dataManagers, channel, manager)
    return Table.replace(samples, channel, { ...Table.get(samples, channel, key), dataManagerKeys })
  }

export const layer: Layer.Layer<DataSampleStore, never, Memory> = Layer.effect(
  DataSampleStore,
  Effect.map(access, make)
)
