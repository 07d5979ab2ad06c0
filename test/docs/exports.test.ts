/** What the package names is what its version promises: a change of it is one of exports.txt, and of CHANGELOG.md. */
import { expect, it } from "vitest"
import packageJson from "../../package.json" with { type: "json" }

it("the entry points name what exports.txt says: write it with --update", async () => {
  const entries = Object.entries(packageJson.exports).filter(([, target]) => typeof target !== "string")
  const lines = await Promise.all(
    entries.map(async ([name]) => {
      const names = Object.keys(await import(/* @vite-ignore */ `substra-orchestrator${name.slice(1)}`)).sort()
      return [name, ...names.map((each) => `  ${each}`)].join("\n")
    })
  )
  await expect(`${lines.join("\n")}\n`).toMatchFileSnapshot("exports.txt")
})
