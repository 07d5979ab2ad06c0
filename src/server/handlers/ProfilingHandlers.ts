/** ProfilingService. */
import * as Effect from "effect/Effect"
import { ProfilingServiceDefinition } from "../../layers/wire/generated/profiling.ts"
import { Profiling } from "../../services/Profiling.ts"
import { service, write } from "../Rpc.ts"

export const profilingHandlers = Effect.map(Profiling, (profiling) =>
  service(ProfilingServiceDefinition, {
    registerProfilingStep: write((request) => Effect.as(profiling.register(request), {}))
  })
)
