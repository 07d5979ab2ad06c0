/** The port of stored performances: one at most for an output of a task. */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type { ChannelName, Key } from "../../schema/Key.ts"
import type { Page, PageRequest, PerformanceCursor } from "../../schema/Pagination.ts"
import type { Performance } from "../../schema/Performance.ts"
import type { ReadError } from "./StoreError.ts"
import type { UnitOfWork } from "./UnitOfWork.ts"

/** All conditions together. */
export interface PerformanceFilter {
  readonly computeTaskKey?: Key
  readonly computeTaskOutputIdentifier?: string
}

/** Performances, named by their task and output. */
export class PerformanceStore extends Context.Service<
  PerformanceStore,
  {
    /** All performances of a task, in no order. */
    readonly ofTask: (channel: ChannelName, taskKey: Key) => Effect.Effect<ReadonlyArray<Performance>, ReadError>
    /** By creation date, then task key backwards, then output identifier. */
    readonly page: (
      channel: ChannelName,
      filter: PerformanceFilter,
      request: PageRequest<PerformanceCursor>
    ) => Effect.Effect<Page<Performance>, ReadError>
    /** Stores a new one at the end of the transaction. Conflict at the commit when that output of the task has one. */
    readonly insert: (channel: ChannelName, performance: Performance) => Effect.Effect<void, never, UnitOfWork>
  }
>()("orchestrator/services/store/PerformanceStore") {}
