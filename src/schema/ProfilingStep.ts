/** Profiling steps: how long a step of the work on an asset took. Only their events can be read. */
import * as Schema from "effect/Schema"
import { KeyInput } from "./Key.ts"
import { Name } from "./Text.ts"
import * as Validation from "./Validation.ts"

export const ProfilingStep = Schema.Struct({
  assetKey: KeyInput,
  step: Name,
  /** Microseconds, more than 0. */
  duration: Schema.Int.check(
    Schema.makeFilter((duration: number) => (duration > 0 ? undefined : "must be more than 0"))
  )
})
export interface ProfilingStep extends Schema.Schema.Type<typeof ProfilingStep> {}

/** A step as a client sends it. */
export type ProfilingStepMessage = typeof ProfilingStep.Encoded

/** Checks a registration (behaviour.md, section 2). */
export const validateNew = Validation.make("profiling_step", ProfilingStep)
