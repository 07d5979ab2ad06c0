/** Compute tasks in memory, with the edges between them: an index lists the children of each task. */
import * as Effect from "effect/Effect"
import * as HashMap from "effect/HashMap"
import * as Iterable from "effect/Iterable"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import { type ComputeTask, parentKeys } from "../../schema/ComputeTask.ts"
import type { ChannelName, Key } from "../../schema/Key.ts"
import { isFinal } from "../../schema/TaskStatus.ts"
import {
  type ComputeTaskFilter,
  ComputeTaskStore,
  type FinishingTask,
  type TaskWithFunction
} from "../../services/store/ComputeTaskStore.ts"
import { type Access, access, type Memory } from "./Memory.ts"
import { compareAssets, placeOf, type State, type TaskIndex, tasksOfFunction, withStatus } from "./State.ts"
import * as Table from "./Table.ts"
import * as Tree from "./Tree.ts"

const make = ({ locking, read, write }: Access): ComputeTaskStore["Service"] => ({
  find: (channel, key) => read((state) => Table.find(state.computeTasks, channel, key)),
  taken: (keys) => read((state) => new Set(keys.filter((key) => Table.isTaken(state.computeTasks, key)))),
  page: (channel, filter, { cursor, limit }) =>
    read((state) => {
      const tasks = Table.list(state.computeTasks, channel, listFor(filter), Option.getOrUndefined(cursor))
      return Table.cut(
        Iterable.filter(tasks, (task) => fits(task, filter)),
        limit
      )
    }),
  lock: (channel, key) =>
    locking((state, held) =>
      Option.map(
        held.lockFound("computeTasks", Table.find(state.computeTasks, channel, key)),
        withFunction(state, channel)
      )
    ),
  lockWithChildren: (channel, key) =>
    locking((state, held) =>
      Option.map(held.lockFound("computeTasks", Table.find(state.computeTasks, channel, key)), (task) => ({
        ...withFunction(state, channel)(task),
        childStatuses: childrenOf(state, channel, key).map((child) => child.status)
      }))
    ),
  lockForDone: (channel, key) =>
    locking((state, held) =>
      Option.map(
        held.lockFound("computeTasks", Table.find(state.computeTasks, channel, key)),
        (task): FinishingTask => {
          const unfinished = childrenOf(state, channel, key).filter((child) => !isFinal(child.status))
          const released = held
            .lock("computeTasks", unfinished)
            .filter((child) => child.status === "STATUS_WAITING_FOR_PARENT_TASKS" && !waits(state, channel, child, key))
          return { task, released }
        }
      )
    ),
  lockOfFunction: (channel, functionKey, statuses) =>
    locking((state, held) => {
      const tasks = tasksOfFunction(state, channel, functionKey, statuses)
      if (tasks.length > 0) held.require("functions", [functionKey])
      return held.lock("computeTasks", tasks).map((task) => ({ task, waitsForParents: waits(state, channel, task) }))
    }),
  share: (channel, keys) =>
    locking((state, held) =>
      held.share("computeTasks", Table.many(state.computeTasks, channel, keys)).map(withFunction(state, channel))
    ),
  insert: (channel, tasks) => write((state) => insert(state, channel, tasks)),
  setStatus: (channel, keys, status) =>
    write(
      (state) => {
        let { computeTasks } = state
        for (const key of keys) {
          const task = Table.get(computeTasks, channel, key)
          computeTasks = Table.replace(computeTasks, channel, { ...task, status })
        }
        return { ...state, computeTasks }
      },
      (held) => held.require("computeTasks", keys)
    )
})

const withFunction =
  (state: State, channel: ChannelName) =>
  (task: ComputeTask): TaskWithFunction => ({
    task,
    functionOutputs: Table.get(state.functions, channel, task.functionKey).outputs
  })

const childrenOf = (state: State, channel: ChannelName, key: Key): ReadonlyArray<ComputeTask> =>
  Array.from(Table.list(state.computeTasks, channel, { index: "parent", group: key }))

/** Whether a parent is not DONE, another one than `except`. */
const waits = (state: State, channel: ChannelName, task: ComputeTask, except?: Key): boolean =>
  parentKeys(task).some((key) => key !== except && Table.get(state.computeTasks, channel, key).status !== "STATUS_DONE")

/** The shortest list that holds all tasks that fit. */
const listFor = ({
  computePlanKey,
  functionKey,
  status,
  worker
}: ComputeTaskFilter): Table.List<TaskIndex> | undefined => {
  if (computePlanKey !== undefined) {
    return status === undefined
      ? { index: "plan", group: computePlanKey }
      : { index: "planStatus", group: withStatus(computePlanKey, status) }
  }
  if (functionKey !== undefined) {
    return status === undefined
      ? { index: "function", group: functionKey }
      : { index: "functionStatus", group: withStatus(functionKey, status) }
  }
  if (worker !== undefined) return { index: "worker", group: worker }
  return status === undefined ? undefined : { index: "status", group: status }
}

const fits = (task: ComputeTask, { computePlanKey, functionKey, status, worker }: ComputeTaskFilter): boolean =>
  (computePlanKey === undefined || task.computePlanKey === computePlanKey) &&
  (functionKey === undefined || task.functionKey === functionKey) &&
  (status === undefined || task.status === status) &&
  (worker === undefined || task.worker === worker)

/** Adds tasks, each with what it refers to: its worker, plan and function, and its parents, also of this batch. */
const insert = (state: State, channel: ChannelName, tasks: ReadonlyArray<ComputeTask>): State => {
  let { computeTasks, functionsOfPlans } = state
  for (const task of tasks) {
    Table.get(state.organizations, channel, task.worker)
    const plan = Table.get(state.computePlans, channel, task.computePlanKey)
    const fn = Table.get(state.functions, channel, task.functionKey)
    computeTasks = Table.insert(computeTasks, channel, task)
    const used = Option.getOrUndefined(HashMap.get(functionsOfPlans, plan.key))
    functionsOfPlans = HashMap.set(functionsOfPlans, plan.key, Tree.set(used, compareAssets, placeOf(fn), fn.key))
  }
  for (const task of tasks) {
    for (const parent of parentKeys(task)) Table.get(computeTasks, channel, parent)
  }
  return { ...state, computeTasks, functionsOfPlans }
}

export const layer: Layer.Layer<ComputeTaskStore, never, Memory> = Layer.effect(
  ComputeTaskStore,
  Effect.map(access, make)
)
