/** Stored data managers, and datasets. */
import { expect, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import { DataManagerStore } from "../../services/store/DataManagerStore.ts"
import { DataSampleStore } from "../../services/store/DataSampleStore.ts"
import * as build from "./builders.ts"
import { assetPages } from "./pages.ts"
import { commit, found, inTurn, type Store } from "./support.ts"

export const suite = <E>(name: string, store: Layer.Layer<Store, E>) =>
  layer(store, { excludeTestServices: true })(`${name}: data managers`, (it) => {
    assetPages(it, {
      open: () => Effect.succeed(build.dataManager),
      insert: (channel, managers) =>
        Effect.flatMap(DataManagerStore, (store) =>
          commit(
            channel,
            Effect.forEach(managers, (manager) => store.insert(channel, manager))
          )
        ),
      page: (channel, request) => Effect.flatMap(DataManagerStore, (store) => store.page(channel, request))
    })

    it.effect("read back as they were stored, in their channel only", () =>
      Effect.gen(function* () {
        const managers = yield* DataManagerStore
        const [channel, elsewhere] = [build.channel(), build.channel()]
        const [one, other, foreign] = [build.dataManager(), build.dataManager(), build.dataManager()]
        yield* commit(channel, Effect.andThen(managers.insert(channel, one), managers.insert(channel, other)))
        yield* commit(elsewhere, managers.insert(elsewhere, foreign))
        expect(yield* found(managers.find(channel, one.key))).toEqual(one)
        expect(yield* found(managers.find(channel, foreign.key))).toBeUndefined()
        expect(yield* found(managers.find(channel, build.key()))).toBeUndefined()
        const many = yield* managers.many(channel, [foreign.key, other.key, one.key, build.key(), one.key])
        expect(many).toHaveLength(2)
        expect(new Set(many)).toEqual(new Set([one, other]))
        expect(yield* managers.many(channel, [])).toEqual([])
      })
    )

    it.effect("take their key in every channel", () =>
      Effect.gen(function* () {
        const managers = yield* DataManagerStore
        const [channel, elsewhere] = [build.channel(), build.channel()]
        const manager = build.dataManager()
        expect(yield* managers.isTaken(manager.key)).toBe(false)
        yield* commit(channel, managers.insert(channel, manager))
        expect(yield* managers.isTaken(manager.key)).toBe(true)
        for (const at of [channel, elsewhere]) {
          const error = yield* Effect.flip(commit(at, managers.insert(at, build.dataManager({ key: manager.key }))))
          expect(error).toMatchObject({
            _tag: "Conflict",
            message: `datamanager with key "${manager.key}" already exists`
          })
        }
        expect(yield* found(managers.find(channel, manager.key))).toEqual(manager)
      })
    )

    it.effect("change their name and nothing else", () =>
      Effect.gen(function* () {
        const managers = yield* DataManagerStore
        const channel = build.channel()
        const [manager, other] = [build.dataManager(), build.dataManager()]
        yield* commit(channel, Effect.andThen(managers.insert(channel, manager), managers.insert(channel, other)))
        const locked = yield* commit(
          channel,
          Effect.gen(function* () {
            const unknown = yield* found(managers.lock(build.channel(), manager.key))
            const locked = yield* found(managers.lock(channel, manager.key))
            yield* managers.update(channel, build.dataManager({ key: manager.key, name: "renamed" }))
            return { unknown, locked }
          })
        )
        expect(locked).toEqual({ unknown: undefined, locked: manager })
        expect(yield* found(managers.find(channel, manager.key))).toEqual({ ...manager, name: "renamed" })
        expect(yield* found(managers.find(channel, other.key))).toEqual(other)
      })
    )

    it.effect("locked by one transaction are locked by the next when that has ended", () =>
      Effect.gen(function* () {
        const managers = yield* DataManagerStore
        const channel = build.channel()
        const manager = build.dataManager()
        yield* commit(channel, managers.insert(channel, manager))
        const seen = yield* inTurn(channel, {
          hold: managers.lock(channel, manager.key),
          change: () => managers.update(channel, { ...manager, name: "first" }),
          see: found(managers.lock(channel, manager.key))
        })
        expect(seen?.name).toBe("first")
      })
    )

    it.effect("make datasets of the keys of their samples, by the samples' creation dates, then keys", () =>
      Effect.gen(function* () {
        const managers = yield* DataManagerStore
        const samples = yield* DataSampleStore
        const channel = build.channel()
        const [manager, other] = [build.dataManager(), build.dataManager()]
        const dates = [2, 2, 3, 1]
        const made = build.keys(4).map((key, index) =>
          build.dataSample({
            key,
            creationDate: build.at(dates[index] as number),
            dataManagerKeys: index === 0 ? [other.key, manager.key] : [manager.key]
          })
        )
        yield* commit(
          channel,
          Effect.gen(function* () {
            yield* managers.insert(channel, manager)
            yield* managers.insert(channel, other)
            for (const sample of made.toReversed()) yield* samples.insert(channel, [sample])
            yield* samples.insert(channel, [build.dataSample()])
          })
        )
        const order = [3, 0, 1, 2].map((index) => made[index]?.key)
        expect(yield* found(managers.findDataset(channel, manager.key))).toEqual({
          dataManager: manager,
          dataSampleKeys: order
        })
        expect(yield* found(managers.findDataset(channel, other.key))).toEqual({
          dataManager: other,
          dataSampleKeys: [made[0]?.key]
        })
        expect(yield* found(managers.findDataset(build.channel(), manager.key))).toBeUndefined()
        expect(yield* found(managers.findDataset(channel, build.key()))).toBeUndefined()
      })
    )

    it.effect("make empty datasets when they have no samples", () =>
      Effect.gen(function* () {
        const managers = yield* DataManagerStore
        const channel = build.channel()
        const manager = build.dataManager()
        yield* commit(channel, managers.insert(channel, manager))
        expect(yield* found(managers.findDataset(channel, manager.key))).toEqual({
          dataManager: manager,
          dataSampleKeys: []
        })
      })
    )
  })
