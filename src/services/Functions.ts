/** Functions and their builds, with what a build does to the tasks that wait for it (behaviour.md, section 4). */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Addressable from "../schema/Addressable.ts"
import type { ComputeTask } from "../schema/ComputeTask.ts"
import * as Event from "../schema/Event.ts"
import {
  type Function,
  type FunctionUpdateMessage,
  type NewFunctionMessage,
  validateNew,
  validateUpdate
} from "../schema/Function.ts"
import {
  type FunctionTransition,
  followingTasks,
  followingTransitions,
  functionActions,
  functionTransitions,
  isFunctionAction
} from "../schema/FunctionStatus.ts"
import type { Key } from "../schema/Key.ts"
import {
  BadRequest,
  Conflict,
  type IncompatibleStatus,
  InvalidAsset,
  type NotFound,
  PermissionDenied
} from "../schema/OrchestratorError.ts"
import type { AssetCursor, Page, PageRequest } from "../schema/Pagination.ts"
import * as Permission from "../schema/Permission.ts"
import { follow } from "../schema/StateMachine.ts"
import { type TaskTransition, taskTransitions } from "../schema/TaskStatus.ts"
import { ComputePlans } from "./ComputePlans.ts"
import { grants } from "./Grants.ts"
import { filterKey, orNotFound, requiredKey } from "./Lookup.ts"
import * as Metrics from "./Metrics.ts"
import { RequestContext } from "./RequestContext.ts"
import { ComputePlanStore } from "./store/ComputePlanStore.ts"
import { ComputeTaskStore, type FollowingTask } from "./store/ComputeTaskStore.ts"
import { FunctionStore } from "./store/FunctionStore.ts"
import { OrganizationStore } from "./store/OrganizationStore.ts"
import type { ReadError } from "./store/StoreError.ts"
import { emitEvents, readTogether, type UnitOfWork } from "./store/UnitOfWork.ts"
import { afterCommit } from "./Transaction.ts"

/** Functions: their registration, and their build with what it does to tasks (behaviour.md, section 4). */
export class Functions extends Context.Service<
  Functions,
  {
    /**
     * Registers a function of the requester, WAITING to be built (behaviour.md, section 4, function). BadRequest when
     * permissions name an organization that is not registered. PermissionDenied is for a policy in a Layer around this
     * service.
     */
    readonly register: (
      message: NewFunctionMessage
    ) => Effect.Effect<
      Function,
      InvalidAsset | Conflict | BadRequest | PermissionDenied | ReadError,
      RequestContext | UnitOfWork
    >
    /** InvalidAsset for a text that is no key, NotFound for a function that the channel does not have. */
    readonly get: (key: string) => Effect.Effect<Function, InvalidAsset | NotFound | ReadError, RequestContext>
    /** By creation date, then key. `computePlanKey` limits the answer to functions used by a task of that plan. */
    readonly query: (
      filter: { readonly computePlanKey: string },
      request: PageRequest<AssetCursor>
    ) => Effect.Effect<Page<Function>, InvalidAsset | ReadError, RequestContext>
    /** Replaces the name, and the image when its checksum is not empty; only the owner may, in any status. */
    readonly update: (
      message: FunctionUpdateMessage
    ) => Effect.Effect<void, InvalidAsset | NotFound | PermissionDenied | ReadError, RequestContext | UnitOfWork>
    /** Moves the build on, and the function's tasks with it; only the owner may. */
    readonly applyAction: (
      key: string,
      action: string
    ) => Effect.Effect<
      void,
      InvalidAsset | BadRequest | NotFound | PermissionDenied | IncompatibleStatus | ReadError,
      RequestContext | UnitOfWork
    >
    /** Fails the build, as the action does, for another reason. */
    readonly fail: (
      key: Key,
      reason: string
    ) => Effect.Effect<void, NotFound | PermissionDenied | IncompatibleStatus | ReadError, RequestContext | UnitOfWork>
  }
>()("orchestrator/services/Functions") {
  static readonly layer = Layer.effect(
    Functions,
    Effect.gen(function* () {
      const organizations = yield* OrganizationStore
      const store = yield* FunctionStore
      const tasks = yield* ComputeTaskStore
      const planStore = yield* ComputePlanStore
      const plans = yield* ComputePlans

      const register = Effect.fnUntraced(function* (message: NewFunctionMessage) {
        const { channel, requester } = yield* RequestContext
        const { newPermissions, ...input } = yield* validateNew(message)
        const found = yield* readTogether({
          isTaken: store.isTaken(input.key),
          organizations: organizations.all(channel)
        })
        if (found.isTaken) return yield* Conflict.exists("function", input.key)
        const permission = yield* grants(found.organizations, requester).grant(newPermissions)
        const fn: Function = {
          ...input,
          permissions: Permission.forBoth(permission),
          owner: requester,
          creationDate: found.time,
          status: "FUNCTION_STATUS_WAITING",
          image: Addressable.none
        }
        yield* store.insert(channel, fn)
        yield* emitEvents([Event.created({ kind: "ASSET_FUNCTION", asset: fn })])
        return fn
      })

      const get = Effect.fnUntraced(function* (text: string) {
        const { channel } = yield* RequestContext
        const key = yield* requiredKey("function", "key", text)
        return yield* orNotFound("function", key, yield* store.find(channel, key))
      })

      const query = Effect.fnUntraced(function* (
        filter: { readonly computePlanKey: string },
        request: PageRequest<AssetCursor>
      ) {
        const { channel } = yield* RequestContext
        const computePlanKey = yield* filterKey("function", "filter.compute_plan_key", filter.computePlanKey)
        return yield* store.page(channel, computePlanKey === undefined ? {} : { computePlanKey }, request)
      })

      const update = Effect.fnUntraced(function* (message: FunctionUpdateMessage) {
        const { channel, requester } = yield* RequestContext
        const input = yield* validateUpdate(message)
        const found = yield* readTogether({ fn: store.lock(channel, input.key) })
        const fn = yield* orNotFound("function", input.key, found.fn)
        if (fn.owner !== requester) {
          return yield* new PermissionDenied({ message: "requester does not own the function" })
        }
        const image = input.image === undefined || input.image.checksum === "" ? fn.image : input.image
        if (fn.status === "FUNCTION_STATUS_READY" && image.checksum === "") {
          return yield* InvalidAsset.fields("function", [
            { field: "image", description: "cannot be blank, the function is built and must name its image" }
          ])
        }
        const updated: Function = { ...fn, name: input.name, image }
        yield* store.update(channel, updated)
        yield* emitEvents([Event.updated({ kind: "ASSET_FUNCTION", asset: updated })])
      })

      const transition = Effect.fnUntraced(function* (key: Key, transition: FunctionTransition, reason: string) {
        const { channel, requester } = yield* RequestContext
        const found = yield* readTogether({
          fn: store.lock(channel, key),
          following: tasks.lockOfFunction(channel, key, followingTasks[transition]),
          plans:
            transition === "transitionFailed"
              ? planStore.lockOfFunction(channel, key, followingTasks[transition])
              : Effect.succeed([])
        })
        const fn = yield* orNotFound("function", key, found.fn)
        if (fn.owner !== requester) {
          return yield* new PermissionDenied({ message: "only function owner can update it" })
        }
        const status = yield* Effect.fromResult(follow(functionTransitions, transition, fn.status))
        const changed: Function = { ...fn, status }
        yield* store.update(channel, changed)
        yield* emitEvents([Event.changed({ kind: "ASSET_FUNCTION", asset: changed }, { reason })])

        const taskReason = transition === "transitionReady" ? `Function ${key} finished building` : reason
        const moves = found.following.map((one) => ({ task: one.task, by: taskTransition(transition, one) }))
        const moved = moves.map(({ by, task }): ComputeTask => ({ ...task, status: taskTransitions[by].to }))
        yield* emitEvents(
          moved.map((asset) => Event.changed({ kind: "ASSET_COMPUTE_TASK", asset }, { reason: taskReason }))
        )
        for (const by of followingTransitions[transition]) {
          const keys = moves.filter((move) => move.by === by).map((move) => move.task.key)
          yield* tasks.setStatus(channel, keys, taskTransitions[by].to)
          yield* afterCommit(Metrics.tasksUpdated(channel, taskTransitions[by].to, keys.length))
          yield* afterCommit(Metrics.cascaded(channel, by, keys.length))
        }
        if (transition === "transitionFailed") yield* plans.fail(moved, found.plans, found.time)
      })

      const applyAction = Effect.fnUntraced(function* (text: string, action: string) {
        if (!isFunctionAction(action)) {
          return yield* new BadRequest({ message: "unsupported action" })
        }
        const key = yield* requiredKey("function", "function_key", text)
        yield* transition(key, functionActions[action], "User action")
      })

      const fail = (key: Key, reason: string) => transition(key, "transitionFailed", reason)

      return Functions.of({ register, get, query, update, applyAction, fail })
    })
  )
}

/** How this task follows it: of a READY function, where its parents stand. */
const taskTransition = (transition: FunctionTransition, { waitsForParents }: FollowingTask): TaskTransition => {
  switch (transition) {
    case "transitionBuilding":
      return "transitionBuilding"
    case "transitionReady":
      return waitsForParents ? "transitionWaitingParentTasks" : "transitionWaitingExecutorSlot"
    case "transitionCanceled":
      return "transitionCanceled"
    case "transitionFailed":
      return "transitionFailed"
  }
}
