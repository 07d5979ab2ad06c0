/** Makes the package's JavaScript, types and source maps of src/, in dist/. What was there is gone. */
import { spawnSync } from "node:child_process"
import { chmodSync, rmSync } from "node:fs"
import { join, resolve } from "node:path"

const root = resolve(import.meta.dirname, "..")
const dist = join(root, "dist")

rmSync(dist, { recursive: true, force: true })
const { status } = spawnSync(
  process.execPath,
  [join(root, "node_modules/typescript/bin/tsc"), "--project", join(root, "tsconfig.build.json")],
  { cwd: root, stdio: "inherit" }
)
if (status !== 0) throw new Error("the types of src/ are not right: nothing was built")
chmodSync(join(dist, "server/main.js"), 0o755)
