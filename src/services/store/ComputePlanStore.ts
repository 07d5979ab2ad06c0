/** The port of stored compute plans. */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type * as Option from "effect/Option"
import type { ComputePlan } from "../../schema/ComputePlan.ts"
import type { ChannelName, Key, OrganizationId } from "../../schema/Key.ts"
import type { AssetCursor, Page, PageRequest } from "../../schema/Pagination.ts"
import type { TaskStatus } from "../../schema/TaskStatus.ts"
import type { ReadError } from "./StoreError.ts"
import type { UnitOfWork } from "./UnitOfWork.ts"

/** All conditions together. */
export interface ComputePlanFilter {
  /** Plans that this organization registered. */
  readonly owner?: OrganizationId
}

/** A plan with what its tasks are up to, in one consistent view. */
export interface PlanActivity {
  readonly plan: ComputePlan
  /** A task is FAILED or CANCELED. */
  readonly hasBroken: boolean
  /** A task is neither DONE nor broken. */
  readonly hasUnfinished: boolean
}

/** Compute plans. What a channel stores is never found in another; a key is used once over all of them. */
export class ComputePlanStore extends Context.Service<
  ComputePlanStore,
  {
    /** The plan with this key, none when the channel has no such plan. */
    readonly find: (channel: ChannelName, key: Key) => Effect.Effect<Option.Option<ComputePlan>, ReadError>
    /** The same with what its tasks are up to, as of one moment. */
    readonly findActivity: (channel: ChannelName, key: Key) => Effect.Effect<Option.Option<PlanActivity>, ReadError>
    /** Those that exist, in no order. */
    readonly many: (
      channel: ChannelName,
      keys: ReadonlyArray<Key>
    ) => Effect.Effect<ReadonlyArray<ComputePlan>, ReadError>
    /** Like `many`, held until the end of the transaction; locked in the order of their keys. */
    readonly lock: (
      channel: ChannelName,
      keys: ReadonlyArray<Key>
    ) => Effect.Effect<ReadonlyArray<ComputePlan>, ReadError, UnitOfWork>
    /** The plan of a task, held until the end of the transaction; none when there is no such task. */
    readonly lockOfTask: (
      channel: ChannelName,
      taskKey: Key
    ) => Effect.Effect<Option.Option<ComputePlan>, ReadError, UnitOfWork>
    /** The plans of a function's tasks in these statuses, held until the end; locked in the order of their keys. */
    readonly lockOfFunction: (
      channel: ChannelName,
      functionKey: Key,
      statuses: ReadonlyArray<TaskStatus>
    ) => Effect.Effect<ReadonlyArray<ComputePlan>, ReadError, UnitOfWork>
    /** Whether this key is in use, in whatever channel. */
    readonly isTaken: (key: Key) => Effect.Effect<boolean, ReadError>
    /** By creation date, then key. */
    readonly page: (
      channel: ChannelName,
      filter: ComputePlanFilter,
      request: PageRequest<AssetCursor>
    ) => Effect.Effect<Page<ComputePlan>, ReadError>
    /** Stores a new plan at the end of the transaction. Conflict at the commit when its key is in use, in whatever channel. */
    readonly insert: (channel: ChannelName, plan: ComputePlan) => Effect.Effect<void, never, UnitOfWork>
    /** Stores name and dates of plans that this transaction holds locked. */
    readonly update: (channel: ChannelName, plans: ReadonlyArray<ComputePlan>) => Effect.Effect<void, never, UnitOfWork>
  }
>()("orchestrator/services/store/ComputePlanStore") {}
