/**
 * What transactions hold of tasks and find out about those around them. The scenarios in which two of them meet are
 * those that leave a child waiting for ever where a lock is missing.
 */
import { expect, layer } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import type { ComputeTask } from "../../schema/ComputeTask.ts"
import type { ChannelName, Key } from "../../schema/Key.ts"
import { TaskStatus } from "../../schema/TaskStatus.ts"
import { ComputeTaskStore } from "../../services/store/ComputeTaskStore.ts"
import { FunctionStore } from "../../services/store/FunctionStore.ts"
import type { ReadError } from "../../services/store/StoreError.ts"
import type { UnitOfWork } from "../../services/store/UnitOfWork.ts"
import * as build from "./builders.ts"
import { commit, found, insertTasks, inTurn, meanwhile, type Store, world } from "./support.ts"

const waiting = "STATUS_WAITING_FOR_PARENT_TASKS"
const ready = "STATUS_WAITING_FOR_EXECUTOR_SLOT"

/** Finishes a task as the service does: children that waited for it last are set free. */
const finish = Effect.fnUntraced(function* (channel: ChannelName, key: Key) {
  const tasks = yield* ComputeTaskStore
  const finishing = yield* found(tasks.lockForDone(channel, key))
  const released = finishing?.released.map((child) => child.key) ?? []
  yield* tasks.setStatus(channel, [key], "STATUS_DONE")
  yield* tasks.setStatus(channel, released, ready)
  return released
})

const statusOf = (channel: ChannelName, { key }: ComputeTask) =>
  Effect.flatMap(ComputeTaskStore, (tasks) => Effect.map(found(tasks.find(channel, key)), (task) => task?.status))

export const suite = <E>(name: string, store: Layer.Layer<Store, E>) =>
  layer(store, { excludeTestServices: true })(`${name}: locks on compute tasks`, (it) => {
    it.effect("give the task with the outputs that its function declares", () =>
      Effect.gen(function* () {
        const tasks = yield* ComputeTaskStore
        const { channel, fn, task } = yield* world()
        const one = task()
        yield* insertTasks(channel, one)
        const seen = yield* commit(
          channel,
          Effect.gen(function* () {
            return {
              locked: yield* found(tasks.lock(channel, one.key)),
              unknown: yield* found(tasks.lock(channel, build.key())),
              foreign: yield* found(tasks.lock(build.channel(), one.key))
            }
          })
        )
        expect(seen).toEqual({
          locked: { task: one, functionOutputs: fn.outputs },
          unknown: undefined,
          foreign: undefined
        })
      })
    )

    it.effect("give the statuses of the task's children, each child once", () =>
      Effect.gen(function* () {
        const tasks = yield* ComputeTaskStore
        const { channel, fn, task } = yield* world()
        const [parent, other] = [task(), task()]
        const children = [
          task({ inputs: build.fromParents(parent, other, parent, parent), status: waiting }),
          task({ inputs: build.fromParents(parent), status: waiting }),
          task({ inputs: build.fromParents(parent), status: "STATUS_FAILED" })
        ]
        const grandchild = task({ inputs: build.fromParents(children[0] as ComputeTask), status: "STATUS_CANCELED" })
        yield* insertTasks(channel, parent, other, ...children, grandchild)
        const seen = yield* commit(
          channel,
          Effect.gen(function* () {
            return {
              locked: yield* found(tasks.lockWithChildren(channel, parent.key)),
              childless: yield* found(tasks.lockWithChildren(channel, grandchild.key)),
              unknown: yield* found(tasks.lockWithChildren(channel, build.key()))
            }
          })
        )
        expect(seen.locked?.task).toEqual(parent)
        expect(seen.locked?.functionOutputs).toEqual(fn.outputs)
        expect(seen.locked?.childStatuses.toSorted()).toEqual(["STATUS_FAILED", waiting, waiting])
        expect(seen.childless?.childStatuses).toEqual([])
        expect(seen.unknown).toBeUndefined()
      })
    )

    it.effect("for DONE give the children whose other parents are all DONE, each once, by date, then key", () =>
      Effect.gen(function* () {
        const tasks = yield* ComputeTaskStore
        const { channel, task } = yield* world()
        const [parent, done, executing] = [
          task(),
          task({ status: "STATUS_DONE" }),
          task({ status: "STATUS_EXECUTING" })
        ]
        const keys = build.keys(3)
        const child = (fields: Partial<ComputeTask>) =>
          task({ inputs: build.fromParents(parent), status: waiting, ...fields })
        const released = [
          child({ creationDate: build.at(1) }),
          child({ creationDate: build.at(2), key: keys[0] as Key, inputs: build.fromParents(parent, done, parent) }),
          child({ creationDate: build.at(2), key: keys[1] as Key, inputs: build.fromParents(done, parent) }),
          child({ creationDate: build.at(2), key: keys[2] as Key })
        ]
        const others = [
          child({ inputs: build.fromParents(parent, executing) }),
          child({ inputs: build.fromParents(done) }),
          child({ inputs: build.fromParents(released[0] as ComputeTask) }),
          ...TaskStatus.literals.filter((status) => status !== waiting).map((status) => child({ status }))
        ]
        yield* insertTasks(channel, parent, done, executing, ...released.toReversed(), ...others)
        const seen = yield* commit(
          channel,
          Effect.gen(function* () {
            return {
              finishing: yield* found(tasks.lockForDone(channel, parent.key)),
              unknown: yield* found(tasks.lockForDone(channel, build.key())),
              foreign: yield* found(tasks.lockForDone(build.channel(), parent.key))
            }
          })
        )
        expect(seen).toEqual({ finishing: { task: parent, released }, unknown: undefined, foreign: undefined })
      })
    )

    it.effect("for DONE hold the children too", () =>
      Effect.gen(function* () {
        const tasks = yield* ComputeTaskStore
        const { channel, task } = yield* world()
        const parent = task({ status: "STATUS_EXECUTING" })
        const child = task({ inputs: build.fromParents(parent), status: waiting })
        yield* insertTasks(channel, parent, child)
        const seen = yield* inTurn(channel, {
          hold: tasks.lockForDone(channel, parent.key),
          change: () => tasks.setStatus(channel, [child.key], ready),
          see: found(tasks.lock(channel, child.key))
        })
        expect(seen?.task.status).toBe(ready)
      })
    )

    it.effect(
      "of a function give its tasks in these statuses by date, then key, and whether a parent is not DONE",
      () =>
        Effect.gen(function* () {
          const functions = yield* FunctionStore
          const tasks = yield* ComputeTaskStore
          const { channel, fn, task } = yield* world()
          const otherFunction = build.fn()
          yield* commit(channel, functions.insert(channel, otherFunction))
          const [done, executing] = [
            task({ functionKey: otherFunction.key, status: "STATUS_DONE" }),
            task({ functionKey: otherFunction.key, status: "STATUS_EXECUTING" })
          ]
          const keys = build.keys(2)
          const building = { status: "STATUS_BUILDING" } as const
          const ordered = [
            task({ creationDate: build.at(1), inputs: build.fromParents(done, executing), ...building }),
            task({ creationDate: build.at(2), key: keys[0] as Key, inputs: build.fromParents(done), ...building }),
            task({ creationDate: build.at(2), key: keys[1] as Key }),
            task({ creationDate: build.at(3), inputs: build.fromParents(executing), ...building })
          ]
          const others = [task({ status: "STATUS_FAILED" }), task({ functionKey: otherFunction.key, ...building })]
          yield* insertTasks(channel, done, executing, ...ordered.toReversed(), ...others)
          const statuses = ["STATUS_BUILDING", "STATUS_WAITING_FOR_BUILDER_SLOT", "STATUS_BUILDING"] as const
          const seen = yield* commit(
            channel,
            Effect.gen(function* () {
              yield* functions.lock(channel, fn.key)
              const following = yield* tasks.lockOfFunction(channel, fn.key, statuses)
              yield* tasks.setStatus(
                channel,
                following.map(({ task }) => task.key),
                "STATUS_CANCELED"
              )
              return {
                following,
                none: yield* tasks.lockOfFunction(channel, fn.key, ["STATUS_EXECUTING"]),
                noStatus: yield* tasks.lockOfFunction(channel, fn.key, []),
                unknown: yield* tasks.lockOfFunction(channel, build.key(), statuses),
                foreign: yield* tasks.lockOfFunction(build.channel(), fn.key, statuses)
              }
            })
          )
          expect(seen).toEqual({
            following: ordered.map((one, index) => ({ task: one, waitsForParents: index === 0 || index === 3 })),
            none: [],
            noStatus: [],
            unknown: [],
            foreign: []
          })
          for (const one of ordered) expect(yield* statusOf(channel, one)).toBe("STATUS_CANCELED")
        })
    )

    it.effect("shared give the tasks that exist, with the outputs that their functions declare", () =>
      Effect.gen(function* () {
        const tasks = yield* ComputeTaskStore
        const { channel, fn, task } = yield* world()
        const elsewhere = yield* world()
        const [one, other, foreign] = [task(), task({ status: "STATUS_DONE" }), elsewhere.task()]
        yield* insertTasks(channel, one, other)
        yield* insertTasks(elsewhere.channel, foreign)
        const keys = [other.key, foreign.key, build.key(), one.key, other.key]
        const shared = yield* commit(channel, tasks.share(channel, keys))
        expect(shared).toHaveLength(2)
        expect(new Set(shared)).toEqual(new Set([one, other].map((task) => ({ task, functionOutputs: fn.outputs }))))
        expect(yield* commit(channel, tasks.share(channel, []))).toEqual([])
      })
    )

    it.effect("make the second of two changes of a task see the first", () =>
      Effect.gen(function* () {
        const tasks = yield* ComputeTaskStore
        const { channel, task } = yield* world()
        const one = task()
        yield* insertTasks(channel, one)
        const statusUnder = (
          lock: (typeof tasks)["lock" | "lockWithChildren" | "lockForDone"]
        ): Effect.Effect<TaskStatus | undefined, ReadError, UnitOfWork> =>
          Effect.map(
            found<{ readonly task: ComputeTask }, ReadError, UnitOfWork>(lock(channel, one.key)),
            (locked) => locked?.task.status
          )
        for (const lock of [tasks.lock, tasks.lockWithChildren, tasks.lockForDone]) {
          const before = yield* statusOf(channel, one)
          const after = before === "STATUS_BUILDING" ? "STATUS_EXECUTING" : "STATUS_BUILDING"
          const seen = yield* inTurn(channel, {
            hold: statusUnder(lock),
            change: () => tasks.setStatus(channel, [one.key], after),
            see: statusUnder(lock)
          })
          expect(seen).toBe(after)
        }
      })
    )

    it.effect("let the second of two parents that finish at once see the first one DONE", () =>
      Effect.gen(function* () {
        const tasks = yield* ComputeTaskStore
        const { channel, task } = yield* world()
        const parents = [task({ status: "STATUS_EXECUTING" }), task({ status: "STATUS_EXECUTING" })] as const
        const child = task({ inputs: build.fromParents(...parents), status: waiting })
        yield* insertTasks(channel, ...parents, child)
        const released = yield* inTurn(channel, {
          hold: found(tasks.lockForDone(channel, parents[0].key)),
          change: (finishing) => {
            expect(finishing?.released).toEqual([])
            return tasks.setStatus(channel, [parents[0].key], "STATUS_DONE")
          },
          see: finish(channel, parents[1].key)
        })
        expect(released).toEqual([child.key])
        expect(yield* statusOf(channel, child)).toBe(ready)
      })
    )

    it.effect("let a parent that finishes set free the child that was registered meanwhile", () =>
      Effect.gen(function* () {
        const tasks = yield* ComputeTaskStore
        const { channel, task } = yield* world()
        const parent = task({ status: "STATUS_EXECUTING" })
        const child = task({ inputs: build.fromParents(parent), status: waiting })
        yield* insertTasks(channel, parent)
        const released = yield* inTurn(channel, {
          hold: tasks.share(channel, [parent.key]),
          change: () => tasks.insert(channel, [child]),
          see: finish(channel, parent.key)
        })
        expect(released).toEqual([child.key])
      })
    )

    it.effect("let a registration see the parent DONE that finished meanwhile", () =>
      Effect.gen(function* () {
        const tasks = yield* ComputeTaskStore
        const { channel, task } = yield* world()
        const parent = task({ status: "STATUS_EXECUTING" })
        yield* insertTasks(channel, parent)
        const [seen] = yield* inTurn(channel, {
          hold: tasks.lockForDone(channel, parent.key),
          change: () => tasks.setStatus(channel, [parent.key], "STATUS_DONE"),
          see: tasks.share(channel, [parent.key])
        })
        expect(seen?.task.status).toBe("STATUS_DONE")
      })
    )

    it.effect("let a function that gets READY see the parent DONE that finished meanwhile", () =>
      Effect.gen(function* () {
        const functions = yield* FunctionStore
        const tasks = yield* ComputeTaskStore
        const { channel, fn, task } = yield* world()
        const parent = task({ status: "STATUS_EXECUTING" })
        const child = task({ inputs: build.fromParents(parent), status: "STATUS_BUILDING" })
        yield* insertTasks(channel, parent, child)
        const following = yield* inTurn(channel, {
          hold: tasks.lockForDone(channel, parent.key),
          change: () => tasks.setStatus(channel, [parent.key], "STATUS_DONE"),
          see: Effect.andThen(
            functions.lock(channel, fn.key),
            tasks.lockOfFunction(channel, fn.key, ["STATUS_BUILDING"])
          )
        })
        expect(following).toEqual([{ task: child, waitsForParents: false }])
      })
    )

    it.effect("let a parent that finishes see the child that its function's READY sent to wait meanwhile", () =>
      Effect.gen(function* () {
        const functions = yield* FunctionStore
        const tasks = yield* ComputeTaskStore
        const { channel, fn, task } = yield* world()
        const parent = task({ status: "STATUS_EXECUTING" })
        const child = task({ inputs: build.fromParents(parent), status: "STATUS_BUILDING" })
        yield* insertTasks(channel, parent, child)
        const released = yield* inTurn(channel, {
          hold: Effect.andThen(
            functions.lock(channel, fn.key),
            tasks.lockOfFunction(channel, fn.key, ["STATUS_BUILDING"])
          ),
          change: (following) => {
            expect(following).toEqual([{ task: child, waitsForParents: true }])
            return tasks.setStatus(channel, [child.key], waiting)
          },
          see: finish(channel, parent.key)
        })
        expect(released).toEqual([child.key])
      })
    )

    it.effect("for DONE hold a child too that was registered while they were waited for", () =>
      Effect.gen(function* () {
        const functions = yield* FunctionStore
        const tasks = yield* ComputeTaskStore
        const { channel, fn, task } = yield* world()
        const parent = task({ status: "STATUS_EXECUTING" })
        const child = task({ inputs: build.fromParents(parent), status: "STATUS_BUILDING" })
        yield* insertTasks(channel, parent)
        const isLocked = yield* Deferred.make<void>()
        const ready = Effect.andThen(
          Deferred.await(isLocked),
          commit(
            channel,
            Effect.andThen(functions.lock(channel, fn.key), tasks.lockOfFunction(channel, fn.key, ["STATUS_BUILDING"]))
          )
        )
        const registerAndFinish = inTurn(channel, {
          hold: tasks.share(channel, [parent.key]),
          change: () => tasks.insert(channel, [child]),
          see: tasks
            .lockForDone(channel, parent.key)
            .pipe(
              Effect.andThen(Deferred.succeed(isLocked, undefined)),
              Effect.andThen(meanwhile),
              Effect.andThen(tasks.setStatus(channel, [parent.key], "STATUS_DONE"))
            )
        })
        const [following] = yield* Effect.all([ready, registerAndFinish], { concurrency: "unbounded" })
        expect(following).toEqual([{ task: child, waitsForParents: false }])
      })
    )

    it.effect("leave no child waiting when all parents finish at once, and set each free once", () =>
      Effect.gen(function* () {
        const { channel, task } = yield* world()
        const parents = Array.from({ length: 4 }, () => task({ status: "STATUS_EXECUTING" }))
        const children = Array.from({ length: 4 }, () =>
          task({ inputs: build.fromParents(...parents), status: waiting })
        )
        yield* insertTasks(channel, ...parents, ...children)
        const released = yield* Effect.forEach(parents, ({ key }) => commit(channel, finish(channel, key)), {
          concurrency: "unbounded"
        })
        expect(released.flat().sort()).toEqual(children.map((child) => child.key).sort())
        for (const child of children) expect(yield* statusOf(channel, child)).toBe(ready)
      })
    )
  })
