/** Stored compute plans. */
import { expect, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import type { ComputePlan } from "../../schema/ComputePlan.ts"
import { TaskStatus } from "../../schema/TaskStatus.ts"
import { ComputePlanStore } from "../../services/store/ComputePlanStore.ts"
import { ComputeTaskStore } from "../../services/store/ComputeTaskStore.ts"
import { FunctionStore } from "../../services/store/FunctionStore.ts"
import * as build from "./builders.ts"
import { all, assetPages, cursorOf, walk } from "./pages.ts"
import { commit, found, insertTasks, inTurn, type Store, world } from "./support.ts"

const insertPlans = (channel: ReturnType<typeof build.channel>, plans: ReadonlyArray<ComputePlan>) =>
  Effect.flatMap(ComputePlanStore, (store) =>
    commit(
      channel,
      Effect.forEach(plans, (plan) => store.insert(channel, plan), { discard: true })
    )
  )

export const suite = <E>(name: string, store: Layer.Layer<Store, E>) =>
  layer(store, { excludeTestServices: true })(`${name}: compute plans`, (it) => {
    assetPages(it, {
      open: () => Effect.succeed(build.computePlan),
      insert: insertPlans,
      page: (channel, request) => Effect.flatMap(ComputePlanStore, (store) => store.page(channel, {}, request))
    })

    it.effect("read back as they were stored, in their channel only", () =>
      Effect.gen(function* () {
        const plans = yield* ComputePlanStore
        const channel = build.channel()
        const one = build.computePlan()
        const other = build.computePlan({ cancelationDate: build.at(1), failureDate: build.at(2), metadata: new Map() })
        yield* insertPlans(channel, [one, other])
        expect(yield* found(plans.find(channel, one.key))).toStrictEqual(one)
        expect(yield* found(plans.find(channel, other.key))).toStrictEqual(other)
        expect(yield* found(plans.find(build.channel(), one.key))).toBeUndefined()
        expect(yield* found(plans.find(channel, build.key()))).toBeUndefined()
        const many = yield* plans.many(channel, [other.key, one.key, build.key(), one.key])
        expect(many).toHaveLength(2)
        expect(new Set(many)).toEqual(new Set([one, other]))
        expect(yield* plans.many(build.channel(), [one.key])).toEqual([])
        expect(yield* plans.many(channel, [])).toEqual([])
      })
    )

    it.effect("take their key in every channel", () =>
      Effect.gen(function* () {
        const plans = yield* ComputePlanStore
        const [channel, elsewhere] = [build.channel(), build.channel()]
        const plan = build.computePlan()
        expect(yield* plans.isTaken(plan.key)).toBe(false)
        yield* insertPlans(channel, [plan])
        expect(yield* plans.isTaken(plan.key)).toBe(true)
        for (const at of [channel, elsewhere]) {
          const error = yield* Effect.flip(insertPlans(at, [build.computePlan({ key: plan.key })]))
          expect(error).toMatchObject({
            _tag: "Conflict",
            message: `computeplan with key "${plan.key}" already exists`
          })
        }
        expect(yield* found(plans.find(channel, plan.key))).toEqual(plan)
      })
    )

    it.effect("are listed by owner, in pages of any size", () =>
      Effect.gen(function* () {
        const plans = yield* ComputePlanStore
        const channel = build.channel()
        const owner = build.organizationId()
        const mine = [1, 2, 3].map((date) => build.computePlan({ owner, creationDate: build.at(date) }))
        yield* insertPlans(channel, [build.computePlan(), ...mine.toReversed(), build.computePlan()])
        const elsewhere = build.channel()
        yield* insertPlans(elsewhere, [build.computePlan({ owner })])
        for (const limit of [1, 2, 3, 10]) {
          const listed = yield* walk((request) => plans.page(channel, { owner }, request), cursorOf, limit)
          expect(listed).toEqual(mine)
        }
        const nobody = build.organizationId()
        expect(yield* all((request) => plans.page(channel, { owner: nobody }, request))).toEqual([])
      })
    )

    it.effect("change their name and dates, and nothing else", () =>
      Effect.gen(function* () {
        const plans = yield* ComputePlanStore
        const channel = build.channel()
        const [one, other, untouched] = [build.computePlan(), build.computePlan(), build.computePlan()]
        yield* insertPlans(channel, [one, other, untouched])
        const locked = yield* commit(
          channel,
          Effect.gen(function* () {
            const locked = yield* plans.lock(channel, [other.key, one.key, build.key(), one.key])
            const foreign = yield* plans.lock(build.channel(), [one.key])
            yield* plans.update(channel, [
              build.computePlan({ key: one.key, name: "renamed", failureDate: build.at(3) }),
              { ...other, cancelationDate: build.at(4) }
            ])
            return { locked: new Set(locked), count: locked.length, foreign }
          })
        )
        expect(locked).toEqual({ locked: new Set([one, other]), count: 2, foreign: [] })
        expect(yield* found(plans.find(channel, one.key))).toStrictEqual({
          ...one,
          name: "renamed",
          failureDate: build.at(3)
        })
        expect(yield* found(plans.find(channel, other.key))).toStrictEqual({ ...other, cancelationDate: build.at(4) })
        expect(yield* found(plans.find(channel, untouched.key))).toStrictEqual(untouched)
      })
    )

    it.effect("locked by one transaction are locked by the next when that has ended", () =>
      Effect.gen(function* () {
        const plans = yield* ComputePlanStore
        const channel = build.channel()
        const [one, other] = [build.computePlan(), build.computePlan()]
        yield* insertPlans(channel, [one, other])
        const seen = yield* inTurn(channel, {
          hold: plans.lock(channel, [one.key]),
          change: () => plans.update(channel, [{ ...one, name: "first" }]),
          see: plans.lock(channel, [one.key, other.key])
        })
        expect(new Set(seen)).toEqual(new Set([{ ...one, name: "first" }, other]))
      })
    )

    it.effect("are found and locked by a task of theirs", () =>
      Effect.gen(function* () {
        const plans = yield* ComputePlanStore
        const { channel, plan, task } = yield* world()
        const one = task()
        yield* insertTasks(channel, one)
        const seen = yield* commit(
          channel,
          Effect.gen(function* () {
            const ofTask = yield* found(plans.lockOfTask(channel, one.key))
            const unknown = yield* found(plans.lockOfTask(channel, build.key()))
            const foreign = yield* found(plans.lockOfTask(build.channel(), one.key))
            yield* plans.update(channel, [{ ...plan, name: "by task" }])
            return { ofTask, unknown, foreign }
          })
        )
        expect(seen).toEqual({ ofTask: plan, unknown: undefined, foreign: undefined })
        const next = yield* inTurn(channel, {
          hold: plans.lockOfTask(channel, one.key),
          change: () => plans.update(channel, [{ ...plan, failureDate: build.at(1) }]),
          see: found(plans.lockOfTask(channel, one.key))
        })
        expect(next?.failureDate).toBe(build.at(1))
      })
    )

    it.effect("are found and locked by a function that tasks of theirs wait for in BUILDING", () =>
      Effect.gen(function* () {
        const functions = yield* FunctionStore
        const plans = yield* ComputePlanStore
        const { channel, fn, plan, task } = yield* world()
        const otherFunction = build.fn()
        const [second, waiting, ofOther] = [build.computePlan(), build.computePlan(), build.computePlan()]
        yield* commit(channel, functions.insert(channel, otherFunction))
        yield* insertPlans(channel, [second, waiting, ofOther])
        yield* insertTasks(
          channel,
          task({ status: "STATUS_BUILDING" }),
          task({ status: "STATUS_BUILDING" }),
          task({ status: "STATUS_BUILDING", computePlanKey: second.key }),
          task({ status: "STATUS_WAITING_FOR_BUILDER_SLOT", computePlanKey: waiting.key }),
          task({ status: "STATUS_BUILDING", computePlanKey: ofOther.key, functionKey: otherFunction.key })
        )
        const seen = yield* commit(
          channel,
          Effect.gen(function* () {
            const locked = yield* plans.lockOfFunction(channel, fn.key, ["STATUS_BUILDING"])
            const foreign = yield* plans.lockOfFunction(build.channel(), fn.key, ["STATUS_BUILDING"])
            yield* plans.update(
              channel,
              locked.map((one) => ({ ...one, failureDate: build.at(1) }))
            )
            return { locked: new Set(locked), count: locked.length, foreign }
          })
        )
        expect(seen).toEqual({ locked: new Set([plan, second]), count: 2, foreign: [] })
        expect((yield* found(plans.find(channel, second.key)))?.failureDate).toBe(build.at(1))
        expect((yield* found(plans.find(channel, waiting.key)))?.failureDate).toBeUndefined()
        const names = yield* inTurn(channel, {
          hold: plans.lockOfFunction(channel, fn.key, ["STATUS_BUILDING"]),
          change: (locked) =>
            plans.update(
              channel,
              locked.map((one) => ({ ...one, name: "first" }))
            ),
          see: Effect.map(plans.lockOfFunction(channel, fn.key, ["STATUS_BUILDING"]), (locked) =>
            locked.map((one) => one.name)
          )
        })
        expect(names).toEqual(["first", "first"])
      })
    )

    it.effect("tell what their tasks are up to", () =>
      Effect.gen(function* () {
        const plans = yield* ComputePlanStore
        const tasks = yield* ComputeTaskStore
        const { channel, plan, task } = yield* world()
        const activity = Effect.map(found(plans.findActivity(channel, plan.key)), (one) => [
          one?.hasBroken,
          one?.hasUnfinished
        ])
        expect(yield* found(plans.findActivity(channel, plan.key))).toEqual({
          plan,
          hasBroken: false,
          hasUnfinished: false
        })
        expect(yield* found(plans.findActivity(build.channel(), plan.key))).toBeUndefined()
        expect(yield* found(plans.findActivity(channel, build.key()))).toBeUndefined()

        yield* insertTasks(channel, task({ status: "STATUS_DONE" }))
        expect(yield* activity).toEqual([false, false])
        const one = task()
        yield* insertTasks(channel, one)
        for (const status of TaskStatus.literals) {
          const move = Effect.andThen(tasks.lock(channel, one.key), tasks.setStatus(channel, [one.key], status))
          yield* commit(channel, move)
          const isBroken = status === "STATUS_FAILED" || status === "STATUS_CANCELED"
          expect(yield* activity).toEqual([isBroken, !isBroken && status !== "STATUS_DONE"])
        }
      })
    )

    it.effect("tell of a broken task and an unfinished one at once", () =>
      Effect.gen(function* () {
        const plans = yield* ComputePlanStore
        const { channel, plan, task } = yield* world()
        yield* insertTasks(channel, task({ status: "STATUS_CANCELED" }), task({ status: "STATUS_BUILDING" }))
        expect(yield* found(plans.findActivity(channel, plan.key))).toEqual({
          plan,
          hasBroken: true,
          hasUnfinished: true
        })
      })
    )
  })
