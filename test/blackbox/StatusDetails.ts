/**
 * What `grpc-status-details-bin` holds: a google.rpc.Status with, of its details, ErrorInfo and BadRequest. Read by
 * field number, so that the tests trust no code of the server.
 */
import { BinaryReader } from "@bufbuild/protobuf/wire"

export interface StatusDetails {
  readonly code: number
  readonly message: string
  /** Of the ErrorInfo. */
  readonly reason: string | undefined
  readonly domain: string | undefined
  /** Of the BadRequest: what is wrong by field, none without such a detail. */
  readonly violations: ReadonlyMap<string, string> | undefined
}

/** Every field of a message in their order: bytes where it has a length, else the number. */
const fieldsOf = (bytes: Uint8Array): ReadonlyArray<readonly [field: number, value: Uint8Array | number]> => {
  const reader = new BinaryReader(bytes)
  const fields: Array<readonly [number, Uint8Array | number]> = []
  while (reader.pos < reader.len) {
    const [field, wireType] = reader.tag()
    if (wireType === 2) fields.push([field, reader.bytes()])
    else if (wireType === 0) fields.push([field, reader.int32()])
    else reader.skip(wireType)
  }
  return fields
}

const bytesAt = (message: Uint8Array, field: number): ReadonlyArray<Uint8Array> =>
  fieldsOf(message).flatMap(([number, value]) => (number === field && typeof value !== "number" ? [value] : []))

const textAt = (message: Uint8Array, field: number): string => new TextDecoder().decode(bytesAt(message, field).at(-1))

const violationsOf = (badRequest: Uint8Array): ReadonlyMap<string, string> => {
  const violations = bytesAt(badRequest, 1).map((violation) => [textAt(violation, 1), textAt(violation, 2)] as const)
  const byField = new Map(violations)
  if (byField.size !== violations.length) throw new Error("a field is named by two violations")
  return byField
}

export const parse = (status: Uint8Array): StatusDetails => {
  const details = new Map(bytesAt(status, 3).map((any) => [textAt(any, 1), bytesAt(any, 2)[0] ?? new Uint8Array()]))
  const info = details.get("type.googleapis.com/google.rpc.ErrorInfo")
  const badRequest = details.get("type.googleapis.com/google.rpc.BadRequest")
  return {
    code: fieldsOf(status).find(([field, value]) => field === 1 && typeof value === "number")?.[1] as number,
    message: textAt(status, 2),
    reason: info && textAt(info, 1),
    domain: info && textAt(info, 2),
    violations: badRequest && violationsOf(badRequest)
  }
}
