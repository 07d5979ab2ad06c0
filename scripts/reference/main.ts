/**
 * Makes the API reference of the package's entry points in reference/, from the docstrings of src/ and the comments of
 * proto/, which generated code carries. The tool is installed here when it is asked for: it needs a compiler of its own.
 */
import { spawnSync } from "node:child_process"
import { join, resolve } from "node:path"
import packageJson from "../../package.json" with { type: "json" }

const root = resolve(import.meta.dirname, "../..")

const entries = Object.values(packageJson.exports).flatMap((target) =>
  typeof target === "string" ? [] : [target["orchestrator-source"]]
)

const run = (command: string, ...args: ReadonlyArray<string>): void => {
  const { status } = spawnSync(command, args, { cwd: root, stdio: "inherit", shell: process.platform === "win32" })
  if (status !== 0) throw new Error(`${command} ${args[0]} failed`)
}

run("npm", "ci", "--prefix", import.meta.dirname, "--no-audit", "--no-fund")
run(
  process.execPath,
  join(import.meta.dirname, "node_modules/typedoc/bin/typedoc"),
  ...["--tsconfig", join(root, "tsconfig.json")],
  ...["--out", join(root, "reference")],
  ...["--name", packageJson.name],
  ...["--excludeExternals", "--hideGenerator", "--disableSources", "--logLevel", "Error"],
  ...["--validation.notExported", "false", "--validation.invalidLink", "false"],
  ...entries
)
console.log("the reference is in reference/index.html")
