/** Calls that must fail, and the whole table from a kind of error to its status. */
import { expect } from "vitest"
import { CallError } from "./CallError.ts"
import type { MessageStream } from "./MessageStream.ts"

/** Kinds of errors with the status that each answers with. */
export const statusOfKind = {
  OE0001: "INTERNAL",
  OE0002: "NOT_FOUND",
  OE0003: "FAILED_PRECONDITION",
  OE0006: "ALREADY_EXISTS",
  OE0007: "INTERNAL",
  OE0010: "UNIMPLEMENTED",
  OE0101: "INVALID_ARGUMENT",
  OE0102: "PERMISSION_DENIED",
  OE0104: "FAILED_PRECONDITION",
  OE0106: "INVALID_ARGUMENT",
  OE0107: "INVALID_ARGUMENT",
  OE0108: "FAILED_PRECONDITION",
  OE0109: "FAILED_PRECONDITION"
} as const
export type Kind = keyof typeof statusOfKind

/** How a call failed, or a stream at its first message. */
export const failure = async (call: Promise<unknown> | MessageStream<unknown>): Promise<CallError> => {
  const answer = call instanceof Promise ? call : call.next()
  const outcome = await answer.then(
    (value) => ({ value }),
    (error: unknown) => error
  )
  if (outcome instanceof CallError) return outcome
  if (outcome instanceof Error) throw outcome
  throw new Error(`the call should have failed, and answered ${inspected(outcome)}`)
}

const inspected = (value: unknown) =>
  JSON.stringify(value, (_, part) => (typeof part === "bigint" ? `${part}` : part instanceof Map ? [...part] : part))

/** The call fails with this kind, its status, and this text after the kind; without one, with any. */
export const refused = async (
  call: Promise<unknown> | MessageStream<unknown>,
  kind: Kind,
  text: string | RegExp = ""
): Promise<CallError> => {
  const error = await failure(call)
  expect.soft({ code: error.code, details: error.details }).toEqual({
    code: statusOfKind[kind],
    details:
      typeof text === "string" && text !== "" ? `${kind}: ${text}` : expect.stringMatching(new RegExp(`^${kind}: `))
  })
  if (text instanceof RegExp) expect(error.details).toMatch(text)
  expect(error.info).toMatchObject({ message: error.details, reason: kind, domain: "orchestrator" })
  return error
}

/** The call is refused, and these fields are wrong, each with a reason. */
export const invalid = async (call: Promise<unknown>, ...fields: ReadonlyArray<string>): Promise<CallError> => {
  const error = await refused(call, "OE0101")
  expect([...(error.info?.violations?.keys() ?? [])].sort(), error.details).toEqual([...fields].sort())
  return error
}
