/** The trace that a call belongs to: a span of its own for those who trace, and the header that tells the server. */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Tracer from "effect/Tracer"
import type { Rpc } from "./Contract.ts"

const activeSpan: Effect.Effect<Option.Option<Tracer.AnySpan>> = Effect.option(Effect.currentParentSpan)

/** The header of the W3C for the span in which a call is made; none outside of any, or where a trace is to stay. */
export const traceparent: Effect.Effect<string | undefined> = Effect.gen(function* () {
  const span = yield* activeSpan
  if (Option.isNone(span) || (yield* Tracer.DisablePropagation)) return undefined
  const { sampled, spanId, traceId } = span.value
  return `00-${traceId.padStart(32, "0")}-${spanId}-${sampled ? "01" : "00"}`
})

/** A span for each attempt of those who trace; for the others nothing is made. */
export const traced =
  ({ name, path }: Rpc) =>
  <A, E>(attempt: Effect.Effect<A, E>): Effect.Effect<A, E> =>
    Effect.flatMap(activeSpan, (parent) =>
      Option.isNone(parent)
        ? attempt
        : Effect.withSpan(attempt, path.slice(1), {
            kind: "client",
            attributes: { "rpc.system": "grpc", "rpc.method": name }
          })
    )
