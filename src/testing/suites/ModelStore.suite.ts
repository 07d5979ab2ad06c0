/** Stored models. */
import { expect, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Layer from "effect/Layer"
import type { ChannelName, Key } from "../../schema/Key.ts"
import { ComputeTaskStore } from "../../services/store/ComputeTaskStore.ts"
import { ModelStore, type OutputModel } from "../../services/store/ModelStore.ts"
import * as build from "./builders.ts"
import { commit, found, insertTasks, inTurn, type Store, world } from "./support.ts"

/** Stores models of a task that is locked for it. */
const insertModels = (channel: ChannelName, task: { readonly key: Key }, ...models: ReadonlyArray<OutputModel>) =>
  Effect.gen(function* () {
    const tasks = yield* ComputeTaskStore
    const store = yield* ModelStore
    yield* commit(channel, Effect.andThen(tasks.lock(channel, task.key), store.insert(channel, models)))
  })

const output = (task: { readonly key: Key }, outputIdentifier = "model", fields = {}): OutputModel => ({
  model: build.model(task, fields),
  outputIdentifier
})

/** A channel with two tasks. */
const withTasks = Effect.gen(function* () {
  const { channel, task } = yield* world()
  const [one, other] = [task(), task()]
  yield* insertTasks(channel, one, other)
  return { channel, one, other }
})

export const suite = <E>(name: string, store: Layer.Layer<Store, E>) =>
  layer(store, { excludeTestServices: true })(`${name}: models`, (it) => {
    it.effect("read back as they were stored, in their channel only", () =>
      Effect.gen(function* () {
        const models = yield* ModelStore
        const { channel, one, other } = yield* withTasks
        const [first, second] = [output(one), output(other)]
        yield* insertModels(channel, one, first)
        yield* insertModels(channel, other, second)
        expect(yield* found(models.find(channel, first.model.key))).toStrictEqual(first.model)
        expect(yield* found(models.find(build.channel(), first.model.key))).toBeUndefined()
        expect(yield* found(models.find(channel, build.key()))).toBeUndefined()
        const keys = [second.model.key, first.model.key, build.key(), first.model.key]
        const many = yield* models.many(channel, keys)
        expect(many).toHaveLength(2)
        expect(new Set(many)).toEqual(new Set([first.model, second.model]))
        expect(yield* models.many(build.channel(), keys)).toEqual([])
        expect(yield* models.many(channel, [])).toEqual([])
      })
    )

    it.effect("of a task are listed in the order of their registration, whatever their keys", () =>
      Effect.gen(function* () {
        const models = yield* ModelStore
        const { channel, one, other } = yield* withTasks
        const made = build.keys(6).map((key, index) => output(one, index % 2 ? "model" : "other", { key }))
        const ordered = [5, 2, 4, 0, 1, 3].map((index) => made[index] as OutputModel)
        yield* insertModels(channel, one, ...ordered.slice(0, 3))
        yield* insertModels(channel, other, output(other))
        yield* insertModels(channel, one, ...ordered.slice(3))
        expect(yield* models.ofTasks(channel, [one.key])).toEqual(ordered)
      })
    )

    it.effect("of several tasks are listed together, each once", () =>
      Effect.gen(function* () {
        const models = yield* ModelStore
        const { channel, one, other } = yield* withTasks
        const ofOne = [output(one), output(one)]
        const ofOther = [output(other), output(other)]
        yield* insertModels(channel, other, ...ofOther)
        yield* insertModels(channel, one, ...ofOne)
        const listed = yield* models.ofTasks(channel, [one.key, build.key(), other.key, one.key])
        const listedOf = (task: { readonly key: Key }) =>
          listed.filter(({ model }) => model.computeTaskKey === task.key)
        expect(listed).toHaveLength(4)
        expect(listedOf(one)).toEqual(ofOne)
        expect(listedOf(other)).toEqual(ofOther)
        expect(yield* models.ofTasks(channel, [])).toEqual([])
        expect(yield* models.ofTasks(channel, [build.key()])).toEqual([])
        expect(yield* models.ofTasks(build.channel(), [one.key])).toEqual([])
      })
    )

    it.effect("take their keys in every channel, all of a batch or none", () =>
      Effect.gen(function* () {
        const models = yield* ModelStore
        const { channel, one } = yield* withTasks
        const elsewhere = yield* withTasks
        const [taken, free] = [output(one), build.key()]
        const { key } = taken.model
        expect(yield* models.taken([key])).toEqual(new Set())
        yield* insertModels(channel, one, taken)
        expect(yield* models.taken([free, key, key])).toEqual(new Set([key]))
        expect(yield* models.taken([])).toEqual(new Set())
        for (const at of [{ channel, one }, elsewhere]) {
          const batch = [output(at.one, "model", { key: free }), output(at.one, "model", { key })]
          const error = yield* Effect.flip(insertModels(at.channel, at.one, ...batch))
          expect(error).toMatchObject({ _tag: "Conflict", message: `model with key "${key}" already exists` })
        }
        expect(yield* models.taken([free, key])).toEqual(new Set([key]))
        expect(yield* models.ofTasks(channel, [one.key])).toEqual([taken])
      })
    )

    it.effect("are refused for a task that their channel does not have", () =>
      Effect.gen(function* () {
        const models = yield* ModelStore
        const { one } = yield* withTasks
        const { channel } = yield* withTasks
        const model = output(one)
        expect(Exit.isFailure(yield* Effect.exit(insertModels(channel, one, model)))).toBe(true)
        expect(yield* models.taken([model.model.key])).toEqual(new Set())
      })
    )

    it.effect("that are disabled lose their address, and keep all else and their place", () =>
      Effect.gen(function* () {
        const tasks = yield* ComputeTaskStore
        const models = yield* ModelStore
        const { channel, one } = yield* withTasks
        const made = [output(one), output(one, "other"), output(one)] as const
        yield* insertModels(channel, one, ...made)
        const disable = models.disable(channel, [made[2].model.key, made[0].model.key])
        yield* commit(channel, Effect.andThen(tasks.lock(channel, one.key), disable))
        const withoutAddress = ({ model: { address: _, ...model }, outputIdentifier }: OutputModel) => ({
          model,
          outputIdentifier
        })
        expect(yield* models.ofTasks(channel, [one.key])).toStrictEqual([
          withoutAddress(made[0]),
          made[1],
          withoutAddress(made[2])
        ])
        expect(yield* found(models.find(channel, made[0].model.key))).toStrictEqual(withoutAddress(made[0]).model)
        expect(yield* models.taken([made[0].model.key])).toEqual(new Set([made[0].model.key]))
      })
    )

    it.effect("of two transactions on one task stand in the order of these", () =>
      Effect.gen(function* () {
        const tasks = yield* ComputeTaskStore
        const models = yield* ModelStore
        const { channel, one } = yield* withTasks
        const [first, second] = [output(one), output(one)]
        const seen = yield* inTurn(channel, {
          hold: tasks.lock(channel, one.key),
          change: () => models.insert(channel, [first]),
          see: Effect.gen(function* () {
            yield* tasks.lock(channel, one.key)
            yield* models.insert(channel, [second])
            return yield* models.ofTasks(channel, [one.key])
          })
        })
        expect(seen).toEqual([first])
        expect(yield* models.ofTasks(channel, [one.key])).toEqual([first, second])
      })
    )
  })
