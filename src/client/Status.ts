/**
 * From the status of a call, and from what goes wrong on the way, to the errors of ClientError.ts: the inverse of the
 * server's table in src/server/Status.ts, with a way out where there is one.
 */
import { type StatusObject, status } from "@grpc/grpc-js"
import { kindCodes, type OrchestratorError } from "../schema/OrchestratorError.ts"
import {
  BadRequest,
  type CallFields,
  CannotDisableOutput,
  ClientClosed,
  type ClientError,
  Conflict,
  DeadlineExceeded,
  IncompatibleKind,
  IncompatibleStatus,
  Internal,
  InvalidAnswer,
  InvalidAsset,
  InvalidPageToken,
  InvalidRequest,
  MissingTaskOutput,
  NotFound,
  PermissionDenied,
  ResourceExhausted,
  StoredDataInvalid,
  TerminatedComputePlan,
  Unavailable,
  UnexpectedStatus,
  Unimplemented,
  Untrusted
} from "./ClientError.ts"
import * as StatusDetails from "./StatusDetails.ts"

/** Where an error happened, for its message. */
export interface CallPlace {
  readonly rpc: string
  readonly address: string
  readonly requestId: string | undefined
}

type Kinded = Exclude<OrchestratorError["_tag"], "Unavailable" | "ResourceExhausted" | "DeadlineExceeded">

/** The classes of the kinds, by the tags that kindCodes knows. */
const kinded: { readonly [Tag in Kinded]: (fields: CallFields, details: StatusDetails.StatusDetails) => ClientError } =
  {
    StoredDataInvalid: (fields) => new StoredDataInvalid(fields),
    NotFound: (fields) => new NotFound(fields),
    BadRequest: (fields) => new BadRequest(fields),
    InvalidPageToken: (fields) => new InvalidPageToken(fields),
    Conflict: (fields) => new Conflict(fields),
    Internal: (fields) => new Internal(fields),
    Unimplemented: (fields) => new Unimplemented(fields),
    InvalidAsset: (fields, { violations }) => new InvalidAsset({ ...fields, violations }),
    PermissionDenied: (fields) => new PermissionDenied(fields),
    IncompatibleStatus: (fields) => {
      const [, transition = "", current = ""] =
        /event (\w+) inappropriate in current state (\w+)/.exec(fields.details) ?? []
      return new IncompatibleStatus({ ...fields, transition, current })
    },
    MissingTaskOutput: (fields) => new MissingTaskOutput(fields),
    IncompatibleKind: (fields) => new IncompatibleKind(fields),
    CannotDisableOutput: (fields) => new CannotDisableOutput(fields),
    TerminatedComputePlan: (fields) => new TerminatedComputePlan(fields)
  }

/** The tag of a kind. OE0003 has two: a page token that is none is the only one with INVALID_ARGUMENT. */
const tagOf = (kind: string | undefined, code: status): Kinded | undefined => {
  if (kind === undefined) return undefined
  const tags = (Object.keys(kinded) as Array<Kinded>).filter((tag) => kindCodes[tag] === kind)
  return tags.find((tag) => tag === "InvalidPageToken" && code === status.INVALID_ARGUMENT) ?? tags[0]
}

/** What grpc-js says of a call that has not left this machine. */
const notSent = /^(No connection established|Name resolution failed|Stream refused by server)/

/** What OpenSSL and Node say when a certificate, or TLS itself, is refused. */
const tlsRefusal = /certificate|altnames|unable to verify|SSL routines|wrong version number|EPROTO|tlsv1/i

/** An organization or channel that the server does not know. */
const noChannel = /^OE0102: organization ".*" (is unknown|has not access to channel)/
const channelAdvice = ". The server's file of channels must name this client's organization in this client's channel"

/** Permissions for an organization that is not there. */
const noGrantee = /^OE0003: invalid permission input values/
const granteeAdvice = ". Every id of authorizedIds must be an organization that is registered in this client's channel"

const kindAdvice = (details: string): string =>
  noChannel.test(details) ? channelAdvice : noGrantee.test(details) ? granteeAdvice : ""

const unavailableAdvice = (address: string, details: string): string =>
  notSent.test(details)
    ? `. Nobody can be reached at ${address}: is the orchestrator running there, and does it expect TLS exactly when this client uses it?`
    : ". The call may have been carried out: make it again, or look before you do"

/** What grpc-js says where the time was over before there was a connection. */
const noConnectionInTime = /Waiting for LB pick|name resolution in progress/i

const deadlineAdvice = (address: string, details: string): string =>
  noConnectionInTime.test(details)
    ? `. There was no connection to ${address} in time: is that the orchestrator's gRPC port? A longer \`timeout\` waits longer`
    : ". The call may have been carried out: look before you make it again, or give it more time by `timeout`"

/** grpc-js says the same of a request there and of an answer here. */
const sizeAdvice =
  ". A large answer needs a larger maxResponseSize, or a smaller page; a large request must be made several, or the server take more by ORCHESTRATOR_GRPC_MAX_REQUEST_SIZE"

const untrustedAdvice = (address: string): string =>
  `. TLS with ${address} failed: tls.ca must be the CA of the server's certificate, the certificate must name the host (tls.serverName where it differs), and a server with mutual TLS must know the CA of tls.certificate; for a server without TLS leave out tls`

const forwarded = (details: string): boolean => /^Received (RST_STREAM|HTTP status code)/.test(details)

/** The error of a status that is not OK. */
export const fromStatus = (place: CallPlace, { code, details, metadata }: StatusObject): ClientError => {
  const [rich] = metadata.get("grpc-status-details-bin")
  const said = rich instanceof Uint8Array ? StatusDetails.decode(rich) : StatusDetails.decode(new Uint8Array())
  const tag = tagOf(said.kind ?? /^(OE\d{4})\b/.exec(details)?.[1], code)
  const [requestId] = metadata.get("reqid")
  const fields = (advice = ""): CallFields => ({
    rpc: place.rpc,
    status: status[code] as keyof typeof status,
    details,
    message: `${place.rpc}: ${details}${advice}`,
    requestId: typeof requestId === "string" ? requestId : place.requestId
  })
  if (tag !== undefined) return kinded[tag](fields(kindAdvice(details)), said)
  switch (code) {
    case status.UNAVAILABLE:
      return tlsRefusal.test(details)
        ? new Untrusted(fields(untrustedAdvice(place.address)))
        : new Unavailable({ ...fields(unavailableAdvice(place.address, details)), inDoubt: !notSent.test(details) })
    case status.DEADLINE_EXCEEDED:
      return new DeadlineExceeded(fields(deadlineAdvice(place.address, details)))
    case status.RESOURCE_EXHAUSTED:
      return new ResourceExhausted(fields(sizeAdvice))
    case status.UNIMPLEMENTED:
      return new Unimplemented(fields(`. Is ${place.address} the gRPC port of an orchestrator of this version?`))
    case status.PERMISSION_DENIED:
      return new PermissionDenied(fields())
    default:
      // A connection or proxy that ends a call early is no status of the server's.
      return forwarded(details) || code === status.CANCELLED
        ? new Unavailable({ ...fields(unavailableAdvice(place.address, details)), inDoubt: true })
        : new UnexpectedStatus(fields(`. Is ${place.address} the gRPC port of an orchestrator?`))
  }
}

/** The fields of an error that no server told. */
const ownFields = (place: CallPlace, code: keyof typeof status, details: string, advice: string): CallFields => ({
  rpc: place.rpc,
  status: code,
  details,
  message: `${place.rpc}: ${details}. ${advice}`,
  requestId: place.requestId
})

const reasonOf = (cause: unknown): string => (cause instanceof Error ? cause.message : String(cause))

/** The error of an answer that is no message of its rpc. */
export const invalidAnswer = (place: CallPlace, cause: unknown): InvalidAnswer =>
  new InvalidAnswer(
    ownFields(
      place,
      "INTERNAL",
      `the answer cannot be decoded: ${reasonOf(cause)}`,
      `Is ${place.address} an orchestrator of this version?`
    )
  )

/** The error of a request that its message cannot hold. */
export const invalidRequest = (place: CallPlace, cause: unknown): InvalidRequest =>
  new InvalidRequest(
    ownFields(
      place,
      "INVALID_ARGUMENT",
      `the request cannot be encoded: ${reasonOf(cause)}`,
      "Is a field missing, or of another type?"
    )
  )

/** The error of a call whose own timeout is none. */
export const invalidTimeout = (place: CallPlace): InvalidRequest =>
  new InvalidRequest(
    ownFields(
      place,
      "INVALID_ARGUMENT",
      "the timeout of this call is no duration of a millisecond or more",
      'Give it as "30 seconds", or in milliseconds'
    )
  )

/** The error of a call on a client that is closed. */
export const clientClosed = (place: CallPlace): ClientClosed =>
  new ClientClosed(
    ownFields(
      place,
      "CANCELLED",
      "the client is closed",
      "Make calls before the end of the client's scope, or before close"
    )
  )
