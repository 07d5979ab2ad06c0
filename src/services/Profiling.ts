/** Profiling (behaviour.md, section 4): steps are told to consumers, once each, and cannot be read back. */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Event from "../schema/Event.ts"
import type { InvalidAsset } from "../schema/OrchestratorError.ts"
import { type ProfilingStepMessage, validateNew } from "../schema/ProfilingStep.ts"
import { RequestContext } from "./RequestContext.ts"
import { ProfilingStore } from "./store/ProfilingStore.ts"
import type { ReadError } from "./store/StoreError.ts"
import { emitEvents, readTogether, type UnitOfWork } from "./store/UnitOfWork.ts"

/** Profiling steps, which can be read from events only (behaviour.md, section 4). */
export class Profiling extends Context.Service<
  Profiling,
  {
    /** A step of any asset, by any organization. One that the asset already has is accepted, and not told again. */
    readonly register: (
      message: ProfilingStepMessage
    ) => Effect.Effect<void, InvalidAsset | ReadError, RequestContext | UnitOfWork>
  }
>()("orchestrator/services/Profiling") {
  static readonly layer = Layer.effect(
    Profiling,
    Effect.gen(function* () {
      const store = yield* ProfilingStore

      const register = Effect.fnUntraced(function* (message: ProfilingStepMessage) {
        const { channel } = yield* RequestContext
        const step = yield* validateNew(message)
        const { isNew } = yield* readTogether({ isNew: store.add(channel, step) })
        if (isNew) yield* emitEvents([Event.created({ kind: "ASSET_PROFILING_STEP", asset: step })])
      })

      return Profiling.of({ register })
    })
  )
}
