/** What a call failed with, the same for its status and for its line in the log. */
import * as Cause from "effect/Cause"
import { Internal, isOrchestratorError, type OrchestratorError } from "../schema/OrchestratorError.ts"

/** A call that cannot be decoded: there is no kind for it. */
export class Undecodable extends Error {
  readonly _tag = "Undecodable"
}

/** A defect is never the caller's error, whatever it is made of, and neither is a failure that no rule foresees. */
export const failureOf = (cause: Cause.Cause<unknown>): OrchestratorError | Undecodable => {
  const died = cause.reasons.find(Cause.isDieReason)
  if (died !== undefined) return new Internal({ cause: died.defect })
  const error = Cause.squash(cause)
  return error instanceof Undecodable || isOrchestratorError(error) ? error : new Internal({ cause: error })
}
