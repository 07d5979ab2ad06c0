/**
 * Every error that a call can meet, one tagged class a kind: the same tags as in schema/OrchestratorError.ts for what
 * the orchestrator says, and a few for what happens on the way to it. A message says what failed, why and what to do.
 */
import type { status } from "@grpc/grpc-js"
import * as Data from "effect/Data"
import type { FieldViolation } from "../schema/OrchestratorError.ts"

/** What every error of a call has. */
export interface CallFields {
  /** The rpc as the contract writes it: `RegisterPlan`. */
  readonly rpc: string
  /** The gRPC status: `NOT_FOUND`. */
  readonly status: keyof typeof status
  /** What the server, or the network, said, to the letter: `OE0002: computeplan with key "…" not found`. */
  readonly details: string
  /** `details` with the rpc before it and, where there is one, a way out behind it. */
  readonly message: string
  /** The id of the call in the server's log, where it got there. */
  readonly requestId: string | undefined
}

/** OE0001: the server cannot read what it has stored. */
export class StoredDataInvalid extends Data.TaggedError("StoredDataInvalid")<CallFields> {}
/** OE0002: the channel has no such asset. */
export class NotFound extends Data.TaggedError("NotFound")<CallFields> {}
/** OE0003: the call cannot be made like this, or not now. */
export class BadRequest extends Data.TaggedError("BadRequest")<CallFields> {}
/** OE0003 with INVALID_ARGUMENT: a page token that the server did not make for this call. */
export class InvalidPageToken extends Data.TaggedError("InvalidPageToken")<CallFields> {}
/** OE0006: the key is taken, in this channel or another. */
export class Conflict extends Data.TaggedError("Conflict")<CallFields> {}
/** OE0007: a failure that no rule foresees; the server's log tells more under `requestId`. */
export class Internal extends Data.TaggedError("Internal")<CallFields> {}
/** OE0010, or an rpc that the server does not have. */
export class Unimplemented extends Data.TaggedError("Unimplemented")<CallFields> {}
/** OE0101: the input breaks a rule. `violations` names the wrong fields by their names in the contract. */
export class InvalidAsset extends Data.TaggedError("InvalidAsset")<
  CallFields & {
    /** Each wrong field by its path in the contract (`tasks[1].inputs[0].identifier`), and why. */
    readonly violations: ReadonlyArray<FieldViolation>
  }
> {}
/** OE0102: the organization may not do this, or does not have this channel. */
export class PermissionDenied extends Data.TaggedError("PermissionDenied")<CallFields> {}
/** OE0104: a transition (`transitionDone`) that the current status (`STATUS_DONE`) does not allow. */
export class IncompatibleStatus extends Data.TaggedError("IncompatibleStatus")<
  CallFields & {
    /** What was asked for: `transitionDone`. */
    readonly transition: string
    /** The status that does not allow it: `STATUS_DONE`, `FUNCTION_STATUS_READY`. */
    readonly current: string
  }
> {}
/** OE0106: the task has no such output. */
export class MissingTaskOutput extends Data.TaggedError("MissingTaskOutput")<CallFields> {}
/** OE0107: an asset of one kind for an output of another. */
export class IncompatibleKind extends Data.TaggedError("IncompatibleKind")<CallFields> {}
/** OE0108: the output cannot be disabled, or not now. */
export class CannotDisableOutput extends Data.TaggedError("CannotDisableOutput")<CallFields> {}
/** OE0109: the plan was cancelled or has failed. */
export class TerminatedComputePlan extends Data.TaggedError("TerminatedComputePlan")<CallFields> {}
/** Nobody answers, the connection broke, or the server cannot serve now, for as long as the call was tried again. */
export class Unavailable extends Data.TaggedError("Unavailable")<
  CallFields & {
    /** Whether the call may have been carried out, though its answer never came. */
    readonly inDoubt: boolean
  }
> {}
/** TLS refused the server's certificate or the client's: trying again does not help. */
export class Untrusted extends Data.TaggedError("Untrusted")<CallFields> {}
/** A message over a size limit: the request, or an answer that the server held back. */
export class ResourceExhausted extends Data.TaggedError("ResourceExhausted")<CallFields> {}
/** The time of the call, or the server's own bound, was over. The call may have been carried out. */
export class DeadlineExceeded extends Data.TaggedError("DeadlineExceeded")<CallFields> {}
/** What came is no answer of this rpc. The call may have been carried out. */
export class InvalidAnswer extends Data.TaggedError("InvalidAnswer")<CallFields> {}
/** A field of the request has a value that its type does not have. Nothing was sent. */
export class InvalidRequest extends Data.TaggedError("InvalidRequest")<CallFields> {}
/** The client was closed before the call, or during it: then it may have been carried out. */
export class ClientClosed extends Data.TaggedError("ClientClosed")<CallFields> {}
/** A status that no orchestrator answers: `status` and `details` tell which. */
export class UnexpectedStatus extends Data.TaggedError("UnexpectedStatus")<CallFields> {}

/** What a call can fail with. */
export type ClientError =
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
  | Untrusted
  | ResourceExhausted
  | DeadlineExceeded
  | InvalidAnswer
  | InvalidRequest
  | ClientClosed
  | UnexpectedStatus
