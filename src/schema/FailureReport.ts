/** Failure reports: why a task or a function failed, and where the logs are. */
import * as Schema from "effect/Schema"
import { Addressable, AddressableInput } from "./Addressable.ts"
import { Key, KeyInput, OrganizationId } from "./Key.ts"
import type { FieldViolation } from "./OrchestratorError.ts"
import { Timestamp } from "./Timestamp.ts"
import * as Validation from "./Validation.ts"

export const ErrorType = Schema.Literals(["ERROR_TYPE_BUILD", "ERROR_TYPE_EXECUTION", "ERROR_TYPE_INTERNAL"])
export type ErrorType = typeof ErrorType.Type

export const FailedAssetKind = Schema.Literals(["FAILED_ASSET_COMPUTE_TASK", "FAILED_ASSET_FUNCTION"])
export type FailedAssetKind = typeof FailedAssetKind.Type

export const FailureReport = Schema.Struct({
  /** The task or function that failed; it has one report at most. */
  assetKey: Key,
  assetType: FailedAssetKind,
  errorType: ErrorType,
  /** There for BUILD and EXECUTION errors only. */
  logsAddress: Schema.optionalKey(Addressable),
  creationDate: Timestamp,
  owner: OrganizationId
})
export interface FailureReport extends Schema.Schema.Type<typeof FailureReport> {}

const isErrorType = Schema.is(ErrorType)

const isAskedAsset = Schema.is(Schema.Literals(["FAILED_ASSET_UNKNOWN", ...FailedAssetKind.literals]))

const knownAsset = (text: string): string | undefined => (isAskedAsset(text) ? undefined : "must be a known value")

const knownType = (text: string): string | undefined =>
  text === "ERROR_TYPE_UNSPECIFIED" ? "cannot be blank" : isErrorType(text) ? undefined : "must be a known error type"

export const NewFailureReport = Schema.Struct({
  assetKey: KeyInput,
  errorType: Schema.String.check(Schema.makeFilter(knownType)).pipe(Schema.refine(isErrorType)),
  /** An unset one passes: the service refuses it as a bad request. */
  assetType: Schema.String.check(Schema.makeFilter(knownAsset)).pipe(Schema.refine(isAskedAsset)),
  logsAddress: Schema.optional(AddressableInput)
})
export interface NewFailureReport extends Schema.Schema.Type<typeof NewFailureReport> {}

/** A registration as a client sends it. */
export type NewFailureReportMessage = Validation.Message<typeof NewFailureReport.Encoded>

const logsViolations = (message: NewFailureReportMessage): ReadonlyArray<FieldViolation> => {
  const wanted = message.errorType === "ERROR_TYPE_BUILD" || message.errorType === "ERROR_TYPE_EXECUTION"
  if (wanted === (message.logsAddress !== undefined)) return []
  return [{ field: "logs_address", description: wanted ? "cannot be blank" : "must be absent for this error type" }]
}

/** Checks a registration: logs belong to BUILD and EXECUTION errors (behaviour.md, section 2). */
export const validateNew = Validation.make("failurereport", NewFailureReport, logsViolations)
