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

/** Where logs go, and in which form. */
export const layer: Layer.Layer<never> = Layer.unwrap(
  Effect.gen(function* () {
    const noColor = yield* Effect.orDie(Config.option(Config.String("NO_COLOR")))
    return Logger.layer([
      process.stdout.isTTY ? Logger.consolePretty({ colors: Option.isNone(noColor) }) : Logger.consoleJson
    ])
  })
)
