#!/usr/bin/env node
/** The program: runs a command, ends it in order on the first signal and at once on the second. */
import cluster from "node:cluster"
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { logVerbosity, setLogVerbosity } from "@grpc/grpc-js"
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

const signals = ["SIGINT", "SIGTERM"] as const

// What grpc-js would write beside the log: its errors reach this program as errors.
setLogVerbosity(logVerbosity.NONE)

// Whoever read the log is gone: the server goes on without a reader.
for (const stream of [process.stdout, process.stderr]) stream.on("error", () => {})

const program = Effect.provide(explained, Layer.merge(NodeServices.layer, Logging.layer)).pipe(
  Effect.catchDefect((defect) =>
    Effect.sync(() => {
      process.stderr.write(
        `a defect of the program has ended it, please report it:\n${Cause.pretty(Cause.die(defect))}\n`
      )
      process.exitCode = 1
    })
  )
)

const statusOf = (exit: Exit.Exit<unknown, unknown>): number =>
  Exit.isFailure(exit) && !Cause.hasInterruptsOnly(exit.cause) ? 1 : Number(process.exitCode ?? 0)

if (cluster.isWorker) {
  // A terminal sends its signals to every process of the group: the primary says when its workers end.
  for (const signal of signals) process.on(signal, () => {})
  Effect.runFork(program).addObserver((exit) => process.exit(statusOf(exit)))
} else {
  let received = 0
  for (const signal of signals) {
    process.on(signal, () => {
      received++
      if (received > 1) process.exit(1)
    })
  }
  NodeRuntime.runMain(program, {
    disableErrorReporting: true,
    teardown: (exit, onExit) => onExit(statusOf(exit))
  })
}
