/**
 * Spans of calls, transactions and statements, for servers whose operator wants them (layers/Tracing.ts). Without a
 * tracer no span is made and nothing is paid. A span says what was done, where and for how long; of a failure only its
 * kind (error.type), since errors may quote what clients sent.
 */

import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Tracer from "effect/Tracer"
import { isOrchestratorError } from "../schema/OrchestratorError.ts"

export interface Spans {
  readonly tracer: Tracer.Tracer
  /** Whether a call is traced, given the caller's span. */
  readonly isSampled: (caller: Option.Option<Tracer.ExternalSpan>) => boolean
}

type IsError = (exit: Exit.Exit<unknown, unknown>) => boolean

/** Where spans go; `undefined` where nobody traces. */
export class Tracing extends Context.Reference<Spans | undefined>("orchestrator/services/Tracing", {
  defaultValue: () => undefined
}) {}

export interface SpanOptions {
  readonly name: string
  readonly kind: Tracer.SpanKind
  readonly attributes: Readonly<Record<string, unknown>>
}

/** Runs a call in a span below the caller's, an error's where `isError` says so; without one when it is not sampled. */
export const callSpan = <A, E, R>(
  { isSampled, tracer }: Spans,
  caller: Option.Option<Tracer.ExternalSpan>,
  options: SpanOptions,
  call: Effect.Effect<A, E, R>,
  isError: IsError
): Effect.Effect<A, E, R> => (isSampled(caller) ? inSpan(tracer, caller, options, call, isError) : call)

/** Runs a part of a traced call in a span of its own; what no traced call does has none. */
export const childSpan = <A, E, R>(
  { tracer }: Spans,
  options: SpanOptions,
  part: Effect.Effect<A, E, R>
): Effect.Effect<A, E, R> =>
  Effect.flatMap(Effect.serviceOption(Tracer.ParentSpan), (parent) =>
    Option.isNone(parent) ? part : inSpan(tracer, parent, options, part, isOfServer)
  )

/** Adds to the span of the call, if it has one, what only shows on the way. */
export const annotate = (attributes: Readonly<Record<string, unknown>>): Effect.Effect<void> =>
  Effect.map(Effect.serviceOption(Tracer.ParentSpan), (span) => {
    if (Option.isNone(span) || span.value._tag !== "Span") return
    for (const [key, value] of Object.entries(attributes)) span.value.attribute(key, value)
  })

const inSpan = <A, E, R>(
  tracer: Tracer.Tracer,
  parent: Option.Option<Tracer.AnySpan>,
  { attributes, kind, name }: SpanOptions,
  effect: Effect.Effect<A, E, R>,
  isError: IsError
): Effect.Effect<A, E, R> =>
  Effect.flatMap(Clock.currentTimeNanos, (startTime) => {
    const root = Option.isNone(parent)
    const span = tracer.span({
      name,
      parent,
      annotations: Context.empty(),
      links: [],
      startTime,
      kind,
      root,
      sampled: true
    })
    for (const [key, value] of Object.entries(attributes)) span.attribute(key, value)
    return Effect.onExit(Effect.provideService(effect, Tracer.ParentSpan, span), (exit) =>
      Effect.map(Clock.currentTimeNanos, (endTime) => {
        if (Exit.isSuccess(exit)) return span.end(endTime, exit)
        const kind = kindOf(exit.cause)
        const isFailed = isError(exit)
        if (isFailed || kind !== interrupted) span.attribute("error.type", kind)
        span.end(endTime, isFailed ? failed(kind) : kind === interrupted ? exit : Exit.void)
      })
    ) as Effect.Effect<A, E, R>
  })

const interrupted = "interrupted"

/** What it failed with; not what that says. */
const kindOf = (cause: Cause.Cause<unknown>): string => {
  if (Cause.hasInterruptsOnly(cause)) return interrupted
  if (Cause.hasDies(cause)) return "defect"
  const error = Object(Cause.squash(cause)) as { readonly _tag?: unknown }
  return typeof error._tag === "string" ? error._tag : "defect"
}

const ofServer: ReadonlySet<string> = new Set(["Unavailable", "Internal", "StoredDataInvalid", "DeadlineExceeded"])

/** Whether a part of a call failed by what is wrong on this side; the rest is the client's to mend. */
const isOfServer: IsError = (exit) => {
  if (Exit.isSuccess(exit) || Cause.hasInterruptsOnly(exit.cause)) return false
  const error = Cause.squash(exit.cause)
  return Cause.hasDies(exit.cause) || !isOrchestratorError(error) || ofServer.has(error._tag)
}

const failed = (kind: string): Exit.Exit<never, Error> =>
  Exit.fail(Object.assign(new Error(kind), { name: kind, stack: kind }))
