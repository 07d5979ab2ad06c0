/** The calls about tasks, what they produce, and what has happened. */
import * as Effect from "effect/Effect"
import fc from "fast-check"
import { Event } from "../../src/layers/wire/generated/event.ts"
import { taskInputFields } from "../../src/layers/wire/Messages.ts"
import type { EventCursor, PageRequest, PerformanceCursor } from "../../src/schema/Pagination.ts"
import { ComputeTasks } from "../../src/services/ComputeTasks.ts"
import { Events } from "../../src/services/Events.ts"
import { FailureReports } from "../../src/services/FailureReports.ts"
import { Models } from "../../src/services/Models.ts"
import { Performances } from "../../src/services/Performances.ts"
import { Profiling } from "../../src/services/Profiling.ts"
import { EventCodec } from "../../src/services/store/EventCodec.ts"
import * as calls from "../concurrency/calls.ts"
import { readLog } from "../concurrency/Log.ts"
import { address, mostly, newTask, taskMessages } from "./Messages.ts"
import { assetCursor, limit, maybe, type Rpc, rpc, text, walk } from "./Rpc.ts"
import { type KeyRef, known, newKey, oldKey } from "./World.ts"

const statuses = [
  "",
  "STATUS_UNKNOWN",
  "STATUS_DONE",
  "STATUS_EXECUTING",
  "STATUS_WAITING_FOR_PARENT_TASKS",
  "NONSENSE"
]

const tasks = {
  registerTasks: rpc(10, mostly(fc.array(newTask, { minLength: 1, maxLength: 4, size: "max" }), []), (given, at) => {
    const batch = taskMessages(given, at)
    return calls.write(
      at.as,
      Effect.flatMap(ComputeTasks, (service) =>
        service.register({ tasks: batch.map((task) => ({ ...task, inputs: task.inputs.map(taskInputFields) })) })
      )
    )
  }),
  applyTaskAction: rpc(
    16,
    fc.record({
      key: oldKey("task"),
      action: mostly(fc.constantFrom("EXECUTING", "EXECUTING", "DONE", "DONE", "FAILED", "CANCELED"), "UNKNOWN"),
      log: mostly(fc.constantFrom("", "a reason"), "a\0b")
    }),
    ({ action, key, log }, at) =>
      calls.write(
        at.as,
        Effect.flatMap(ComputeTasks, (service) => service.applyAction(at.key(key), `TASK_ACTION_${action}`, log))
      )
  ),
  disableOutput: rpc(
    3,
    fc.record({ key: oldKey("task"), output: mostly(fc.constant("out"), "score", "nothing") }),
    ({ key, output }, at) =>
      calls.write(
        at.as,
        Effect.flatMap(ComputeTasks, (service) => service.disableOutput(at.key(key), output))
      )
  ),
  getTaskInputAssets: rpc(2, oldKey("task"), (key, at) =>
    calls.snapshot(
      at.as,
      Effect.flatMap(ComputeTasks, (service) => service.inputAssets(at.key(key)))
    )
  ),
  queryTasks: rpc(
    2,
    fc.record({
      worker: fc.constantFrom("", "", "OrgA", "OrgB"),
      status: fc.constantFrom("", ...statuses),
      plan: maybe(oldKey("plan")),
      fn: maybe(oldKey("function")),
      limit
    }),
    ({ fn, limit, plan, status, worker }, at) => {
      const filter = { worker, status, computePlanKey: text(at, plan), functionKey: text(at, fn) }
      return calls.read(
        at.as,
        Effect.flatMap(ComputeTasks, (service) => walk((request) => service.query(filter, request), assetCursor, limit))
      )
    }
  )
}

const results = {
  registerModels: rpc(
    8,
    fc
      .array(
        fc.record({
          key: newKey("model"),
          task: mostly<KeyRef | undefined>(fc.constant(undefined), known("task", 1)),
          output: mostly(fc.constant("out"), "score", "nothing", ""),
          address
        }),
        { minLength: 1, maxLength: 2 }
      )
      .chain((models) => fc.record({ models: mostly(fc.constant(models), []), task: oldKey("task") })),
    ({ models, task }, at) =>
      calls.write(
        at.as,
        Effect.flatMap(Models, (service) =>
          service.register(
            models.map((model) => ({
              key: at.key(model.key),
              computeTaskKey: at.key(model.task ?? task),
              computeTaskOutputIdentifier: model.output,
              address: model.address
            }))
          )
        )
      )
  ),
  getTaskOutputModels: rpc(1, oldKey("task"), (key, at) =>
    calls.read(
      at.as,
      Effect.flatMap(Models, (service) => service.ofTask(at.key(key)))
    )
  ),
  registerPerformance: rpc(
    5,
    fc.record({
      task: oldKey("task"),
      output: mostly(fc.constant("score"), "out", "nothing"),
      value: fc.constantFrom(0, 0.5, Math.fround(0.1), -1e30, Number.NaN, Number.POSITIVE_INFINITY)
    }),
    ({ output, task, value }, at) =>
      calls.write(
        at.as,
        Effect.flatMap(Performances, (service) =>
          service.register({
            computeTaskKey: at.key(task),
            computeTaskOutputIdentifier: output,
            performanceValue: Math.fround(value)
          })
        )
      )
  ),
  queryPerformances: rpc(
    1,
    fc.record({ task: maybe(oldKey("task")), output: fc.constantFrom("", "score", "nothing"), limit }),
    ({ limit, output, task }, at) => {
      const filter = { computeTaskKey: text(at, task), computeTaskOutputIdentifier: output }
      return calls.read(
        at.as,
        Effect.flatMap(Performances, (service) =>
          walk(
            (request: PageRequest<PerformanceCursor>) => service.query(filter, request),
            (one) => [one.creationDate, one.computeTaskKey, one.computeTaskOutputIdentifier] as const,
            limit
          )
        )
      )
    }
  ),
  registerFailureReport: rpc(
    3,
    fc.oneof(oldKey("task"), oldKey("task"), oldKey("function")).chain((asset) =>
      fc.record({
        asset: fc.constant(asset),
        assetType: mostly(
          fc.constant(asset.pool === "task" ? "FAILED_ASSET_COMPUTE_TASK" : "FAILED_ASSET_FUNCTION"),
          "FAILED_ASSET_FUNCTION",
          "FAILED_ASSET_UNKNOWN"
        ),
        errorType: mostly(
          fc.constantFrom("ERROR_TYPE_BUILD", "ERROR_TYPE_EXECUTION"),
          "ERROR_TYPE_INTERNAL",
          "NONSENSE"
        ),
        logsAddress: address
      })
    ),
    ({ asset, ...rest }, at) =>
      calls.write(
        at.as,
        Effect.flatMap(FailureReports, (service) => service.register({ ...rest, assetKey: at.key(asset) } as never))
      )
  ),
  getFailureReport: rpc(1, fc.oneof(oldKey("task"), oldKey("function")), (key, at) =>
    calls.read(
      at.as,
      Effect.flatMap(FailureReports, (service) => service.get(at.key(key)))
    )
  ),
  registerProfilingStep: rpc(
    1,
    fc.record({
      asset: fc.oneof(oldKey("task"), oldKey("function")),
      step: mostly(fc.constantFrom("one", "two"), ""),
      duration: mostly(fc.constantFrom(1, 2), 0)
    }),
    ({ asset, duration, step }, at) =>
      calls.write(
        at.as,
        Effect.flatMap(Profiling, (service) => service.register({ assetKey: at.key(asset), step, duration }))
      )
  )
}

const anyKey = fc.oneof(...(["function", "manager", "sample", "plan", "task", "model"] as const).map(oldKey))

const events = {
  queryEvents: rpc(
    3,
    fc.record({
      asset: fc.option(anyKey, { nil: undefined, freq: 2 }),
      assetKind: fc.constantFrom(
        "ASSET_UNKNOWN",
        "ASSET_UNKNOWN",
        "ASSET_COMPUTE_TASK",
        "ASSET_COMPUTE_PLAN",
        "NONSENSE"
      ),
      eventKind: fc.constantFrom("EVENT_UNKNOWN", "EVENT_UNKNOWN", "EVENT_ASSET_CREATED", "EVENT_ASSET_UPDATED"),
      reason: fc.option(fc.constantFrom("User action", "a reason"), { nil: undefined, freq: 3 }),
      // Times are those of events of the log.
      start: fc.option(fc.nat(), { nil: undefined, freq: 3 }),
      end: fc.option(fc.nat(), { nil: undefined, freq: 3 }),
      descending: fc.boolean(),
      limit
    }),
    ({ asset, assetKind, descending, end, eventKind, limit, reason, start }, at) =>
      Effect.gen(function* () {
        const codec = yield* EventCodec
        const service = yield* Events
        const log = start === undefined && end === undefined ? [] : yield* readLog(at.as.channel)
        const timeAt = (place: number | undefined) =>
          place === undefined ? undefined : log[place % Math.max(log.length, 1)]?.event.timestamp
        const filter = {
          assetKey: text(at, asset),
          assetKind,
          eventKind,
          metadata: new Map(reason === undefined ? [] : [["reason", reason]]),
          start: timeAt(start),
          end: timeAt(end)
        }
        const pages = yield* calls.read(
          at.as,
          walk(
            (request: PageRequest<EventCursor>) => service.query(filter, descending, request),
            (one) => [one.timestamp, one.position] as const,
            limit
          )
        )
        return pages.map(({ hasMore, items }) => ({
          hasMore,
          items: items.map(({ message, position, timestamp }) => {
            const { id: _, ...event } = Event.decode(codec.complete(message, timestamp))
            return { ...event, position }
          })
        }))
      })
  )
}

export const taskRpcs: Readonly<Record<string, Rpc>> = { ...tasks, ...results, ...events }
