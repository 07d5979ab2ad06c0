/** The program: reads the configuration, starts the server, says where it is, and ends it in order on a signal. */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as AppConfig from "../layers/config/AppConfig.ts"
import * as Logging from "../layers/Logging.ts"
import { type Running, start, version } from "./App.ts"

const greeting = (running: Running): string =>
  [
    `substra-orchestrator ${version}`,
    `  gRPC      ${running.address}:${running.grpcPort}`,
    `  HTTP      http://${running.address}:${running.httpPort} (/healthz, /readyz, /metrics when enabled)`,
    `  data      ${running.dataDir ?? "in the database of ORCHESTRATOR_DATABASE_URL"}`,
    `  channels  ${[...running.channels].map(([name, organizations]) => `${name}: ${organizations.join(", ")}`).join("; ")}`,
    "",
    "Try next, in another terminal: npm run example",
    ""
  ].join("\n")

const program = Effect.gen(function* () {
  const config = yield* AppConfig.load
  return yield* Effect.scoped(
    Effect.gen(function* () {
      const running = yield* start(config)
      yield* Effect.sync(() => process.stdout.write(greeting(running)))
      return yield* Effect.never
    })
  ).pipe(Effect.provide(Logging.minimumLevel(config.LOG_LEVEL)))
})

/** A start that fails says why in one message, without a stack. */
const explained = Effect.catch(program, (error) =>
  Effect.sync(() => {
    process.stderr.write(`${error.message}\n`)
    process.exitCode = 1
  })
)

if (process.argv.includes("--help")) {
  process.stdout.write(`${AppConfig.help()}\n`)
} else {
  NodeRuntime.runMain(Effect.provide(explained, Logging.layer), {
    disableErrorReporting: true,
    teardown: (exit, onExit) =>
      onExit(Exit.isFailure(exit) && !Cause.hasInterruptsOnly(exit.cause) ? 1 : Number(process.exitCode ?? 0))
  })
}
