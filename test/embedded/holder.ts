/**
 * An orchestrator that has nothing but its embedded PostgreSQL: tells about it on a line, stops it when its input ends.
 * Takes the options as JSON.
 */
import { once } from "node:events"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as EmbeddedPostgres from "../../src/layers/EmbeddedPostgres.ts"

const program = Effect.gen(function* () {
  const server = yield* EmbeddedPostgres.start(JSON.parse(process.argv[2] ?? "{}"))
  process.stdout.write(`${JSON.stringify({ ...server, url: Redacted.value(server.url) })}\n`)
  process.stdin.resume()
  yield* Effect.promise(() => once(process.stdin, "end"))
})

await Effect.runPromise(Effect.scoped(program)).catch((cause: Error) => {
  process.stderr.write(`${cause.message}\n`)
  process.exitCode = 1
})
