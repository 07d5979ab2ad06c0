/** Compute plans in memory. What their tasks are up to is read from the tasks' indexes. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type { ComputePlan } from "../../schema/ComputePlan.ts"
import type { ChannelName } from "../../schema/Key.ts"
import { type TaskStatus, unfinishedStatuses } from "../../schema/TaskStatus.ts"
import { ComputePlanStore, type PlanActivity } from "../../services/store/ComputePlanStore.ts"
import { type Access, access, type Memory } from "./Memory.ts"
import { type State, tasksOfFunction, withStatus } from "./State.ts"
import * as Table from "./Table.ts"

const make = ({ locking, read, write }: Access): ComputePlanStore["Service"] => ({
  find: (channel, key) => read((state) => Table.find(state.computePlans, channel, key)),
  findActivity: (channel, key) =>
    read((state) => Option.map(Table.find(state.computePlans, channel, key), activity(state, channel))),
  many: (channel, keys) => read((state) => Table.many(state.computePlans, channel, keys)),
  lock: (channel, keys) =>
    locking((state, held) => held.lock("computePlans", Table.many(state.computePlans, channel, keys))),
  lockOfTask: (channel, taskKey) =>
    locking((state, held) =>
      held.lockFound(
        "computePlans",
        Option.map(Table.find(state.computeTasks, channel, taskKey), (task) =>
          Table.get(state.computePlans, channel, task.computePlanKey)
        )
      )
    ),
  lockOfFunction: (channel, functionKey, statuses) =>
    locking((state, held) => {
      const keys = tasksOfFunction(state, channel, functionKey, statuses).map((task) => task.computePlanKey)
      return held.lock("computePlans", Table.many(state.computePlans, channel, keys))
    }),
  isTaken: (key) => read((state) => Table.isTaken(state.computePlans, key)),
  page: (channel, { owner }, { cursor, limit }) =>
    read((state) => {
      const list = owner === undefined ? undefined : ({ index: "owner", group: owner } as const)
      return Table.cut(Table.list(state.computePlans, channel, list, Option.getOrUndefined(cursor)), limit)
    }),
  insert: (channel, plan) =>
    write((state) => ({ ...state, computePlans: Table.insert(state.computePlans, channel, plan) })),
  update: (channel, plans) =>
    write(
      (state) => ({ ...state, computePlans: plans.reduce(update(channel), state.computePlans) }),
      (held) =>
        held.require(
          "computePlans",
          plans.map(({ key }) => key)
        )
    )
})

const brokenStatuses: ReadonlyArray<TaskStatus> = ["STATUS_FAILED", "STATUS_CANCELED"]

const activity =
  (state: State, channel: ChannelName) =>
  (plan: ComputePlan): PlanActivity => {
    const hasTaskIn = (status: TaskStatus) =>
      Table.hasAny(state.computeTasks, channel, { index: "planStatus", group: withStatus(plan.key, status) })
    return { plan, hasBroken: brokenStatuses.some(hasTaskIn), hasUnfinished: unfinishedStatuses.some(hasTaskIn) }
  }

/** Name and dates are what may change. */
const update =
  (channel: ChannelName) =>
  (plans: State["computePlans"], plan: ComputePlan): State["computePlans"] => {
    const { creationDate, key, metadata, owner, tag } = Table.get(plans, channel, plan.key)
    return Table.replace(plans, channel, { ...plan, creationDate, key, metadata, owner, tag })
  }

export const layer: Layer.Layer<ComputePlanStore, never, Memory> = Layer.effect(
  ComputePlanStore,
  Effect.map(access, make)
)
