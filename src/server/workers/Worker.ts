/**
 * A process that serves for another, the primary: on the database and the port that it is given, until it is told to
 * drain. Signals are the primary's: a terminal sends them to every process of the group.
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as PrometheusMetrics from "effect/observability/PrometheusMetrics"
import * as Redacted from "effect/Redacted"
import type { AppConfig } from "../../layers/config/AppConfig.ts"
import * as Logging from "../../layers/Logging.ts"
import type { StartError } from "../App.ts"
import { onDatabase } from "../ChosenStore.ts"
import { prepare } from "../ConfiguredServices.ts"
import type { Order, Question, Report } from "./Protocol.ts"

/** Done once it is on its way, since a process may end after it. */
const tell = (report: Report): Effect.Effect<void> =>
  Effect.callback((resume) => {
    process.send?.(report, undefined, undefined, () => resume(Effect.void))
  })

type Answers = { readonly [Q in Question]: Effect.Effect<string> }

const serve = (
  config: AppConfig,
  { database, worker }: Order & { readonly kind: "serve" },
  answers: (a: Answers) => void
) =>
  Effect.gen(function* () {
    const store = onDatabase(config, { url: Redacted.make(database.url), dataDir: database.dataDir })
    const { grpc, readiness } = yield* prepare(config, store)
    const { port } = yield* grpc
    answers({ readiness: Effect.map(readiness, (why = "") => why), metrics: PrometheusMetrics.format() })
    yield* tell({ kind: "serving", grpcPort: port })
    return yield* Effect.never
  }).pipe(Effect.annotateLogs("worker", worker), Effect.provide(Logging.minimumLevel(config.LOG_LEVEL)))

/** Serves as it is told; what keeps it from that, the primary is told. */
export const run = <E extends { readonly message: string }>(load: Effect.Effect<AppConfig, E>): Effect.Effect<void> =>
  Effect.gen(function* () {
    const order = Deferred.makeUnsafe<Order & { readonly kind: "serve" }>()
    const drain = Deferred.makeUnsafe<void>()
    let answers: Answers = { readiness: Effect.succeed("the server is starting"), metrics: Effect.succeed("") }
    const fork = Effect.runForkWith(yield* Effect.context())
    process.on("message", (message: Order) => {
      if (message.kind === "serve") Deferred.doneUnsafe(order, Effect.succeed(message))
      else if (message.kind === "drain") Deferred.doneUnsafe(drain, Effect.void)
      else {
        const { id, question } = message
        fork(Effect.flatMap(answers[question], (text) => tell({ kind: "answer", id, text })))
      }
    })
    const config = yield* load
    const given = yield* Deferred.await(order)
    yield* Effect.scoped(
      Effect.raceFirst(
        Deferred.await(drain),
        serve(config, given, (found) => {
          answers = found
        })
      )
    )
  }).pipe(
    Effect.catch((error: E | StartError) =>
      Effect.andThen(
        tell({ kind: "failed", message: error.message }),
        Effect.sync(() => {
          process.exitCode = 1
        })
      )
    )
  )
