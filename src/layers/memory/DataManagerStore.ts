/** Data managers in memory. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import { DataManagerStore } from "../../services/store/DataManagerStore.ts"
import { type Access, access, type Memory } from "./Memory.ts"
import * as Table from "./Table.ts"

const make = ({ locking, read, write }: Access): DataManagerStore["Service"] => ({
  find: (channel, key) => read((state) => Table.find(state.dataManagers, channel, key)),
  findDataset: (channel, key) =>
    read((state) =>
      Option.map(Table.find(state.dataManagers, channel, key), (dataManager) => ({
        dataManager,
        dataSampleKeys: Array.from(
          Table.list(state.dataSamples, channel, { index: "manager", group: key }),
          (sample) => sample.key
        )
      }))
    ),
  many: (channel, keys) => read((state) => Table.many(state.dataManagers, channel, keys)),
  lock: (channel, key) =>
    locking((state, held) => held.lockFound("dataManagers", Table.find(state.dataManagers, channel, key))),
  isTaken: (key) => read((state) => Table.isTaken(state.dataManagers, key)),
  page: (channel, { cursor, limit }) =>
    read((state) =>
      Table.cut(Table.list(state.dataManagers, channel, undefined, Option.getOrUndefined(cursor)), limit)
    ),
  insert: (channel, manager) =>
    write((state) => ({ ...state, dataManagers: Table.insert(state.dataManagers, channel, manager) })),
  update: (channel, { key, name }) =>
    write(
      (state) => {
        const before = Table.get(state.dataManagers, channel, key)
        return { ...state, dataManagers: Table.replace(state.dataManagers, channel, { ...before, name }) }
      },
      (held) => held.require("dataManagers", [key])
    )
})

export const layer: Layer.Layer<DataManagerStore, never, Memory> = Layer.effect(
  DataManagerStore,
  Effect.map(access, make)
)
