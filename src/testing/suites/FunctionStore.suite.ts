/** Stored functions. */
import { expect, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import { ComputePlanStore } from "../../services/store/ComputePlanStore.ts"
import { ComputeTaskStore } from "../../services/store/ComputeTaskStore.ts"
import { FunctionStore } from "../../services/store/FunctionStore.ts"
import * as build from "./builders.ts"
import { all, assetPages, cursorOf, walk } from "./pages.ts"
import { commit, found, insertTasks, inTurn, type Store, world } from "./support.ts"

export const suite = <E>(name: string, store: Layer.Layer<Store, E>) =>
  layer(store, { excludeTestServices: true })(`${name}: functions`, (it) => {
    assetPages(it, {
      open: () => Effect.succeed(build.fn),
      insert: (channel, functions) =>
        Effect.flatMap(FunctionStore, (store) =>
          commit(
            channel,
            Effect.forEach(functions, (fn) => store.insert(channel, fn))
          )
        ),
      page: (channel, request) => Effect.flatMap(FunctionStore, (store) => store.page(channel, {}, request))
    })

    it.effect("read back as they were stored, in their channel only", () =>
      Effect.gen(function* () {
        const functions = yield* FunctionStore
        const channel = build.channel()
        const fn = build.fn({ image: build.address(), status: "FUNCTION_STATUS_READY" })
        yield* commit(channel, functions.insert(channel, fn))
        expect(yield* found(functions.find(channel, fn.key))).toEqual(fn)
        expect(yield* found(functions.find(build.channel(), fn.key))).toBeUndefined()
        expect(yield* found(functions.find(channel, build.key()))).toBeUndefined()
      })
    )

    it.effect("may be without inputs, outputs and metadata", () =>
      Effect.gen(function* () {
        const functions = yield* FunctionStore
        const channel = build.channel()
        const fn = build.fn({ inputs: new Map(), outputs: new Map(), metadata: new Map() })
        yield* commit(channel, functions.insert(channel, fn))
        expect(yield* found(functions.find(channel, fn.key))).toEqual(fn)
      })
    )

    it.effect("are locked and shared in their channel only", () =>
      Effect.gen(function* () {
        const functions = yield* FunctionStore
        const channel = build.channel()
        const [one, other] = [build.fn(), build.fn()]
        const foreign = build.fn()
        yield* commit(channel, Effect.andThen(functions.insert(channel, one), functions.insert(channel, other)))
        const elsewhere = build.channel()
        yield* commit(elsewhere, functions.insert(elsewhere, foreign))
        const seen = yield* commit(
          channel,
          Effect.gen(function* () {
            return {
              locked: yield* found(functions.lock(channel, one.key)),
              unknown: yield* found(functions.lock(channel, build.key())),
              foreign: yield* found(functions.lock(channel, foreign.key)),
              shared: yield* functions.share(channel, [other.key, foreign.key, one.key, build.key(), other.key]),
              none: yield* functions.share(channel, [])
            }
          })
        )
        expect({ ...seen, shared: new Set(seen.shared) }).toEqual({
          locked: one,
          unknown: undefined,
          foreign: undefined,
          shared: new Set([one, other]),
          none: []
        })
        expect(seen.shared).toHaveLength(2)
      })
    )

    it.effect("take their key in every channel", () =>
      Effect.gen(function* () {
        const functions = yield* FunctionStore
        const [channel, elsewhere] = [build.channel(), build.channel()]
        const fn = build.fn()
        expect(yield* functions.isTaken(fn.key)).toBe(false)
        yield* commit(channel, functions.insert(channel, fn))
        expect(yield* functions.isTaken(fn.key)).toBe(true)
        for (const at of [channel, elsewhere]) {
          const error = yield* Effect.flip(commit(at, functions.insert(at, build.fn({ key: fn.key }))))
          expect(error).toMatchObject({
            _tag: "Conflict",
            message: `function with key "${fn.key}" already exists`
          })
        }
        expect(yield* found(functions.find(channel, fn.key))).toEqual(fn)
        expect(yield* found(functions.find(elsewhere, fn.key))).toBeUndefined()
      })
    )

    it.effect("share no keys with assets of another kind", () =>
      Effect.gen(function* () {
        const functions = yield* FunctionStore
        const plans = yield* ComputePlanStore
        const channel = build.channel()
        const fn = build.fn()
        yield* commit(channel, functions.insert(channel, fn))
        expect(yield* plans.isTaken(fn.key)).toBe(false)
        yield* commit(channel, plans.insert(channel, build.computePlan({ key: fn.key })))
      })
    )

    it.effect("change their name, image and status, and nothing else", () =>
      Effect.gen(function* () {
        const functions = yield* FunctionStore
        const channel = build.channel()
        const [fn, other] = [build.fn(), build.fn()]
        yield* commit(channel, Effect.andThen(functions.insert(channel, fn), functions.insert(channel, other)))
        const change = { name: "renamed", image: build.address(), status: "FUNCTION_STATUS_BUILDING" } as const
        yield* commit(
          channel,
          Effect.andThen(
            functions.lock(channel, fn.key),
            functions.update(channel, build.fn({ ...change, key: fn.key, creationDate: build.at(7) }))
          )
        )
        expect(yield* found(functions.find(channel, fn.key))).toEqual({ ...fn, ...change })
        expect(yield* found(functions.find(channel, other.key))).toEqual(other)
      })
    )

    it.effect("of a plan are those that its tasks use, each once, in pages of any size", () =>
      Effect.gen(function* () {
        const functions = yield* FunctionStore
        const plans = yield* ComputePlanStore
        const { channel, fn, plan, task } = yield* world()
        const other = build.computePlan()
        const ordered = [1, 2, 3].map((date) => build.fn({ creationDate: build.at(date) }))
        const unused = build.fn()
        yield* commit(
          channel,
          Effect.gen(function* () {
            yield* plans.insert(channel, other)
            for (const one of [...ordered, unused]) yield* functions.insert(channel, one)
          })
        )
        const uses = [...ordered.toReversed(), ...ordered].map((one) => task({ functionKey: one.key }))
        yield* insertTasks(channel, ...uses, task({ computePlanKey: other.key }))
        const ofPlan = (computePlanKey: typeof plan.key) => (request: Parameters<typeof functions.page>[2]) =>
          functions.page(channel, { computePlanKey }, request)
        for (const limit of [1, 2, 3, 10]) {
          expect(yield* walk(ofPlan(plan.key), cursorOf, limit)).toEqual(ordered)
        }
        expect(yield* all(ofPlan(other.key))).toEqual([fn])
        expect(yield* all(ofPlan(build.key()))).toEqual([])
        const elsewhere = yield* all((request) =>
          functions.page(build.channel(), { computePlanKey: plan.key }, request)
        )
        expect(elsewhere).toEqual([])
      })
    )

    it.effect("locked by one transaction are locked by the next when that has ended", () =>
      Effect.gen(function* () {
        const functions = yield* FunctionStore
        const { channel, fn } = yield* world()
        const seen = yield* inTurn(channel, {
          hold: functions.lock(channel, fn.key),
          change: () => functions.update(channel, { ...fn, name: "first" }),
          see: found(functions.lock(channel, fn.key))
        })
        expect(seen?.name).toBe("first")
      })
    )

    it.effect("locked by one transaction are shared by the next when that has ended", () =>
      Effect.gen(function* () {
        const functions = yield* FunctionStore
        const { channel, fn } = yield* world()
        const [seen] = yield* inTurn(channel, {
          hold: functions.lock(channel, fn.key),
          change: () => functions.update(channel, { ...fn, status: "FUNCTION_STATUS_CANCELED" }),
          see: functions.share(channel, [fn.key])
        })
        expect(seen?.status).toBe("FUNCTION_STATUS_CANCELED")
      })
    )

    it.effect("shared by one transaction are locked by the next with the tasks that were registered", () =>
      Effect.gen(function* () {
        const functions = yield* FunctionStore
        const tasks = yield* ComputeTaskStore
        const { channel, fn, task } = yield* world()
        const registered = task()
        const seen = yield* inTurn(channel, {
          hold: functions.share(channel, [fn.key]),
          change: () => tasks.insert(channel, [registered]),
          see: Effect.andThen(
            functions.lock(channel, fn.key),
            tasks.lockOfFunction(channel, fn.key, [registered.status])
          )
        })
        expect(seen).toEqual([{ task: registered, waitsForParents: false }])
      })
    )
  })
