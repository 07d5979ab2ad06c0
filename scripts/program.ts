/** `npm run -s program client/backend`: a program of examples/ on the sources of this clone, without a build. */
import { spawnSync } from "node:child_process"
import { join, resolve } from "node:path"

const root = resolve(import.meta.dirname, "..")
const [name = "", ...args] = process.argv.slice(2)
const { status } = spawnSync(
  process.execPath,
  ["--conditions=orchestrator-source", join(root, "examples", `${name.replace(/\.ts$/, "")}.ts`), ...args],
  { stdio: "inherit" }
)
process.exitCode = status ?? 1
