/**
 * Every error that a caller of the services can meet, one tagged class a kind.
 * `message` is public: it is what a client reads, without secrets, SQL or stacks; a private `cause` goes to the log.
 * The kinds and their codes are the contract's (OE0001 to OE0110); how they map to gRPC status codes is the server's.
 */
import * as Data from "effect/Data"

/** The name of an asset's kind in the text of errors. */
export type AssetName =
  | "organization"
  | "function"
  | "datamanager"
  | "datasample"
  | "computeplan"
  | "computetask"
  | "model"
  | "performance"
  | "failurereport"
  | "profiling_step"
  | "event"

/** One wrong field of an input: its path in the contract's names (`tasks[1].inputs[0].identifier`) and why it is wrong. */
export interface FieldViolation {
  readonly field: string
  readonly description: string
}

/** OE0001: what the store holds is not what this server writes. */
export class StoredDataInvalid extends Data.TaggedError("StoredDataInvalid")<{ readonly cause: unknown }> {
  override readonly message = "stored data could not be decoded"
}

/** OE0002: the channel has no such asset. */
export class NotFound extends Data.TaggedError("NotFound")<{ readonly asset: AssetName; readonly key: string }> {
  override readonly message = `${this.asset} with key "${this.key}" not found`
}

/** OE0003: the call cannot be made like this, or not now. */
export class BadRequest extends Data.TaggedError("BadRequest")<{ readonly message: string }> {}

/** OE0003 too, with a status of its own: a page token that this server did not make for this call. */
export class InvalidPageToken extends Data.TaggedError("InvalidPageToken") {
  override readonly message =
    "page_token: was not made by this server for this call, send the next_page_token of an earlier answer or nothing"
}

/** OE0006: the key is taken, in this channel or another. */
export class Conflict extends Data.TaggedError("Conflict")<{ readonly message: string }> {
  /** The usual text: this asset exists. */
  static readonly exists = (asset: AssetName, key: string): Conflict =>
    new Conflict({ message: `${asset} with key "${key}" already exists` })
}

/** OE0007: a defect, or a failure that no rule foresees. What it was goes to the log, with the request id. */
export class Internal extends Data.TaggedError("Internal")<{ readonly cause: unknown }> {
  override readonly message = "internal error, the server's log tells more under this call's request id"
}

/** OE0010: the contract has this, the server does not. */
export class Unimplemented extends Data.TaggedError("Unimplemented")<{ readonly message: string }> {}

/** OE0101: the input breaks a rule. `violations` names the fields where the rule is one of fields. */
export class InvalidAsset extends Data.TaggedError("InvalidAsset")<{
  readonly message: string
  readonly violations: ReadonlyArray<FieldViolation>
}> {
  /** An input with wrong fields: `computeplan is not valid: key: …; name: ….` */
  static readonly fields = (asset: AssetName, violations: ReadonlyArray<FieldViolation>): InvalidAsset =>
    new InvalidAsset({ message: validationText(asset, violations), violations })

  /** A rule that is not of single fields. */
  static readonly because = (message: string): InvalidAsset => new InvalidAsset({ message, violations: [] })
}

/** OE0102: the requester may not do this. */
export class PermissionDenied extends Data.TaggedError("PermissionDenied")<{ readonly message: string }> {}

/** OE0104: a transition that the current status of a task or function does not allow. Clients match on its text. */
export class IncompatibleStatus extends Data.TaggedError("IncompatibleStatus")<{
  readonly transition: string
  readonly status: string
}> {
  override readonly message = `event ${this.transition} inappropriate in current state ${this.status}`
}

/** OE0106: the task has no such output. */
export class MissingTaskOutput extends Data.TaggedError("MissingTaskOutput")<{
  readonly taskKey: string
  readonly identifier: string
}> {
  override readonly message = `Task "${this.taskKey}" has no output named "${this.identifier}"`
}

/** OE0107: an asset of one kind for an output of another. */
export class IncompatibleKind extends Data.TaggedError("IncompatibleKind")<{
  readonly taskKey: string
  readonly identifier: string
  readonly expected: string
  readonly received: string
}> {
  override readonly message =
    `Incompatible kind for task "${this.taskKey}": output "${this.identifier}" expects "${this.expected}", received "${this.received}"`
}

/** OE0108: the output cannot be disabled, or not now. */
export class CannotDisableOutput extends Data.TaggedError("CannotDisableOutput")<{ readonly message: string }> {}

/** OE0109: the plan was cancelled or has failed. */
export class TerminatedComputePlan extends Data.TaggedError("TerminatedComputePlan")<{ readonly key: string }> {
  override readonly message = `compute plan ${this.key} is already terminated`
}

/** No kind: the server cannot serve this now, the same call may succeed later. */
export class Unavailable extends Data.TaggedError("Unavailable")<{
  readonly message: string
  readonly cause?: unknown
}> {}

/** No kind: an answer, or a message, over a size limit. */
export class ResourceExhausted extends Data.TaggedError("ResourceExhausted")<{ readonly message: string }> {}

/** No kind: the server's own bound on the time of a call. */
export class DeadlineExceeded extends Data.TaggedError("DeadlineExceeded")<{ readonly message: string }> {}

export type OrchestratorError =
  | StoredDataInvalid
  | NotFound
  | BadRequest
  | InvalidPageToken
  | Conflict
  | Internal
  | Unimplemented
  | InvalidAsset
  | PermissionDenied
  | IncompatibleStatus
  | MissingTaskOutput
  | IncompatibleKind
  | CannotDisableOutput
  | TerminatedComputePlan
  | Unavailable
  | ResourceExhausted
  | DeadlineExceeded

/**
 * The contract's code of each kind, `undefined` for those without one. OE0105 (CannotDisableModel) and OE0110
 * (TerminatedComputeTask) are reserved: no rule of today yields them.
 */
export const kindCodes: { readonly [Tag in OrchestratorError["_tag"]]: string | undefined } = {
  StoredDataInvalid: "OE0001",
  NotFound: "OE0002",
  BadRequest: "OE0003",
  InvalidPageToken: "OE0003",
  Conflict: "OE0006",
  Internal: "OE0007",
  Unimplemented: "OE0010",
  InvalidAsset: "OE0101",
  PermissionDenied: "OE0102",
  IncompatibleStatus: "OE0104",
  MissingTaskOutput: "OE0106",
  IncompatibleKind: "OE0107",
  CannotDisableOutput: "OE0108",
  TerminatedComputePlan: "OE0109",
  Unavailable: undefined,
  ResourceExhausted: undefined,
  DeadlineExceeded: undefined
}

/** Whether this value is one of the errors above. */
export const isOrchestratorError = (u: unknown): u is OrchestratorError =>
  u instanceof Error && "_tag" in u && typeof u._tag === "string" && Object.hasOwn(kindCodes, u._tag)

const validationText = (asset: AssetName, violations: ReadonlyArray<FieldViolation>): string =>
  `${asset} is not valid: ${violations.map((violation) => `${violation.field}: ${violation.description}`).join("; ")}.`
