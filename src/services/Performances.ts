/** Performances (behaviour.md, section 4): registered by the worker of the task that measured them. */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Event from "../schema/Event.ts"
import { Conflict, type InvalidAsset, type NotFound } from "../schema/OrchestratorError.ts"
import type { Page, PageRequest, PerformanceCursor } from "../schema/Pagination.ts"
import { keyOf, type NewPerformanceMessage, type Performance, validateNew } from "../schema/Performance.ts"
import { filterKey, filterText, orNotFound } from "./Lookup.ts"
import { type OutputRefusal, openOutput } from "./OpenOutput.ts"
import { RequestContext } from "./RequestContext.ts"
import { ComputeTaskStore } from "./store/ComputeTaskStore.ts"
import { PerformanceStore } from "./store/PerformanceStore.ts"
import type { ReadError } from "./store/StoreError.ts"
import { emitEvents, readTogether, type UnitOfWork } from "./store/UnitOfWork.ts"

type RegistrationError = InvalidAsset | NotFound | OutputRefusal | Conflict

/** What a query may ask for; empty texts do not filter. */
export interface PerformanceQuery {
  readonly computeTaskKey: string
  readonly computeTaskOutputIdentifier: string
}

/** Performances, 32-bit floats that tasks give (behaviour.md, section 4). */
export class Performances extends Context.Service<
  Performances,
  {
    /** The performance of an output of an EXECUTING task: one at most. `performanceValue` is a 32-bit float. */
    readonly register: (
      message: NewPerformanceMessage
    ) => Effect.Effect<Performance, RegistrationError | ReadError, RequestContext | UnitOfWork>
    /** By creation date, then task key backwards, then output identifier. */
    readonly query: (
      filter: PerformanceQuery,
      request: PageRequest<PerformanceCursor>
    ) => Effect.Effect<Page<Performance>, InvalidAsset | ReadError, RequestContext>
  }
>()("orchestrator/services/Performances") {
  static readonly layer = Layer.effect(
    Performances,
    Effect.gen(function* () {
      const tasks = yield* ComputeTaskStore
      const store = yield* PerformanceStore

      const register = Effect.fnUntraced(function* (message: NewPerformanceMessage) {
        const { channel, requester } = yield* RequestContext
        const input = yield* validateNew(message)
        const { computeTaskKey: taskKey, computeTaskOutputIdentifier: identifier } = input
        const found = yield* readTogether({ task: tasks.lock(channel, taskKey), held: store.ofTask(channel, taskKey) })
        const task = yield* orNotFound("computetask", taskKey, found.task)
        yield* openOutput(task, identifier, "ASSET_PERFORMANCE", requester)
        if (found.held.some((one) => one.computeTaskOutputIdentifier === identifier)) {
          return yield* Conflict.exists("performance", keyOf(taskKey, identifier))
        }
        const performance: Performance = { ...input, creationDate: found.time }
        yield* store.insert(channel, performance)
        yield* emitEvents([
          Event.created({ kind: "ASSET_PERFORMANCE", asset: performance }),
          Event.created({
            kind: "ASSET_COMPUTE_TASK_OUTPUT_ASSET",
            asset: {
              computeTaskKey: taskKey,
              computeTaskOutputIdentifier: identifier,
              assetKind: "ASSET_PERFORMANCE",
              assetKey: keyOf(taskKey, identifier)
            }
          })
        ])
        return performance
      })

      const query = Effect.fnUntraced(function* (filter: PerformanceQuery, request: PageRequest<PerformanceCursor>) {
        const { channel } = yield* RequestContext
        const taskKey = yield* filterKey("performance", "filter.compute_task_key", filter.computeTaskKey)
        const identifier = yield* filterText(
          "performance",
          "filter.compute_task_output_identifier",
          filter.computeTaskOutputIdentifier
        )
        return yield* store.page(
          channel,
          {
            ...(taskKey === undefined ? {} : { computeTaskKey: taskKey }),
            ...(identifier === undefined ? {} : { computeTaskOutputIdentifier: identifier })
          },
          request
        )
      })

      return Performances.of({ register, query })
    })
  )
}
