/** Compute plans (behaviour.md, section 4). */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import {
  type ComputePlan,
  type ComputePlanUpdateMessage,
  isTerminated,
  type NewComputePlanMessage,
  validateNew,
  validateUpdate
} from "../schema/ComputePlan.ts"
import type { ComputeTask } from "../schema/ComputeTask.ts"
import * as Event from "../schema/Event.ts"
import type { Key, OrganizationId } from "../schema/Key.ts"
import {
  Conflict,
  type InvalidAsset,
  type NotFound,
  PermissionDenied,
  TerminatedComputePlan,
  Unimplemented
} from "../schema/OrchestratorError.ts"
import type { AssetCursor, Page, PageRequest } from "../schema/Pagination.ts"
import type { Timestamp } from "../schema/Timestamp.ts"
import { byKey, filterText, orNotFound, requiredKey } from "./Lookup.ts"
import { RequestContext } from "./RequestContext.ts"
import { ComputePlanStore } from "./store/ComputePlanStore.ts"
import type { ReadError } from "./store/StoreError.ts"
import { emitEvents, readTogether, type UnitOfWork } from "./store/UnitOfWork.ts"

/** Compute plans: their registration, and how they end (behaviour.md, section 4). */
export class ComputePlans extends Context.Service<
  ComputePlans,
  {
    /**
     * Registers a plan of the requester (behaviour.md, section 4, compute plan). InvalidAsset names the wrong fields,
     * Conflict a key that is in use in whatever channel. Nothing here refuses a requester: PermissionDenied is for a
     * policy in a Layer around this service.
     */
    readonly register: (
      message: NewComputePlanMessage
    ) => Effect.Effect<ComputePlan, InvalidAsset | Conflict | PermissionDenied | ReadError, RequestContext | UnitOfWork>
    /** InvalidAsset for a text that is no key, NotFound for a plan that the channel does not have. */
    readonly get: (key: string) => Effect.Effect<ComputePlan, InvalidAsset | NotFound | ReadError, RequestContext>
    /** By creation date, then key. An empty owner does not filter. */
    readonly query: (
      filter: { readonly owner: string },
      request: PageRequest<AssetCursor>
    ) => Effect.Effect<Page<ComputePlan>, InvalidAsset | ReadError, RequestContext>
    /** Replaces the name, of a terminated plan too; only the owner may. */
    readonly update: (
      message: ComputePlanUpdateMessage
    ) => Effect.Effect<void, InvalidAsset | NotFound | PermissionDenied | ReadError, RequestContext | UnitOfWork>
    /** `PLAN_ACTION_CANCELED` is the only action. Tasks are not touched; only the owner may. */
    readonly applyAction: (
      key: string,
      action: string
    ) => Effect.Effect<
      void,
      InvalidAsset | NotFound | PermissionDenied | Unimplemented | TerminatedComputePlan | ReadError,
      RequestContext | UnitOfWork
    >
    /** Whether something is yet to be done: not when the plan is terminated, or one of its tasks FAILED or CANCELED. */
    readonly isRunning: (key: string) => Effect.Effect<boolean, InvalidAsset | NotFound | ReadError, RequestContext>
    /**
     * Sets the failure date of plans of which tasks have failed, in the order of their first failed one, unless they are
     * terminated. `plans`: those of the tasks, locked by this transaction.
     */
    readonly fail: (
      failed: ReadonlyArray<ComputeTask>,
      plans: ReadonlyArray<ComputePlan>,
      time: Timestamp
    ) => Effect.Effect<void, never, RequestContext | UnitOfWork>
  }
>()("orchestrator/services/ComputePlans") {
  static readonly layer = Layer.effect(
    ComputePlans,
    Effect.gen(function* () {
      const store = yield* ComputePlanStore

      const register = Effect.fnUntraced(function* (message: NewComputePlanMessage) {
        const { channel, requester } = yield* RequestContext
        const input = yield* validateNew(message)
        const { isTaken, time } = yield* readTogether({ isTaken: store.isTaken(input.key) })
        if (isTaken) return yield* Conflict.exists("computeplan", input.key)
        const plan: ComputePlan = { ...input, owner: requester, creationDate: time }
        yield* store.insert(channel, plan)
        yield* emitEvents([Event.created({ kind: "ASSET_COMPUTE_PLAN", asset: plan })])
        return plan
      })

      const get = Effect.fnUntraced(function* (text: string) {
        const { channel } = yield* RequestContext
        const key = yield* requiredKey("computeplan", "key", text)
        return yield* orNotFound("computeplan", key, yield* store.find(channel, key))
      })

      const query = Effect.fnUntraced(function* (
        filter: { readonly owner: string },
        request: PageRequest<AssetCursor>
      ) {
        const { channel } = yield* RequestContext
        const owner = yield* filterText("computeplan", "filter.owner", filter.owner)
        return yield* store.page(channel, owner === undefined ? {} : { owner: owner as OrganizationId }, request)
      })

      /** The plan, locked. */
      const locked = Effect.fnUntraced(function* (key: Key) {
        const { channel } = yield* RequestContext
        const { plans, time } = yield* readTogether({ plans: store.lock(channel, [key]) })
        return { plan: yield* orNotFound("computeplan", key, Option.fromUndefinedOr(plans[0])), time }
      })

      const save = (plan: ComputePlan, event: Event.NewEvent) =>
        Effect.flatMap(RequestContext, ({ channel }) =>
          Effect.andThen(store.update(channel, [plan]), emitEvents([event]))
        )

      const update = Effect.fnUntraced(function* (message: ComputePlanUpdateMessage) {
        const { requester } = yield* RequestContext
        const { key, name } = yield* validateUpdate(message)
        const { plan } = yield* locked(key)
        if (plan.owner !== requester) {
          return yield* new PermissionDenied({ message: "requester does not own the compute plan" })
        }
        const renamed: ComputePlan = { ...plan, name }
        yield* save(renamed, Event.updated({ kind: "ASSET_COMPUTE_PLAN", asset: renamed }))
      })

      const applyAction = Effect.fnUntraced(function* (text: string, action: string) {
        const { requester } = yield* RequestContext
        const key = yield* requiredKey("computeplan", "key", text)
        const { plan, time } = yield* locked(key)
        if (plan.owner !== requester) {
          return yield* new PermissionDenied({ message: "only plan owner can act on it" })
        }
        if (action !== "PLAN_ACTION_CANCELED") {
          return yield* new Unimplemented({
            message: "plan action not supported: PLAN_ACTION_CANCELED is the only one"
          })
        }
        if (isTerminated(plan)) return yield* new TerminatedComputePlan({ key })
        const cancelled: ComputePlan = { ...plan, cancelationDate: time }
        yield* save(cancelled, Event.changed({ kind: "ASSET_COMPUTE_PLAN", asset: cancelled }))
      })

      const isRunning = Effect.fnUntraced(function* (text: string) {
        const { channel } = yield* RequestContext
        const key = yield* requiredKey("computeplan", "key", text)
        const activity = yield* orNotFound("computeplan", key, yield* store.findActivity(channel, key))
        return !isTerminated(activity.plan) && !activity.hasBroken && activity.hasUnfinished
      })

      const fail = Effect.fnUntraced(function* (
        failed: ReadonlyArray<ComputeTask>,
        plans: ReadonlyArray<ComputePlan>,
        time: Timestamp
      ) {
        const { channel } = yield* RequestContext
        const plansByKey = byKey(plans)
        const ended: Array<ComputePlan> = []
        for (const key of new Set(failed.map((task) => task.computePlanKey))) {
          const plan = plansByKey.get(key)
          if (plan !== undefined && !isTerminated(plan)) ended.push({ ...plan, failureDate: time })
        }
        yield* store.update(channel, ended)
        yield* emitEvents(ended.map((asset) => Event.changed({ kind: "ASSET_COMPUTE_PLAN", asset })))
      })

      return ComputePlans.of({ register, get, query, update, applyAction, isRunning, fail })
    })
  )
}
