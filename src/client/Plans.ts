/** Waits for a compute plan, by its events: nothing is asked for again and again. */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Stream from "effect/Stream"
import type { ComputePlan } from "../layers/wire/generated/computeplan.ts"
import type { Event } from "../layers/wire/generated/event.ts"
import { finalStatuses } from "../schema/TaskStatus.ts"
import type { UnaryCalls } from "./Calls.ts"
import type { ClientError } from "./ClientError.ts"
import type { EventsApi } from "./Events.ts"

/** How a plan has ended, and the plan as it is then. */
export interface FinishedPlan {
  /** With the date of its end, where it was canceled or has failed. */
  readonly plan: ComputePlan
  /** `DONE`: every task is. `CANCELED`: the plan or a task of it was. Else `FAILED`: a task has. */
  readonly outcome: "DONE" | "FAILED" | "CANCELED"
}

const endsSomething = (key: string, { asset }: Event): boolean =>
  asset?.$case === "computePlan"
    ? asset.value.key === key
    : asset?.$case === "computeTask" &&
      asset.value.computePlanKey === key &&
      finalStatuses.some((status) => status === asset.value.status)

/** Waits for plans, by their keys. */
export const make = (calls: UnaryCalls, { newestEvent, subscription }: EventsApi) => {
  const hasTask = (computePlanKey: string, status?: "STATUS_FAILED" | "STATUS_CANCELED") =>
    Effect.map(
      calls.queryTasks({ pageSize: 1, filter: { computePlanKey, ...(status === undefined ? {} : { status }) } }),
      ({ tasks }) => tasks.length > 0
    )

  const look = Effect.fnUntraced(function* (key: string, seen: { hasTasks: boolean }) {
    // First: tasks that come between this and the next would make a plan of none look done. They never go.
    seen.hasTasks ||= yield* hasTask(key)
    const { isRunning } = yield* calls.isPlanRunning({ key })
    if (isRunning) return Option.none()
    const plan = yield* calls.getPlan({ key })
    if (plan.cancelationDate !== undefined) return Option.some<FinishedPlan>({ plan, outcome: "CANCELED" })
    if (!seen.hasTasks) return Option.none()
    if (yield* hasTask(key, "STATUS_CANCELED")) return Option.some<FinishedPlan>({ plan, outcome: "CANCELED" })
    const hasFailed = plan.failureDate !== undefined || (yield* hasTask(key, "STATUS_FAILED"))
    return Option.some<FinishedPlan>({ plan, outcome: hasFailed ? "FAILED" : "DONE" })
  })

  return Effect.fnUntraced(function* (given: string): Effect.fn.Return<FinishedPlan, ClientError> {
    const key = given.toLowerCase()
    // What happens from here on is among the events; what happened before, the first look finds.
    const since = yield* newestEvent()
    const seen = { hasTasks: false }
    const already = yield* look(key, seen)
    if (Option.isSome(already)) return already.value
    const finished = yield* subscription(since).pipe(
      Stream.chunks,
      Stream.filter((signals) => signals.some((signal) => signal._tag === "Event" && endsSomething(key, signal.event))),
      Stream.mapEffect(() => look(key, seen)),
      Stream.filterMap((found) => (Option.isSome(found) ? Result.succeed(found.value) : Result.failVoid)),
      Stream.runHead
    )
    return yield* Effect.orDie(Effect.fromOption(finished)) // the stream has no end
  })
}
