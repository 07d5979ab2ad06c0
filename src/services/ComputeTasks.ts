/** Compute tasks: their registration, their states, their inputs and outputs (behaviour.md, section 4). */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import {
  type ComputeTask,
  type ComputeTaskInputAsset,
  type NewComputeTasksMessage,
  parentKeys,
  validateLog,
  validateNew
} from "../schema/ComputeTask.ts"
import * as Event from "../schema/Event.ts"
import type { Key, OrganizationId } from "../schema/Key.ts"
import {
  BadRequest,
  type CannotDisableOutput,
  type Conflict,
  type IncompatibleStatus,
  type InvalidAsset,
  type NotFound,
  PermissionDenied
} from "../schema/OrchestratorError.ts"
import { type AssetCursor, emptyPage, type Page, type PageRequest } from "../schema/Pagination.ts"
import { follow } from "../schema/StateMachine.ts"
import { isTaskAction, TaskStatus, type TaskTransition, taskActions, taskTransitions } from "../schema/TaskStatus.ts"
import { ComputePlans } from "./ComputePlans.ts"
import { disableOutput, isOutput } from "./DisableOutput.ts"
import { byKey, filterKey, filterText, orNotFound, requiredKey } from "./Lookup.ts"
import * as Metrics from "./Metrics.ts"
import { RequestContext } from "./RequestContext.ts"
import { ComputePlanStore } from "./store/ComputePlanStore.ts"
import { type ComputeTaskFilter, ComputeTaskStore } from "./store/ComputeTaskStore.ts"
import type { Snapshot } from "./store/Database.ts"
import { DataManagerStore } from "./store/DataManagerStore.ts"
import { DataSampleStore } from "./store/DataSampleStore.ts"
import { FunctionStore } from "./store/FunctionStore.ts"
import { ModelStore } from "./store/ModelStore.ts"
import { OrganizationStore } from "./store/OrganizationStore.ts"
import type { ReadError } from "./store/StoreError.ts"
import { emitEvents, readTogether, type UnitOfWork } from "./store/UnitOfWork.ts"
import { namesOf, registerAll } from "./TaskRegistration.ts"
import { afterCommit } from "./Transaction.ts"

/** What a query may ask for; empty texts do not filter, unknown statuses find nothing. */
export interface TaskQuery {
  readonly worker: string
  readonly status: string
  readonly computePlanKey: string
  readonly functionKey: string
}

/** Compute tasks: their registration, states and outputs (behaviour.md, section 4). */
export class ComputeTasks extends Context.Service<
  ComputeTasks,
  {
    /** All of a batch, or none, parents before children in the answer, whatever the order of the request. */
    readonly register: (
      message: NewComputeTasksMessage
    ) => Effect.Effect<
      ReadonlyArray<ComputeTask>,
      InvalidAsset | BadRequest | Conflict | NotFound | PermissionDenied | ReadError,
      RequestContext | UnitOfWork
    >
    /** InvalidAsset for a text that is no key, NotFound for a task that the channel does not have. */
    readonly get: (key: string) => Effect.Effect<ComputeTask, InvalidAsset | NotFound | ReadError, RequestContext>
    /** By creation date, then key; all conditions together. */
    readonly query: (
      filter: TaskQuery,
      request: PageRequest<AssetCursor>
    ) => Effect.Effect<Page<ComputeTask>, InvalidAsset | ReadError, RequestContext>
    /** Moves a task on; `log` is the reason in the event, `User action` when empty. */
    readonly applyAction: (
      key: string,
      action: string,
      log: string
    ) => Effect.Effect<
      void,
      InvalidAsset | NotFound | PermissionDenied | IncompatibleStatus | ReadError,
      RequestContext | UnitOfWork
    >
    /** Fails a task that its worker, the requester, is executing. */
    readonly fail: (
      key: Key,
      reason: string
    ) => Effect.Effect<void, NotFound | PermissionDenied | BadRequest | ReadError, RequestContext | UnitOfWork>
    /** What a task works on, once it can: an asset for each input by key, those registered for each parent's output. */
    readonly inputAssets: (
      key: string
    ) => Effect.Effect<
      ReadonlyArray<ComputeTaskInputAsset>,
      InvalidAsset | NotFound | BadRequest | ReadError,
      RequestContext | Snapshot
    >
    /** Takes the addresses from the models of a transient output that nobody needs any more; only the worker may. */
    readonly disableOutput: (
      key: string,
      identifier: string
    ) => Effect.Effect<
      void,
      InvalidAsset | NotFound | PermissionDenied | CannotDisableOutput | ReadError,
      RequestContext | UnitOfWork
    >
  }
>()("orchestrator/services/ComputeTasks") {
  static readonly layer = Layer.effect(
    ComputeTasks,
    Effect.gen(function* () {
      const organizations = yield* OrganizationStore
      const functions = yield* FunctionStore
      const managers = yield* DataManagerStore
      const samples = yield* DataSampleStore
      const models = yield* ModelStore
      const planStore = yield* ComputePlanStore
      const plans = yield* ComputePlans
      const store = yield* ComputeTaskStore

      const register = Effect.fnUntraced(function* (message: NewComputeTasksMessage) {
        const { channel, requester } = yield* RequestContext
        if (message.tasks.length === 0) return yield* new BadRequest({ message: "no task to register" })
        const tasks = yield* validateNew(message.tasks)
        const names = namesOf(tasks)
        const found = yield* readTogether({
          functions: functions.share(channel, names.functions),
          parents: store.share(channel, names.parents),
          taken: store.taken(names.tasks),
          plans: planStore.many(channel, names.plans),
          organizations: organizations.all(channel),
          models: models.many(channel, names.assets),
          managers: managers.many(channel, names.assets),
          samples: samples.many(channel, names.assets),
          parentModels: models.ofTasks(channel, names.parents)
        })
        const made = yield* registerAll(tasks, found, requester)
        yield* store.insert(channel, made)
        yield* emitEvents(made.map((asset) => Event.created({ kind: "ASSET_COMPUTE_TASK", asset })))
        yield* afterCommit(Metrics.tasksRegistered(channel, made.length))
        return made
      })

      const get = Effect.fnUntraced(function* (text: string) {
        const { channel } = yield* RequestContext
        const key = yield* requiredKey("computetask", "key", text)
        return yield* orNotFound("computetask", key, yield* store.find(channel, key))
      })

      const query = Effect.fnUntraced(function* (asked: TaskQuery, request: PageRequest<AssetCursor>) {
        const { channel } = yield* RequestContext
        const worker = yield* filterText("computetask", "filter.worker", asked.worker)
        const computePlanKey = yield* filterKey("computetask", "filter.compute_plan_key", asked.computePlanKey)
        const functionKey = yield* filterKey("computetask", "filter.function_key", asked.functionKey)
        const status = asked.status === "" || asked.status === "STATUS_UNKNOWN" ? undefined : asked.status
        if (status !== undefined && !isStatus(status)) return emptyPage
        const filter: ComputeTaskFilter = {
          ...(worker === undefined ? {} : { worker: worker as OrganizationId }),
          ...(status === undefined ? {} : { status }),
          ...(computePlanKey === undefined ? {} : { computePlanKey }),
          ...(functionKey === undefined ? {} : { functionKey })
        }
        return yield* store.page(channel, filter, request)
      })

      /** The task in its next status, put down with its event. */
      const move = Effect.fnUntraced(function* (
        task: ComputeTask,
        transition: TaskTransition,
        change: { readonly reason: string; readonly bounded?: boolean }
      ) {
        const { channel } = yield* RequestContext
        const status = yield* Effect.fromResult(follow(taskTransitions, transition, task.status))
        const moved: ComputeTask = { ...task, status }
        yield* store.setStatus(channel, [task.key], status)
        yield* emitEvents([Event.changed({ kind: "ASSET_COMPUTE_TASK", asset: moved }, change)])
        yield* afterCommit(Metrics.tasksUpdated(channel, status, 1))
        return moved
      })

      /** The children of a task that is DONE now start when it was the last of their parents. */
      const release = Effect.fnUntraced(function* (parent: Key, children: ReadonlyArray<ComputeTask>) {
        const { channel } = yield* RequestContext
        const transition = "transitionWaitingExecutorSlot"
        const status = taskTransitions[transition].to
        const reason = `Last parent task ${parent} done`
        yield* store.setStatus(
          channel,
          children.map((child) => child.key),
          status
        )
        yield* emitEvents(
          children.map((child) =>
            Event.changed({ kind: "ASSET_COMPUTE_TASK", asset: { ...child, status } }, { reason })
          )
        )
        yield* afterCommit(Metrics.tasksUpdated(channel, status, children.length))
        yield* afterCommit(Metrics.cascaded(channel, transition, children.length))
      })

      /** Everything that an action needs, locked in the order of tasks, then plans. */
      const lockFor = (key: Key, transition: TaskTransition | undefined) =>
        Effect.gen(function* () {
          const { channel } = yield* RequestContext
          if (transition === "transitionDone") {
            const found = yield* readTogether({ family: store.lockForDone(channel, key) })
            const { released, task } = yield* orNotFound("computetask", key, found.family)
            return { task, released, plans: [], time: found.time }
          }
          const found = yield* readTogether({
            task: store.lock(channel, key),
            plan: transition === "transitionFailed" ? planStore.lockOfTask(channel, key) : Effect.succeed(Option.none())
          })
          const { task } = yield* orNotFound("computetask", key, found.task)
          return { task, released: [], plans: Option.toArray(found.plan), time: found.time }
        })

      const applyAction = Effect.fnUntraced(function* (text: string, action: string, logText: string) {
        const { requester } = yield* RequestContext
        const key = yield* requiredKey("computetask", "compute_task_key", text)
        const { log } = yield* validateLog({ log: logText })
        const rule = isTaskAction(action) ? taskActions[action] : undefined
        const found = yield* lockFor(key, rule?.transition)
        const mayAct = rule?.actors.some((actor) => found.task[actor] === requester) ?? false
        if (rule === undefined || !mayAct) {
          return yield* new PermissionDenied({ message: "only task owner can update it" })
        }
        const change = log === "" ? { reason: "User action" } : { reason: log, bounded: true }
        const moved = yield* move(found.task, rule.transition, change)
        if (rule.transition === "transitionDone") yield* release(key, found.released)
        if (rule.transition === "transitionFailed") yield* plans.fail([moved], found.plans, found.time)
      })

      const fail = Effect.fnUntraced(function* (key: Key, reason: string) {
        const { requester } = yield* RequestContext
        const found = yield* lockFor(key, "transitionFailed")
        if (found.task.worker !== requester) {
          return yield* new PermissionDenied({
            message: `only "${found.task.worker}" worker can register failure report`
          })
        }
        if (found.task.status !== "STATUS_EXECUTING") {
          return yield* new BadRequest({
            message: `cannot register failure report for task with status "${found.task.status}"`
          })
        }
        const moved = yield* Effect.orDie(move(found.task, "transitionFailed", { reason }))
        yield* plans.fail([moved], found.plans, found.time)
      })

      const inputAssets = Effect.fnUntraced(function* (text: string) {
        const { channel } = yield* RequestContext
        const key = yield* requiredKey("computetask", "compute_task_key", text)
        const task = yield* orNotFound("computetask", key, yield* store.find(channel, key))
        if (!statusesWithInputs.includes(task.status)) {
          return yield* new BadRequest({
            message: `Task inputs may not be defined in current task status ("${task.status}")`
          })
        }
        const keys = task.inputs.flatMap((input) => input.assetKey ?? [])
        const found = yield* Effect.all(
          {
            fn: functions.find(channel, task.functionKey),
            models: models.many(channel, keys),
            managers: managers.many(channel, keys),
            samples: samples.many(channel, keys),
            parentModels: models.ofTasks(channel, parentKeys(task))
          },
          { concurrency: "unbounded" }
        )
        const fn = yield* orNotFound("function", task.functionKey, found.fn)
        const byKind = {
          ASSET_MODEL: byKey(found.models),
          ASSET_DATA_MANAGER: byKey(found.managers),
          ASSET_DATA_SAMPLE: byKey(found.samples)
        }
        return task.inputs.flatMap(({ assetKey, identifier, parentTaskOutput }) => {
          if (parentTaskOutput !== undefined) {
            return found.parentModels
              .filter((one) => isOutput(one, parentTaskOutput.parentTaskKey, parentTaskOutput.outputIdentifier))
              .map(({ model }): ComputeTaskInputAsset => ({ identifier, kind: "ASSET_MODEL", asset: model }))
          }
          const kind = fn.inputs.get(identifier)?.kind
          const asset = kind && assetKey && byKind[kind].get(assetKey)
          return asset ? [{ identifier, kind, asset } as ComputeTaskInputAsset] : []
        })
      })

      return ComputeTasks.of({
        register,
        get,
        query,
        applyAction,
        fail,
        inputAssets,
        disableOutput: yield* disableOutput
      })
    })
  )
}

const isStatus = Schema.is(TaskStatus)

const statusesWithInputs: ReadonlyArray<TaskStatus> = [
  "STATUS_WAITING_FOR_EXECUTOR_SLOT",
  "STATUS_EXECUTING",
  "STATUS_FAILED"
]
