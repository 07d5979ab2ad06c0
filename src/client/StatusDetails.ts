/**
 * What `grpc-status-details-bin` says of an error: a google.rpc.Status, and in it the kind (ErrorInfo) and the wrong
 * fields (BadRequest). The inverse of what the server writes in src/server/Status.ts.
 */
import { BinaryReader } from "@bufbuild/protobuf/wire"
import type { FieldViolation } from "../schema/OrchestratorError.ts"

export interface StatusDetails {
  /** The kind, such as `OE0002`, where an orchestrator said it. */
  readonly kind: string | undefined
  readonly violations: ReadonlyArray<FieldViolation>
}

const none: StatusDetails = { kind: undefined, violations: [] }

const lengthDelimited = 2

/** The values of the length-delimited fields of a message, by field number. */
const fieldsOf = (message: Uint8Array): ReadonlyMap<number, ReadonlyArray<Uint8Array>> => {
  const reader = new BinaryReader(message)
  const fields = new Map<number, Array<Uint8Array>>()
  while (reader.pos < reader.len) {
    const [field, wireType] = reader.tag()
    if (wireType !== lengthDelimited) reader.skip(wireType, field)
    else fields.set(field, [...(fields.get(field) ?? []), reader.bytes()])
  }
  return fields
}

const textAt = (message: Uint8Array, field: number): string =>
  new TextDecoder().decode(fieldsOf(message).get(field)?.at(-1))

const prefix = "type.googleapis.com/google.rpc."

/** Never throws: details that cannot be read say nothing, the status stands without them. */
export const decode = (status: Uint8Array): StatusDetails => {
  try {
    let { kind, violations } = none
    for (const any of fieldsOf(status).get(3) ?? []) {
      const value = fieldsOf(any).get(2)?.at(-1) ?? new Uint8Array()
      switch (textAt(any, 1)) {
        case `${prefix}ErrorInfo`:
          if (textAt(value, 2) === "orchestrator") kind = textAt(value, 1)
          break
        case `${prefix}BadRequest`:
          violations = (fieldsOf(value).get(1) ?? []).map((violation) => ({
            field: textAt(violation, 1),
            description: textAt(violation, 2)
          }))
      }
    }
    return { kind, violations }
  } catch {
    return none
  }
}
