/** Logs: JSON, one object a line, unless they go to a terminal; there they are for people, coloured unless NO_COLOR is set. */
import * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Option from "effect/Option"
import * as References from "effect/References"
import type { LogLevel } from "./config/SettingTypes.ts"

/** Nothing is logged between INFO and WARN, so NOTICE is WARN. */
const minimumLevels = { DEBUG: "Debug", INFO: "Info", NOTICE: "Warn", WARN: "Warn", ERROR: "Error" } as const

/** The least level that is logged. */
export const minimumLevel = (level: LogLevel): Layer.Layer<never> =>
  Layer.succeed(References.MinimumLogLevel, minimumLevels[level])

/** Loggers for one of the two streams, in the form that fits it. */
const to = (stream: NodeJS.WriteStream, isStderr: boolean): Layer.Layer<never> =>
  Layer.unwrap(
    Effect.gen(function* () {
      const noColor = yield* Effect.orDie(Config.option(Config.String("NO_COLOR")))
      const lines = isStderr ? Logger.withConsoleError(Logger.formatJson) : Logger.consoleJson
      return Layer.merge(
        Logger.layer([stream.isTTY ? Logger.consolePretty({ colors: Option.isNone(noColor) }) : lines]),
        Layer.succeed(Logger.LogToStderr, isStderr)
      )
    })
  )

/** The logs of a server: on stdout. */
export const layer: Layer.Layer<never> = to(process.stdout, false)

/** The logs of a command whose stdout is its result: on stderr. */
export const besideResult: Layer.Layer<never> = to(process.stderr, true)
