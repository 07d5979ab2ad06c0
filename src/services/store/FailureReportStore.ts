/** The port of stored failure reports: one at most for a task or function. */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type * as Option from "effect/Option"
import type { FailureReport } from "../../schema/FailureReport.ts"
import type { ChannelName, Key } from "../../schema/Key.ts"
import type { ReadError } from "./StoreError.ts"
import type { UnitOfWork } from "./UnitOfWork.ts"

/** Failure reports, found by the key of what failed. */
export class FailureReportStore extends Context.Service<
  FailureReportStore,
  {
    /** The report of a failed asset; of a task and a function that share a key, the older one. */
    readonly find: (channel: ChannelName, assetKey: Key) => Effect.Effect<Option.Option<FailureReport>, ReadError>
    /** Stores a new report at the end of the transaction. Conflict at the commit when that asset has one. */
    readonly insert: (channel: ChannelName, report: FailureReport) => Effect.Effect<void, never, UnitOfWork>
  }
>()("orchestrator/services/store/FailureReportStore") {}
