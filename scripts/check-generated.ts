/**
 * Fails when the generated code in the tree is not what the contract makes of it now. It generates into a folder of
 * its own, so that a check never changes the tree; `npm run generate` does that.
 */
import { spawnSync } from "node:child_process"
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { delimiter, join, resolve } from "node:path"

const root = resolve(import.meta.dirname, "..")
const generated = "src/layers/wire/generated"

const filesBelow = (folder: string): ReadonlyMap<string, string> =>
  new Map(
    (existsSync(folder) ? readdirSync(folder, { recursive: true, encoding: "utf8" }) : [])
      .filter((name) => name.endsWith(".ts"))
      .map((name) => [name, readFileSync(join(folder, name), "utf8")])
  )

const generateInto = (folder: string) => {
  const bin = join(root, "node_modules", ".bin")
  const { status } = spawnSync("buf", ["generate", "--output", folder], {
    cwd: root,
    stdio: "inherit",
    shell: process.platform === "win32",
    env: { ...process.env, PATH: `${bin}${delimiter}${process.env.PATH ?? ""}` }
  })
  if (status !== 0) throw new Error("buf generate failed")
}

const scratch = mkdtempSync(join(tmpdir(), "generated-"))
try {
  generateInto(scratch)
  const fresh = filesBelow(join(scratch, generated))
  const committed = filesBelow(join(root, generated))
  const stale = [...new Set([...fresh.keys(), ...committed.keys()])]
    .filter((name) => fresh.get(name) !== committed.get(name))
    .sort()
  for (const name of stale) console.error(`${generated}/${name} is not what proto/ makes of it`)
  if (stale.length > 0) {
    console.error("Run `npm run generate` and commit what it changes.")
    process.exitCode = 1
  }
} finally {
  rmSync(scratch, { recursive: true, force: true })
}
