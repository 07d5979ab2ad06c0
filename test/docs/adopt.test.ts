/** docs/adopt.md names the command's flags, the tables and the values of the chart as they are. */
import { join } from "node:path"
import { describe, expect, it } from "vitest"
import { tables } from "../../src/schema/Adoption.ts"
import { chart, databaseVariables, parse, read, root, variables, variablesIn } from "../deploy/support.ts"
import { run } from "../server/Program.ts"

const docs = read(root, "docs/adopt.md")
const values = parse(read(chart, "values.yaml"))

/** Whether the chart has a value of this path. */
const isValue = (path: string): boolean =>
  path
    .split(".")
    .reduce(
      (at: unknown, name) => (name === "*" ? at : (at as Record<string, unknown> | undefined)?.[name]),
      values
    ) !== undefined

describe("docs/adopt.md", () => {
  it("explains every flag of the command, and no other", async () => {
    const { stdout } = await run({}, "adopt", "--help").exited
    const flags = ["--from", "--channel", "--dry-run", "--verify", "--skip-invalid", "--invalid-file"]
    const table = docs.slice(docs.indexOf("## The command"))
    expect([...table.matchAll(/^\| `(--[a-z-]+)/gm)].map(([, flag]) => flag)).toEqual(flags)
    expect(flags.filter((flag) => !stdout.includes(flag))).toEqual([])
  })

  it("names every table whose rows can be left out", () => {
    expect(tables.filter((table) => !docs.includes(`\`${table}\``))).toEqual([])
  })

  it("names values that the chart has", () => {
    const section = docs.slice(docs.indexOf("## With Helm"), docs.indexOf("## The way back"))
    const named = [...section.matchAll(/^\| (`.*?) \|/gm)].flatMap(([, cell = ""]) =>
      [...cell.matchAll(/`([^`]+)`/g)].map(([, name = ""]) => name)
    )
    expect(named.length).toBeGreaterThan(5)
    expect(named.filter((name) => !isValue(name))).toEqual([])
  })

  it("has a Job whose arguments and variables are the program's", () => {
    const [, job = ""] = /```yaml\n(# adopt\.yaml[\s\S]*?)```/.exec(docs) ?? []
    const [container] = parse(job).spec.template.spec.containers
    expect(container.args).toEqual(["adopt", "--from", "$(OLD_URL)", "--invalid-file", "/tmp/invalid.jsonl"])
    expect(variablesIn(job).filter((name) => !variables.has(name) && !databaseVariables.has(name))).toEqual([])
  })

  it("links to what is there", () => {
    const anchors = (text: string) =>
      [...text.matchAll(/^##+ (.*)$/gm)].map(([, title = ""]) => title.toLowerCase().replaceAll(" ", "-"))
    const operations = anchors(read(root, join("docs", "operations.md")))
    const links = [...docs.matchAll(/\]\((operations\.md)?#([^)]+)\)/g)]
    expect(links.length).toBeGreaterThan(5)
    expect(
      links.filter(([, file, target = ""]) => !(file === undefined ? anchors(docs) : operations).includes(target))
    ).toEqual([])
  })
})
