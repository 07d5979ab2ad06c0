/** What the headers of a call say (behaviour.md, section 1), in the order in which they are checked. */

import { randomBytes } from "node:crypto"
import type { Metadata } from "@grpc/grpc-js"
import * as Effect from "effect/Effect"
import * as Headers from "effect/http/Headers"
import * as HttpTraceContext from "effect/http/HttpTraceContext"
import type * as Option from "effect/Option"
import type * as Tracer from "effect/Tracer"
import type { ChannelName, OrganizationId } from "../schema/Key.ts"
import { BadRequest } from "../schema/OrchestratorError.ts"

/** The most that a client can want of the size of its answer: 2 GiB, what clients say that take anything. */
const maxResponseLimit = 2_147_483_648

/** What can be sent back as a header, without taking up the room that clients have for headers. */
const printable = /^[\x20-\x7e]{1,1000}$/

/**
 * The one value of a header. HTTP joins values of one name by commas, so a comma makes two: no id of an organization,
 * channel or call has one.
 */
const single = (metadata: Metadata, name: string): string | undefined => {
  const values = metadata.get(name)
  const [value] = values
  return values.length === 1 && typeof value === "string" && !value.includes(",") ? value : undefined
}

/** The call's own id: as the client names it, else 8 random hexadecimal characters. */
export const requestId = (metadata: Metadata): string => {
  const given = single(metadata, "reqid")
  return given !== undefined && printable.test(given) ? given : randomBytes(4).toString("hex")
}

/** The caller's span, by the header `traceparent` of W3C; what is malformed counts as none. */
export const callerSpan = (metadata: Metadata): Option.Option<Tracer.ExternalSpan> => {
  const traceparent = single(metadata, "traceparent")
  return HttpTraceContext.w3c(Headers.fromRecordUnsafe(traceparent === undefined ? {} : { traceparent }))
}

const required = (metadata: Metadata, name: string): Effect.Effect<string, BadRequest> => {
  const value = single(metadata, name)
  return value === undefined
    ? Effect.fail(new BadRequest({ message: `missing or invalid header '${name}'` }))
    : Effect.succeed(value)
}

export const organization = (metadata: Metadata): Effect.Effect<OrganizationId, BadRequest> =>
  required(metadata, "mspid") as Effect.Effect<OrganizationId, BadRequest>

export const channel = (metadata: Metadata): Effect.Effect<ChannelName, BadRequest> =>
  required(metadata, "channel") as Effect.Effect<ChannelName, BadRequest>

/** The bound that the client puts on its answer, in bytes; `standard` when it puts none. */
export const maxResponseSize = (metadata: Metadata, standard: number): Effect.Effect<number, BadRequest> => {
  if (metadata.get("max-response-size").length === 0) return Effect.succeed(standard)
  const text = single(metadata, "max-response-size") ?? ""
  const bytes = /^\d{1,10}$/.test(text) ? Number(text) : 0
  return bytes >= 1 && bytes <= maxResponseLimit
    ? Effect.succeed(bytes)
    : Effect.fail(
        new BadRequest({
          message: `invalid header 'max-response-size': it must be one decimal number of bytes from 1 to ${maxResponseLimit}`
        })
      )
}
