/**
 * One line a call: who called what, in which channel, how it ended and how long it took. What went wrong for no fault
 * of the caller's stands there with its cause. Never a payload, a text that a client sent or a parameter of a statement.
 */
import { status } from "@grpc/grpc-js"
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type { RequestContext } from "../services/RequestContext.ts"
import { failureOf } from "./CallFailure.ts"

/** A call as its line shows it. */
export interface LoggedCall {
  readonly reqid: string
  /** `/orchestrator.ComputePlanService/RegisterPlan` */
  readonly method: string
  /** `undefined` until the headers have told. */
  caller: RequestContext["Service"] | undefined
  /** Milliseconds of `performance.now()`. */
  readonly begun: number
}

type Level = "Info" | "Warn" | "Error"

/** Writes the line of a call once it has ended. */
export const logCall = (
  call: LoggedCall,
  code: status,
  exit: Exit.Exit<unknown, unknown>,
  slow: Duration.Duration | undefined
): Effect.Effect<void> =>
  Effect.suspend(() => {
    const millis = performance.now() - call.begun
    const failure = Exit.isFailure(exit) ? causeOf(exit.cause, call.caller === undefined) : undefined
    const isSlow = slow !== undefined && millis > Duration.toMillis(slow)
    const level: Level = failure?.level ?? (isSlow ? "Warn" : "Info")
    const line = Effect.logWithLevel(level)(isSlow ? "slow call" : "call")
    return Effect.annotateLogs(line, {
      ...(failure === undefined ? {} : { cause: failure.text }),
      reqid: call.reqid,
      organization: call.caller?.requester ?? "",
      channel: call.caller?.channel ?? "",
      method: call.method,
      status: status[code],
      ms: Math.round(millis * 100) / 100
    })
  })

/**
 * What an operator must know of a failure: nothing where the caller was at fault, unless it was not let in (`isStranger`):
 * its headers and its certificate are the operator's to look at.
 */
const causeOf = (
  cause: Cause.Cause<unknown>,
  isStranger: boolean
): { readonly level: Level; readonly text: string } | undefined => {
  if (Cause.hasInterruptsOnly(cause)) return undefined
  const error = failureOf(cause)
  if (Cause.hasDies(cause)) return { level: "Error", text: `defect: ${stackOf(error.cause)}` }
  if (error._tag === "Internal" || error._tag === "StoredDataInvalid")
    return { level: "Error", text: describe(error.cause) }
  if (error._tag === "Unavailable" && error.cause !== undefined) return { level: "Warn", text: describe(error.cause) }
  return isStranger && (error._tag === "PermissionDenied" || error._tag === "BadRequest")
    ? { level: "Info", text: error.message.slice(0, 200) }
    : undefined
}

const stackOf = (error: unknown): string => (error instanceof Error ? (error.stack ?? error.message) : String(error))

/**
 * A cause without the values in it: of PostgreSQL's errors the code, the constraint and the message, not the detail,
 * which quotes rows; of stored data that cannot be decoded, where and what was expected.
 */
const describe = (cause: unknown): string => {
  const inner = cause instanceof Error && cause.cause !== undefined ? cause.cause : cause
  const { code, constraint } = Object(innermost(inner)) as { readonly code?: unknown; readonly constraint?: unknown }
  const message = innermost(inner)
  const text = message instanceof Error ? message.message : stackOf(cause)
  return [
    ...(typeof code === "string" ? [`SQLSTATE ${code}`] : []),
    ...(typeof constraint === "string" ? [`constraint ${constraint}`] : []),
    text
  ].join(", ")
}

const innermost = (error: unknown): unknown =>
  error instanceof Error && error.cause instanceof Error ? innermost(error.cause) : error
