#!/usr/bin/env node
/** The program: runs a command, ends it in order on the first signal and at once on the second. */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeServices from "@effect/platform-node/NodeServices"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Logging from "../layers/Logging.ts"
import { main } from "./cli/Cli.ts"

/** What fails says why in one message, without a stack. The command line has explained its own errors. */
const explained = Effect.catch(main, (error) =>
  Effect.sync(() => {
    if (error._tag !== "ShowHelp") process.stderr.write(`${error.message}\n`)
    process.exitCode = 1
  })
)

// Whoever read the log is gone: the server goes on without a reader.
for (const stream of [process.stdout, process.stderr]) stream.on("error", () => {})

let signals = 0
for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.on(signal, () => {
    signals++
    if (signals > 1) process.exit(1)
  })
}

NodeRuntime.runMain(Effect.provide(explained, Layer.merge(NodeServices.layer, Logging.layer)), {
  disableErrorReporting: true,
  teardown: (exit, onExit) =>
    onExit(Exit.isFailure(exit) && !Cause.hasInterruptsOnly(exit.cause) ? 1 : Number(process.exitCode ?? 0))
})
