/** Stored compute tasks: what is read and written. What is locked: ComputeTaskLocks.suite.ts. */
import { expect, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Layer from "effect/Layer"
import type { ComputeTask } from "../../schema/ComputeTask.ts"
import { ComputePlanStore } from "../../services/store/ComputePlanStore.ts"
import { type ComputeTaskFilter, ComputeTaskStore } from "../../services/store/ComputeTaskStore.ts"
import { FunctionStore } from "../../services/store/FunctionStore.ts"
import { OrganizationStore } from "../../services/store/OrganizationStore.ts"
import * as build from "./builders.ts"
import { all, assetPages, cursorOf, walk } from "./pages.ts"
import { commit, found, insertTasks, type Store, world } from "./support.ts"

/** A task's worker, function and plan in a channel. */
const openTasks = Effect.fnUntraced(function* (channel: ReturnType<typeof build.channel>) {
  const organizations = yield* OrganizationStore
  const functions = yield* FunctionStore
  const plans = yield* ComputePlanStore
  const [worker, fn, plan] = [build.organization(), build.fn(), build.computePlan()]
  yield* commit(
    channel,
    Effect.gen(function* () {
      yield* organizations.insert(channel, worker)
      yield* functions.insert(channel, fn)
      yield* plans.insert(channel, plan)
    })
  )
  return (fields: Partial<ComputeTask>) =>
    build.computeTask({ worker: worker.id, functionKey: fn.key, computePlanKey: plan.key }, fields)
})

export const suite = <E>(name: string, store: Layer.Layer<Store, E>) =>
  layer(store, { excludeTestServices: true })(`${name}: compute tasks`, (it) => {
    assetPages(it, {
      open: openTasks,
      insert: (channel, tasks) => insertTasks(channel, ...tasks),
      page: (channel, request) => Effect.flatMap(ComputeTaskStore, (store) => store.page(channel, {}, request))
    })

    it.effect("read back as they were stored, inputs in their order, in their channel only", () =>
      Effect.gen(function* () {
        const tasks = yield* ComputeTaskStore
        const { channel, task } = yield* world()
        const parents = [task(), task(), task()]
        const inputs = [
          { identifier: "b", assetKey: build.key() },
          ...build.fromParents(...parents),
          { identifier: "a", assetKey: build.key() },
          ...build.fromParents(...parents.slice(0, 1))
        ]
        const one = task({ inputs, rank: 1, status: "STATUS_WAITING_FOR_PARENT_TASKS" })
        const bare = task({ inputs: [], outputs: new Map(), metadata: new Map() })
        yield* commit(channel, tasks.insert(channel, [...parents, one, bare]))
        expect(yield* found(tasks.find(channel, one.key))).toStrictEqual(one)
        expect(yield* found(tasks.find(channel, bare.key))).toStrictEqual(bare)
        expect(yield* found(tasks.find(build.channel(), one.key))).toBeUndefined()
        expect(yield* found(tasks.find(channel, build.key()))).toBeUndefined()
      })
    )

    it.effect("take their keys in every channel, all of a batch or none", () =>
      Effect.gen(function* () {
        const tasks = yield* ComputeTaskStore
        const { channel, task } = yield* world()
        const elsewhere = yield* world()
        const [one, free] = [task(), build.key()]
        expect(yield* tasks.taken([one.key])).toEqual(new Set())
        yield* insertTasks(channel, one)
        expect(yield* tasks.taken([free, one.key, one.key])).toEqual(new Set([one.key]))
        expect(yield* tasks.taken([])).toEqual(new Set())
        for (const at of [{ channel, task }, elsewhere]) {
          const batch = [at.task({ key: free }), at.task({ key: one.key })]
          const error = yield* Effect.flip(commit(at.channel, tasks.insert(at.channel, batch)))
          expect(error).toMatchObject({
            _tag: "Conflict",
            message: `computetask with key "${one.key}" already exists`
          })
        }
        expect(yield* tasks.taken([free, one.key])).toEqual(new Set([one.key]))
      })
    )

    it.effect("conflict with one of the same batch", () =>
      Effect.gen(function* () {
        const tasks = yield* ComputeTaskStore
        const { channel, task } = yield* world()
        const one = task()
        const error = yield* Effect.flip(commit(channel, tasks.insert(channel, [one, one])))
        expect(error._tag).toBe("Conflict")
        expect(yield* tasks.taken([one.key])).toEqual(new Set())
      })
    )

    it.effect("can be a batch of none", () =>
      Effect.gen(function* () {
        const tasks = yield* ComputeTaskStore
        const { channel } = yield* world()
        yield* commit(
          channel,
          Effect.andThen(tasks.insert(channel, []), tasks.setStatus(channel, [], "STATUS_CANCELED"))
        )
        expect(yield* all((request) => tasks.page(channel, {}, request))).toEqual([])
      })
    )

    it.effect("are refused when their channel lacks their function, plan or a parent", () =>
      Effect.gen(function* () {
        const tasks = yield* ComputeTaskStore
        const { channel, task } = yield* world()
        const elsewhere = yield* world()
        const foreignParent = elsewhere.task()
        yield* insertTasks(elsewhere.channel, foreignParent)
        const wrong = [
          task({ functionKey: build.key() }),
          task({ functionKey: elsewhere.fn.key }),
          task({ computePlanKey: build.key() }),
          task({ computePlanKey: elsewhere.plan.key }),
          task({ inputs: build.fromParents(task()) }),
          task({ inputs: build.fromParents(foreignParent) })
        ]
        for (const one of wrong) {
          expect(Exit.isFailure(yield* Effect.exit(insertTasks(channel, task(), one)))).toBe(true)
          expect(yield* all((request) => tasks.page(channel, {}, request))).toEqual([])
        }
      })
    )

    it.effect("change their status and nothing else", () =>
      Effect.gen(function* () {
        const tasks = yield* ComputeTaskStore
        const { channel, task } = yield* world()
        const [one, other, untouched] = [task(), task(), task()]
        yield* insertTasks(channel, one, other, untouched)
        yield* commit(
          channel,
          Effect.gen(function* () {
            yield* tasks.lock(channel, one.key)
            yield* tasks.lock(channel, other.key)
            yield* tasks.setStatus(channel, [one.key, other.key], "STATUS_BUILDING")
            yield* tasks.setStatus(channel, [other.key], "STATUS_CANCELED")
            expect(yield* found(tasks.find(channel, one.key))).toEqual(one)
          })
        )
        expect(yield* found(tasks.find(channel, one.key))).toEqual({ ...one, status: "STATUS_BUILDING" })
        expect(yield* found(tasks.find(channel, other.key))).toEqual({ ...other, status: "STATUS_CANCELED" })
        expect(yield* found(tasks.find(channel, untouched.key))).toEqual(untouched)
      })
    )

    it.effect("are listed by worker, status, plan and function, all together, in pages of any size", () =>
      Effect.gen(function* () {
        const tasks = yield* ComputeTaskStore
        const organizations = yield* OrganizationStore
        const functions = yield* FunctionStore
        const plans = yield* ComputePlanStore
        const { channel, fn, organization, plan, task } = yield* world()
        const [otherWorker, otherFunction, otherPlan] = [build.organization(), build.fn(), build.computePlan()]
        yield* commit(
          channel,
          Effect.gen(function* () {
            yield* organizations.insert(channel, otherWorker)
            yield* functions.insert(channel, otherFunction)
            yield* plans.insert(channel, otherPlan)
          })
        )
        const workers = [organization.id, otherWorker.id]
        const statuses = ["STATUS_BUILDING", "STATUS_DONE"] as const
        const planKeys = [plan.key, otherPlan.key]
        const functionKeys = [fn.key, otherFunction.key]
        const made = Array.from({ length: 32 }, (_, n) =>
          task({
            creationDate: build.at(n),
            worker: workers[n & 1] as (typeof workers)[number],
            status: statuses[(n >> 1) & 1] as (typeof statuses)[number],
            computePlanKey: planKeys[(n >> 2) & 1] as (typeof planKeys)[number],
            functionKey: functionKeys[(n >> 3) & 1] as (typeof functionKeys)[number]
          })
        )
        yield* insertTasks(channel, ...made.toReversed())
        const { computePlanKey, functionKey, status, worker } = made[5] as ComputeTask
        for (let conditions = 0; conditions < 16; conditions++) {
          const filter: ComputeTaskFilter = {
            ...(conditions & 1 ? { worker } : {}),
            ...(conditions & 2 ? { status } : {}),
            ...(conditions & 4 ? { computePlanKey } : {}),
            ...(conditions & 8 ? { functionKey } : {})
          }
          const names = Object.keys(filter) as Array<keyof ComputeTaskFilter>
          const fitting = made.filter((one) => names.every((name) => one[name] === filter[name]))
          for (const limit of [1, 3, 100]) {
            const listed = yield* walk((request) => tasks.page(channel, filter, request), cursorOf, limit)
            expect(listed).toEqual(fitting)
          }
        }
      })
    )

    it.effect("are listed by their new status once it has changed", () =>
      Effect.gen(function* () {
        const tasks = yield* ComputeTaskStore
        const { channel, plan, task } = yield* world()
        const [one, other] = [task({ creationDate: build.at(1) }), task({ creationDate: build.at(2) })]
        yield* insertTasks(channel, one, other)
        yield* commit(
          channel,
          Effect.andThen(tasks.lock(channel, one.key), tasks.setStatus(channel, [one.key], "STATUS_BUILDING"))
        )
        const inStatus = (filter: ComputeTaskFilter) => all((request) => tasks.page(channel, filter, request))
        const changed = { ...one, status: "STATUS_BUILDING" as const }
        for (const more of [{}, { computePlanKey: plan.key }, { functionKey: one.functionKey }]) {
          expect(yield* inStatus({ status: "STATUS_BUILDING", ...more })).toEqual([changed])
          expect(yield* inStatus({ status: other.status, ...more })).toEqual([other])
        }
        expect(yield* inStatus({})).toEqual([changed, other])
      })
    )

    it.effect("of another channel's plan, function or worker are not listed", () =>
      Effect.gen(function* () {
        const tasks = yield* ComputeTaskStore
        const { channel, fn, organization, plan, task } = yield* world()
        yield* insertTasks(channel, task())
        const elsewhere = yield* world()
        for (const filter of [
          { computePlanKey: plan.key },
          { functionKey: fn.key },
          { worker: organization.id },
          { computePlanKey: build.key() }
        ]) {
          expect(yield* all((request) => tasks.page(elsewhere.channel, filter, request))).toEqual([])
        }
      })
    )
  })
