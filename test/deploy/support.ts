/** What the checks of deploy/ share. */
import { spawnSync } from "node:child_process"
import { readdirSync, readFileSync } from "node:fs"
import { join, resolve } from "node:path"
import * as Yaml from "effect/encoding/Yaml"
import * as AppConfig from "../../src/layers/config/AppConfig.ts"

export const root = resolve(import.meta.dirname, "../..")
export const deploy = join(root, "deploy")
export const chart = join(deploy, "helm/substra-orchestrator")

export const read = (...path: ReadonlyArray<string>): string => readFileSync(join(...path), "utf8")

/** Any text of YAML or JSON, to be looked into by name. */
// biome-ignore lint/suspicious/noExplicitAny: what the file holds is what is tested
export const parse = (text: string): any => Yaml.parse(text)

export const templates: ReadonlyArray<readonly [file: string, text: string]> = readdirSync(
  join(chart, "templates")
).map((file) => [file, read(chart, "templates", file)])

/** Every variable that the server reads, NO_COLOR beside the table. */
export const variables: ReadonlySet<string> = new Set([...Object.keys(AppConfig.settings), "NO_COLOR"])

/** Those that src/server/databaseUrl.ts makes a URL of. */
export const databaseVariables: ReadonlySet<string> = new Set([
  "DATABASE_HOST",
  "DATABASE_PORT",
  "DATABASE_NAME",
  "DATABASE_USERNAME",
  "DATABASE_PASSWORD",
  "DATABASE_PARAMETERS"
])

/** Every variable of the server, or of the URL, that a text names. */
export const variablesIn = (text: string): ReadonlyArray<string> => [
  ...new Set(
    text.match(/\b(?:ORCHESTRATOR_[A-Z_]+|LOG_[A-Z_]+|METRICS_[A-Z_]+|OTEL_[A-Z_]+|DATABASE_[A-Z]+|NO_COLOR)\b/g)
  )
]

/** The Helm of this machine, if it has one. */
export const helm = ["helm", process.env.HELM ?? ""].find(
  (program) => program !== "" && spawnSync(program, ["version", "--short"]).status === 0
)
