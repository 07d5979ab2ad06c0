/** What the services count, in names that existing dashboards know (config.md, metrics). */
import * as Effect from "effect/Effect"
import * as Metric from "effect/Metric"
import type { ChannelName } from "../schema/Key.ts"
import type { TaskStatus, TaskTransition } from "../schema/TaskStatus.ts"
import type { Contention } from "./store/StoreError.ts"

const taskBoundaries = [5, 10, 50, 100, 500, 1000, 5000, 10000]

const registeredTasks = Metric.counter("orc_task_registered_total", {
  description: "Tasks registered",
  incremental: true
})

const batchSize = Metric.histogram("orc_task_registration_batch_size", {
  description: "Tasks in one registration",
  boundaries: taskBoundaries
})

const updatedTasks = Metric.counter("orc_task_updated_total", {
  description: "Changes of tasks' statuses, by the new one",
  incremental: true
})

const cascadeSize = Metric.histogram("orc_task_update_cascade_size", {
  description: "Tasks that one finished task or one change of a function moves, by their transition",
  boundaries: taskBoundaries
})

const retries = Metric.counter("orc_transaction_retries_total", {
  description: "Transactions run again, by what they were lost to",
  incremental: true
})

/** Every hand-over of an event: to the hub, by the process that committed it, and to each subscriber. */
export const eventsSent = Metric.counter("orc_event_sent_total", {
  description: "Events handed over: once to the hub when they are committed, once to each subscriber",
  incremental: true
})

/** This many events were committed and published. */
export const eventsCommitted = (count: number): Effect.Effect<void> =>
  count === 0 ? Effect.void : Metric.update(eventsSent, count)

/** A batch of this many tasks was registered. */
export const tasksRegistered = (channel: ChannelName, count: number): Effect.Effect<void> =>
  Effect.andThen(
    Metric.update(Metric.withAttributes(registeredTasks, { channel }), count),
    Metric.update(Metric.withAttributes(batchSize, { channel }), count)
  )

/** This many tasks got this status. */
export const tasksUpdated = (channel: ChannelName, status: TaskStatus, count: number): Effect.Effect<void> =>
  count === 0 ? Effect.void : Metric.update(Metric.withAttributes(updatedTasks, { channel, status }), count)

/** One change moved this many tasks by this transition; none counts too. */
export const cascaded = (channel: ChannelName, transition: TaskTransition, count: number): Effect.Effect<void> =>
  Metric.update(Metric.withAttributes(cascadeSize, { channel, status: transition }), count)

export const transactionRetried = (reason: Contention | undefined): Effect.Effect<void> =>
  Metric.update(Metric.withAttributes(retries, { reason: reason ?? "other" }), 1)
