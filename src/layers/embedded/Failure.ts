/**
 * The one error of the embedded PostgreSQL: what is wrong, with the folder's name, and the way out.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"

export class EmbeddedPostgresError extends Schema.TaggedError<EmbeddedPostgresError>()("EmbeddedPostgresError", {
  message: Schema.String,
  cause: Schema.optionalKey(Schema.Defect())
}) {}

const elsewhere =
  "ORCHESTRATOR_DATA_DIR to another folder, or ORCHESTRATOR_DATABASE_URL to a PostgreSQL server of your own."

/** `wayOut` is what helps here before the two variables that always do. */
export const failure = (problem: string, options: { wayOut?: string; cause?: unknown } = {}): EmbeddedPostgresError => {
  const wayOut = options.wayOut === undefined ? `Set ${elsewhere}` : `${options.wayOut}, or set ${elsewhere}`
  const message = `Embedded PostgreSQL: ${problem.replace(/[.\s]+$/, "")}. ${wayOut}`
  return new EmbeddedPostgresError(options.cause === undefined ? { message } : { message, cause: options.cause })
}

/** Runs file work; `what` completes "cannot …" and names the folder or file. */
export const attempt = <A>(what: string, work: () => Promise<A>): Effect.Effect<A, EmbeddedPostgresError> =>
  Effect.tryPromise({
    try: work,
    catch: (cause) => failure(`cannot ${what}: ${cause instanceof Error ? cause.message : String(cause)}`, { cause })
  })
