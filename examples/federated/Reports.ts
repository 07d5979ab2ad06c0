/** What workers report beside their results: how long each step took, and why something failed. */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { OrchestratorClient } from "../../src/client/Client.ts"
import type { ErrorType, FailedAssetKind } from "../../src/layers/wire/generated/failure_report.ts"
import type { Organization } from "./Organization.ts"
import { Storage } from "./Storage.ts"

/** Registers the time that a step took, in microseconds. */
export const timed =
  (client: OrchestratorClient, assetKey: string, step: string) =>
  <A, E, R>(work: Effect.Effect<A, E, R>) =>
    Effect.gen(function* () {
      const [took, result] = yield* Effect.timed(work)
      const duration = Math.max(1, Math.round(Duration.toMillis(took) * 1000))
      yield* client.registerProfilingStep({ duration, assetKey, step })
      return result
    })

/** Ends a task or the build of a function as failed. The log stays with the organization; its address is registered. */
export const failure = Effect.fnUntraced(function* (
  { client, id }: Organization,
  report: {
    readonly assetKey: string
    readonly assetType: FailedAssetKind
    readonly errorType: ErrorType
    readonly log: string
  }
) {
  const { assetKey, assetType, errorType, log } = report
  const { save } = yield* Storage
  const logsAddress = yield* save(id, `logs/${assetKey}.txt`, log)
  yield* client.registerFailureReport({ assetKey, assetType, errorType, logsAddress })
})
