/** Statements as operators may watch them: in the log, before they run, and in traces. Never their parameters. */
import * as Effect from "effect/Effect"
import { childSpan, type SpanOptions, type Spans } from "../../services/Tracing.ts"

/** A statement that is logged before it runs, and has a span of its own where somebody traces. */
export type Watch = <A, E>(text: string, statement: Effect.Effect<A, E>) => Effect.Effect<A, E>

export const watching = (isLogged: boolean, spans: Spans | undefined): Watch => {
  const logged: Watch = (text, statement) => (isLogged ? Effect.andThen(Effect.logDebug(text), statement) : statement)
  if (spans === undefined) return logged
  return (text, statement) => childSpan(spans, statementSpan(text), logged(text, statement))
}

const statementSpan = (text: string): SpanOptions => ({
  name: text.trimStart().split(/\s/, 1)[0] ?? "",
  kind: "client",
  attributes: { "db.system.name": "postgresql", "db.query.text": text }
})
