/** Failure reports (behaviour.md, section 4): a report fails the task or function that it is about. */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Event from "../schema/Event.ts"
import { type FailureReport, type NewFailureReportMessage, validateNew } from "../schema/FailureReport.ts"
import {
  BadRequest,
  type IncompatibleStatus,
  type InvalidAsset,
  type NotFound,
  type PermissionDenied
} from "../schema/OrchestratorError.ts"
import { ComputeTasks } from "./ComputeTasks.ts"
import { Functions } from "./Functions.ts"
import { orNotFound, requiredKey } from "./Lookup.ts"
import { RequestContext } from "./RequestContext.ts"
import { FailureReportStore } from "./store/FailureReportStore.ts"
import type { ReadError } from "./store/StoreError.ts"
import { emitEvents, UnitOfWork } from "./store/UnitOfWork.ts"

const reason = "failure report registered"

/** Failure reports, which end a task or the build of a function (behaviour.md, section 4). */
export class FailureReports extends Context.Service<
  FailureReports,
  {
    /** Of a task by its worker, of a function by its owner. The asset becomes FAILED, with all that follows from it. */
    readonly register: (
      message: NewFailureReportMessage
    ) => Effect.Effect<
      FailureReport,
      InvalidAsset | BadRequest | NotFound | PermissionDenied | IncompatibleStatus | ReadError,
      RequestContext | UnitOfWork
    >
    /** By the key of what failed. InvalidAsset for a text that is no key, NotFound where nothing is reported. */
    readonly get: (
      assetKey: string
    ) => Effect.Effect<FailureReport, InvalidAsset | NotFound | ReadError, RequestContext>
  }
>()("orchestrator/services/FailureReports") {
  static readonly layer = Layer.effect(
    FailureReports,
    Effect.gen(function* () {
      const functions = yield* Functions
      const tasks = yield* ComputeTasks
      const store = yield* FailureReportStore

      const register = Effect.fnUntraced(function* (message: NewFailureReportMessage) {
        const { channel, requester } = yield* RequestContext
        const { assetKey, assetType, errorType, logsAddress } = yield* validateNew(message)
        if (assetType === "FAILED_ASSET_UNKNOWN") {
          return yield* new BadRequest({
            message: "unsupported asset type, asset_type must be FAILED_ASSET_COMPUTE_TASK or FAILED_ASSET_FUNCTION"
          })
        }
        yield* assetType === "FAILED_ASSET_FUNCTION" ? functions.fail(assetKey, reason) : tasks.fail(assetKey, reason)
        const { now } = yield* UnitOfWork
        const report: FailureReport = {
          assetKey,
          assetType,
          errorType,
          ...(logsAddress === undefined ? {} : { logsAddress }),
          creationDate: yield* now,
          owner: requester
        }
        yield* store.insert(channel, report)
        yield* emitEvents([Event.created({ kind: "ASSET_FAILURE_REPORT", asset: report })])
        return report
      })

      const get = Effect.fnUntraced(function* (text: string) {
        const { channel } = yield* RequestContext
        const key = yield* requiredKey("failurereport", "asset_key", text)
        return yield* orNotFound("failurereport", key, yield* store.find(channel, key))
      })

      return FailureReports.of({ register, get })
    })
  )
}
