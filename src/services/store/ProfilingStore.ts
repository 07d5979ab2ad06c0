/** The port that remembers which profiling steps were registered. */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type { ChannelName } from "../../schema/Key.ts"
import type { ProfilingStep } from "../../schema/ProfilingStep.ts"
import type { ReadError } from "./StoreError.ts"
import type { UnitOfWork } from "./UnitOfWork.ts"

/** Which steps of which assets were registered. */
export class ProfilingStore extends Context.Service<
  ProfilingStore,
  {
    /**
     * Stores the step at once, unlike other writes, and says whether it is new: false when the asset has a step of
     * that name. Of two transactions that add the same step, the second waits for the first to end.
     */
    readonly add: (channel: ChannelName, step: ProfilingStep) => Effect.Effect<boolean, ReadError, UnitOfWork>
  }
>()("orchestrator/services/store/ProfilingStore") {}
