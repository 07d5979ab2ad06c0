/** Every variable as a flag of the same meaning: `ORCHESTRATOR_GRPC_PORT` is `--grpc-port`. A flag wins. */

import * as ConfigProvider from "effect/ConfigProvider"
import * as Flag from "effect/cli/Flag"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as AppConfig from "../../layers/config/AppConfig.ts"

/** The flag of a variable, without its dashes. */
export const flagName = (variable: string): string =>
  variable
    .replace(/^ORCHESTRATOR_/, "")
    .toLowerCase()
    .replaceAll("_", "-")

const describe = (variable: string, { meaning, standard, type }: (typeof AppConfig.settings)["LOG_LEVEL"]): string =>
  `${variable} (${type}${standard === "" ? "" : `; default: ${standard}`}): ${meaning}`

/** One optional flag a variable, by the variable's name. */
export const flags = Object.fromEntries(
  Object.entries(AppConfig.settings).map(([variable, setting]) => [
    variable,
    Flag.String(flagName(variable)).pipe(
      Flag.withDescription(describe(variable, setting as (typeof AppConfig.settings)["LOG_LEVEL"])),
      Flag.optional
    )
  ])
) as { readonly [Name in keyof typeof AppConfig.settings]: Flag.Flag<Option.Option<string>> }

export type Given = { readonly [Name in keyof typeof flags]: Option.Option<string> }

/** The configuration of the environment with these flags; of the variables that `without` names, neither. */
export const load = (
  given: Given,
  read = AppConfig.load,
  without: ReadonlyArray<string> = []
): Effect.Effect<AppConfig.AppConfig, AppConfig.ConfigurationError> => {
  const set = Object.entries(given).flatMap(([name, value]) => (Option.isSome(value) ? [[name, value.value]] : []))
  const env = { ...process.env, ...Object.fromEntries(set) } as Record<string, string>
  for (const name of without) delete env[name]
  return Effect.provideService(read, ConfigProvider.ConfigProvider, ConfigProvider.fromEnvRecord(env))
}
