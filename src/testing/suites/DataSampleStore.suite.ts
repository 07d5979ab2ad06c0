/** Stored data samples. */
import { expect, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Layer from "effect/Layer"
import { DataManagerStore } from "../../services/store/DataManagerStore.ts"
import { DataSampleStore } from "../../services/store/DataSampleStore.ts"
import * as build from "./builders.ts"
import { all, assetPages, cursorOf, walk } from "./pages.ts"
import { commit, found, inTurn, type Store } from "./support.ts"

/** A channel with these managers. */
const withManagers = Effect.fnUntraced(function* (count: number) {
  const managers = yield* DataManagerStore
  const channel = build.channel()
  const made = Array.from({ length: count }, () => build.dataManager())
  yield* commit(
    channel,
    Effect.forEach(made, (manager) => managers.insert(channel, manager))
  )
  return { channel, managers: made.map((manager) => manager.key) }
})

export const suite = <E>(name: string, store: Layer.Layer<Store, E>) =>
  layer(store, { excludeTestServices: true })(`${name}: data samples`, (it) => {
    assetPages(it, {
      open: () => Effect.succeed(build.dataSample),
      insert: (channel, samples) =>
        Effect.flatMap(DataSampleStore, (store) =>
          commit(
            channel,
            Effect.forEach(samples, (sample) => store.insert(channel, [sample]))
          )
        ),
      page: (channel, request) => Effect.flatMap(DataSampleStore, (store) => store.page(channel, {}, request))
    })

    it.effect("read back as they were stored, managers in their order, in their channel only", () =>
      Effect.gen(function* () {
        const samples = yield* DataSampleStore
        const { channel, managers } = yield* withManagers(5)
        const one = build.dataSample({ dataManagerKeys: managers })
        const other = build.dataSample({ dataManagerKeys: [] })
        yield* commit(channel, samples.insert(channel, [one, other]))
        expect(yield* found(samples.find(channel, one.key))).toEqual(one)
        expect(yield* found(samples.find(channel, other.key))).toEqual(other)
        expect(yield* found(samples.find(build.channel(), one.key))).toBeUndefined()
        expect(yield* found(samples.find(channel, build.key()))).toBeUndefined()
        const many = yield* samples.many(channel, [other.key, build.key(), one.key, other.key])
        expect(many).toHaveLength(2)
        expect(new Set(many)).toEqual(new Set([one, other]))
        expect(yield* samples.many(build.channel(), [one.key])).toEqual([])
        expect(yield* samples.many(channel, [])).toEqual([])
      })
    )

    it.effect("take their keys in every channel, all of a batch or none", () =>
      Effect.gen(function* () {
        const samples = yield* DataSampleStore
        const [channel, elsewhere] = [build.channel(), build.channel()]
        const sample = build.dataSample()
        const free = build.dataSample()
        expect(yield* samples.taken([sample.key])).toEqual(new Set())
        yield* commit(channel, samples.insert(channel, [sample]))
        expect(yield* samples.taken([free.key, sample.key, sample.key])).toEqual(new Set([sample.key]))
        expect(yield* samples.taken([])).toEqual(new Set())
        for (const at of [channel, elsewhere]) {
          const batch = [free, build.dataSample({ key: sample.key })]
          const error = yield* Effect.flip(commit(at, samples.insert(at, batch)))
          expect(error).toMatchObject({
            _tag: "Conflict",
            message: `datasample with key "${sample.key}" already exists`
          })
        }
        expect(yield* samples.taken([free.key, sample.key])).toEqual(new Set([sample.key]))
      })
    )

    it.effect("conflict with one of the same batch", () =>
      Effect.gen(function* () {
        const samples = yield* DataSampleStore
        const channel = build.channel()
        const sample = build.dataSample()
        const error = yield* Effect.flip(commit(channel, samples.insert(channel, [sample, sample])))
        expect(error._tag).toBe("Conflict")
        expect(yield* samples.taken([sample.key])).toEqual(new Set())
      })
    )

    it.effect("are refused with a manager that their channel does not have", () =>
      Effect.gen(function* () {
        const samples = yield* DataSampleStore
        const { managers } = yield* withManagers(1)
        const channel = build.channel()
        const sample = build.dataSample({ dataManagerKeys: managers })
        expect(Exit.isFailure(yield* Effect.exit(commit(channel, samples.insert(channel, [sample]))))).toBe(true)
        expect(yield* found(samples.find(channel, sample.key))).toBeUndefined()
      })
    )

    it.effect("can be a batch of none", () =>
      Effect.gen(function* () {
        const samples = yield* DataSampleStore
        const channel = build.channel()
        yield* commit(channel, Effect.andThen(samples.insert(channel, []), samples.update(channel, [])))
        expect(yield* all((request) => samples.page(channel, {}, request))).toEqual([])
      })
    )

    it.effect("are listed by their keys, the unknown and the repeated no error, in pages of any size", () =>
      Effect.gen(function* () {
        const samples = yield* DataSampleStore
        const channel = build.channel()
        const made = [1, 2, 3, 4].map((date) => build.dataSample({ creationDate: build.at(date) }))
        const [one, two, , four] = made.map((sample) => sample.key)
        if (one === undefined || two === undefined || four === undefined) return
        const foreign = build.dataSample()
        const elsewhere = build.channel()
        yield* commit(elsewhere, samples.insert(elsewhere, [foreign]))
        yield* commit(
          channel,
          Effect.forEach(made, (sample) => samples.insert(channel, [sample]))
        )
        const keys = [four, foreign.key, one, build.key(), two, four]
        for (const limit of [1, 2, 3, 10]) {
          const listed = yield* walk((request) => samples.page(channel, { keys }, request), cursorOf, limit)
          expect(listed.map((sample) => sample.key)).toEqual([one, two, four])
        }
        expect(yield* all((request) => samples.page(channel, { keys: [] }, request))).toEqual([])
      })
    )

    it.effect("change their managers and nothing else", () =>
      Effect.gen(function* () {
        const samples = yield* DataSampleStore
        const datasets = yield* DataManagerStore
        const { channel, managers } = yield* withManagers(3)
        const [first, second, third] = managers
        if (first === undefined || second === undefined || third === undefined) return
        const [one, other] = [build.dataSample({ dataManagerKeys: [second] }), build.dataSample()]
        const untouched = build.dataSample({ dataManagerKeys: [first] })
        yield* commit(channel, samples.insert(channel, [one, other, untouched]))
        const locked = yield* commit(
          channel,
          Effect.gen(function* () {
            const locked = yield* samples.lock(channel, [other.key, build.key(), one.key, one.key])
            const foreign = yield* samples.lock(build.channel(), [one.key])
            yield* samples.update(channel, [
              build.dataSample({ key: one.key, dataManagerKeys: [second, third, first], creationDate: build.at(9) }),
              { ...other, dataManagerKeys: [third] }
            ])
            return { locked: new Set(locked), count: locked.length, foreign }
          })
        )
        expect(locked).toEqual({ locked: new Set([one, other]), count: 2, foreign: [] })
        expect(yield* found(samples.find(channel, one.key))).toEqual({
          ...one,
          dataManagerKeys: [second, third, first]
        })
        expect(yield* found(samples.find(channel, other.key))).toEqual({ ...other, dataManagerKeys: [third] })
        expect(yield* found(samples.find(channel, untouched.key))).toEqual(untouched)
        const dataset = yield* found(datasets.findDataset(channel, third))
        expect(new Set(dataset?.dataSampleKeys)).toEqual(new Set([one.key, other.key]))
      })
    )

    it.effect("locked by one transaction are locked by the next when that has ended", () =>
      Effect.gen(function* () {
        const samples = yield* DataSampleStore
        const { channel, managers } = yield* withManagers(1)
        const [one, other] = [build.dataSample(), build.dataSample()]
        yield* commit(channel, samples.insert(channel, [one, other]))
        const seen = yield* inTurn(channel, {
          hold: samples.lock(channel, [one.key]),
          change: () => samples.update(channel, [{ ...one, dataManagerKeys: managers }]),
          see: samples.lock(channel, [other.key, one.key])
        })
        expect(new Set(seen)).toEqual(new Set([{ ...one, dataManagerKeys: managers }, other]))
      })
    )
  })
