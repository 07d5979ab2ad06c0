/** Profiling steps in memory: their names only, for nothing else is asked. */
import * as Effect from "effect/Effect"
import * as HashSet from "effect/HashSet"
import * as Layer from "effect/Layer"
import { ProfilingStore } from "../../services/store/ProfilingStore.ts"
import { type Access, access, type Memory } from "./Memory.ts"

const make = ({ writeNow }: Access): ProfilingStore["Service"] => ({
  add: (channel, { assetKey, step }) =>
    writeNow((state) => {
      const name = JSON.stringify([channel, assetKey, step])
      return HashSet.has(state.profilingSteps, name)
        ? [false, state]
        : [true, { ...state, profilingSteps: HashSet.add(state.profilingSteps, name) }]
    })
})

export const layer: Layer.Layer<ProfilingStore, never, Memory> = Layer.effect(ProfilingStore, Effect.map(access, make))
