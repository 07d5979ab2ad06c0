/**
 * The port of stored compute tasks. What locks takes rows in the order of their ranks, then keys, and waits for whoever
 * holds them: the calls of one transaction must take functions first, then tasks, then plans (CONTRIBUTING.md, rules of
 * the write path).
 */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type * as Option from "effect/Option"
import type { ComputeTask } from "../../schema/ComputeTask.ts"
import type { FunctionOutput } from "../../schema/Function.ts"
import type { ChannelName, Key, OrganizationId } from "../../schema/Key.ts"
import type { AssetCursor, Page, PageRequest } from "../../schema/Pagination.ts"
import type { TaskStatus } from "../../schema/TaskStatus.ts"
import type { ReadError } from "./StoreError.ts"
import type { UnitOfWork } from "./UnitOfWork.ts"

/** All conditions together. */
export interface ComputeTaskFilter {
  readonly worker?: OrganizationId
  readonly status?: TaskStatus
  readonly computePlanKey?: Key
  readonly functionKey?: Key
}

/** A task that is about to be DONE. */
export interface FinishingTask {
  readonly task: ComputeTask
  /** Its children in WAITING_FOR_PARENT_TASKS whose other parents are all DONE, by creation date, then key. */
  readonly released: ReadonlyArray<ComputeTask>
}

/** A task with the outputs that its function declares. */
export interface TaskWithFunction {
  readonly task: ComputeTask
  readonly functionOutputs: ReadonlyMap<string, FunctionOutput>
}

/** A task with the statuses of those that take its outputs. */
export interface TaskWithChildren extends TaskWithFunction {
  readonly childStatuses: ReadonlyArray<TaskStatus>
}

/** A task of a function that changes its state. */
export interface FollowingTask {
  readonly task: ComputeTask
  /** Whether a parent is not DONE. */
  readonly waitsForParents: boolean
}

/** Compute tasks, with the edges between them. A key is used once over all channels. */
export class ComputeTaskStore extends Context.Service<
  ComputeTaskStore,
  {
    /** The task with this key, none when the channel has no such task. */
    readonly find: (channel: ChannelName, key: Key) => Effect.Effect<Option.Option<ComputeTask>, ReadError>
    /** Which of these keys are in use, in whatever channel. */
    readonly taken: (keys: ReadonlyArray<Key>) => Effect.Effect<ReadonlySet<Key>, ReadError>
    /** By creation date, then key. */
    readonly page: (
      channel: ChannelName,
      filter: ComputeTaskFilter,
      request: PageRequest<AssetCursor>
    ) => Effect.Effect<Page<ComputeTask>, ReadError>
    /** The task, held until the end of the transaction: no other change of its state meanwhile. */
    readonly lock: (
      channel: ChannelName,
      key: Key
    ) => Effect.Effect<Option.Option<TaskWithFunction>, ReadError, UnitOfWork>
    /** Like `lock`, with the statuses of the task's children, each once; these are not locked. */
    readonly lockWithChildren: (
      channel: ChannelName,
      key: Key
    ) => Effect.Effect<Option.Option<TaskWithChildren>, ReadError, UnitOfWork>
    /**
     * The task and all its children that are not in a final status, held until the end of the transaction: of two
     * parents that finish at once, the second to get here sees the first one DONE. No child can be registered meanwhile.
     */
    readonly lockForDone: (
      channel: ChannelName,
      key: Key
    ) => Effect.Effect<Option.Option<FinishingTask>, ReadError, UnitOfWork>
    /**
     * The tasks of a function in these statuses, by creation date, then key, held until the end of the transaction;
     * their parents are looked at once they are locked. The function must be locked before.
     */
    readonly lockOfFunction: (
      channel: ChannelName,
      functionKey: Key,
      statuses: ReadonlyArray<TaskStatus>
    ) => Effect.Effect<ReadonlyArray<FollowingTask>, ReadError, UnitOfWork>
    /** Those that exist, in no order, kept in their status until the end of the transaction (others may share them). */
    readonly share: (
      channel: ChannelName,
      keys: ReadonlyArray<Key>
    ) => Effect.Effect<ReadonlyArray<TaskWithFunction>, ReadError, UnitOfWork>
    /**
     * Tasks of one transaction, in the order of registration, with the edges to their parents, which this transaction
     * shares or inserts too. Conflict at the commit when a key is in use, in whatever channel, or twice among them.
     */
    readonly insert: (channel: ChannelName, tasks: ReadonlyArray<ComputeTask>) => Effect.Effect<void, never, UnitOfWork>
    /** Stores a status for tasks that this transaction holds locked. */
    readonly setStatus: (
      channel: ChannelName,
      keys: ReadonlyArray<Key>,
      status: TaskStatus
    ) => Effect.Effect<void, never, UnitOfWork>
  }
>()("orchestrator/services/store/ComputeTaskStore") {}
