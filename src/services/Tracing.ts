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

/** Where spans go; `undefined` where nobody traces. */
export class Tracing extends Context.Reference<Spans | undefined>("orchestrator/services/Tracing", {
  defaultValue: () => undefined
}) {}

export interface SpanOptions {
  readonly name: string
  readonly kind: Tracer.SpanKind
  readonly attributes: Readonly<Record<string, unknown>>
}

/** Runs a call in a span below the caller's; without one when it is not sampled. */
export const callSpan = <A, E, R>(
  { isSampled, tracer }: Spans,
  caller: Option.Option<Tracer.ExternalSpan>,
  options: SpanOptions,
  call: Effect.Effect<A, E, R>
): Effect.Effect<A, E, R> => (isSampled(caller) ? inSpan(tracer, caller, options, call) : call)

/** Runs a part of a traced call in a span of its own; what no traced call does has none. */
export const childSpan = <A, E, R>(
  { tracer }: Spans,
  options: SpanOptions,
  part: Effect.Effect<A, E, R>
): Effect.Effect<A, E, R> =>
  Effect.flatMap(Effect.serviceOption(Tracer.ParentSpan), (parent) =>
    Option.isNone(parent) ? part : inSpan(tracer, parent, options, part)
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
  effect: Effect.Effect<A, E, R>
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
        const kind = kindOf(exit)
        if (kind !== undefined) span.attribute("error.type", kind)
        span.end(endTime, kind === undefined ? exit : isClients(exit) ? Exit.void : failed(kind))
      })
    ) as Effect.Effect<A, E, R>
  })

/** What it failed with, if it did; not what that says. */
const kindOf = (exit: Exit.Exit<unknown, unknown>): string | undefined => {
  if (Exit.isSuccess(exit) || Cause.hasInterruptsOnly(exit.cause)) return undefined
  const error = Object(Cause.squash(exit.cause)) as { readonly _tag?: unknown }
  return typeof error._tag === "string" ? error._tag : "defect"
}

/** What is wrong on this side, by OpenTelemetry's rule for servers of gRPC; the rest is the client's to mend. */
const ofServer: ReadonlySet<string> = new Set([
  "Unavailable",
  "Internal",
  "StoredDataInvalid",
  "DeadlineExceeded",
  "Unimplemented"
])

const isClients = (exit: Exit.Exit<unknown, unknown>): boolean => {
  const error = Exit.isFailure(exit) ? Cause.squash(exit.cause) : undefined
  return isOrchestratorError(error) && !ofServer.has(error._tag)
}

const failed = (kind: string): Exit.Exit<never, Error> =>
  Exit.fail(Object.assign(new Error(kind), { name: kind, stack: kind }))
