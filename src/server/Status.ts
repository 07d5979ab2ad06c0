/**
 * From errors to gRPC statuses: one total table. A status text starts with the error's kind; the details that gRPC
 * carries beside it (google.rpc.ErrorInfo, google.rpc.BadRequest) say the same for machines.
 */
import { BinaryWriter } from "@bufbuild/protobuf/wire"
import { Metadata, type ServiceError, status } from "@grpc/grpc-js"
import { type FieldViolation, kindCodes, type OrchestratorError } from "../schema/OrchestratorError.ts"

/** The gRPC status of each kind of error (errors.md). */
export const statusCodes: { readonly [Tag in OrchestratorError["_tag"]]: status } = {
  StoredDataInvalid: status.INTERNAL,
  NotFound: status.NOT_FOUND,
  BadRequest: status.FAILED_PRECONDITION,
  InvalidPageToken: status.INVALID_ARGUMENT,
  Conflict: status.ALREADY_EXISTS,
  Internal: status.INTERNAL,
  Unimplemented: status.UNIMPLEMENTED,
  InvalidAsset: status.INVALID_ARGUMENT,
  PermissionDenied: status.PERMISSION_DENIED,
  IncompatibleStatus: status.FAILED_PRECONDITION,
  MissingTaskOutput: status.INVALID_ARGUMENT,
  IncompatibleKind: status.INVALID_ARGUMENT,
  CannotDisableOutput: status.FAILED_PRECONDITION,
  TerminatedComputePlan: status.FAILED_PRECONDITION,
  Unavailable: status.UNAVAILABLE,
  ResourceExhausted: status.RESOURCE_EXHAUSTED,
  DeadlineExceeded: status.DEADLINE_EXCEEDED
}

/** What a failed call answers. */
export type CallStatus = Pick<ServiceError, "code" | "details" | "metadata">

/**
 * Clients bound the headers that they take, many at 8 KiB, and the text goes over the wire twice: as it is, escaped,
 * and inside the details, in base64. So a text is cut before it could cost the client the whole status.
 */
const maxTextBytes = 1800

/** Well-formed text of bounded size: gRPC escapes what is not ASCII, three characters for a byte. */
const boundedText = (text: string): string => {
  const whole = text.toWellFormed()
  if (encodeURI(whole).length <= maxTextBytes) return whole
  let end = Math.min(whole.length, maxTextBytes)
  while (encodeURI(whole.slice(0, end).toWellFormed()).length > maxTextBytes) end = Math.floor(end * 0.9)
  return `${whole.slice(0, end).toWellFormed()}…`
}

/** As many violations as fit, and how many more there are. */
const boundedViolations = (violations: ReadonlyArray<FieldViolation>): ReadonlyArray<FieldViolation> => {
  const shown: Array<FieldViolation> = []
  let size = 0
  for (const { description, field } of violations) {
    const violation = { field: boundedText(field), description: boundedText(description) }
    size += encodeURI(violation.field + violation.description).length + 4
    if (size > maxTextBytes) break
    shown.push(violation)
  }
  return shown
}

const textOf = (error: OrchestratorError): string => {
  const kind = kindCodes[error._tag]
  const text = kind === undefined ? error.message : `${kind}: ${error.message}`
  if (error._tag !== "InvalidAsset" || error.violations.length === 0) return boundedText(text)
  const bounded = boundedText(text)
  return bounded.endsWith("…") ? `${bounded} (${error.violations.length} wrong fields in all).` : bounded
}

/** The status of an error, with its machine-readable half where it has a kind. */
export const statusOf = (error: OrchestratorError): CallStatus => {
  const code = statusCodes[error._tag]
  const details = textOf(error)
  const metadata = new Metadata()
  const kind = kindCodes[error._tag]
  if (kind !== undefined) {
    const violations = error._tag === "InvalidAsset" ? boundedViolations(error.violations) : undefined
    metadata.set("grpc-status-details-bin", Buffer.from(richStatus(code, details, kind, violations)))
  }
  return { code, details, metadata }
}

/** A status for what is no error of the services. */
export const plainStatus = (code: status, text: string): CallStatus => ({
  code,
  details: boundedText(text),
  metadata: new Metadata()
})

const lengthDelimited = (field: number): number => (field << 3) | 2
const text = (writer: BinaryWriter, field: number, value: string): BinaryWriter =>
  writer.uint32(lengthDelimited(field)).string(value)

/** google.protobuf.Any */
const any = (type: string, value: Uint8Array): Uint8Array =>
  text(new BinaryWriter(), 1, `type.googleapis.com/${type}`).uint32(lengthDelimited(2)).bytes(value).finish()

/** google.rpc.Status with ErrorInfo and, for invalid assets, BadRequest. */
const richStatus = (
  code: status,
  message: string,
  kind: string,
  violations: ReadonlyArray<FieldViolation> | undefined
): Uint8Array => {
  const info = text(text(new BinaryWriter(), 1, kind), 2, "orchestrator").finish()
  const writer = text(new BinaryWriter().uint32(1 << 3).int32(code), 2, message)
  writer.uint32(lengthDelimited(3)).bytes(any("google.rpc.ErrorInfo", info))
  if (violations !== undefined) {
    const request = new BinaryWriter()
    for (const violation of violations) {
      const field = text(text(new BinaryWriter(), 1, violation.field), 2, violation.description).finish()
      request.uint32(lengthDelimited(1)).bytes(field)
    }
    writer.uint32(lengthDelimited(3)).bytes(any("google.rpc.BadRequest", request.finish()))
  }
  return writer.finish()
}
