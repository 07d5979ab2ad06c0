/**
 * The documentation agrees with the program: its TypeScript is that of examples/, which is compiled and run, its diagrams
 * are the state machines, its tables what tables.ts makes of the program, its commands and links are there. `--update`
 * writes the first three.
 */
import { existsSync, readdirSync, readFileSync } from "node:fs"
import { dirname, join, resolve } from "node:path"
import * as Result from "effect/Result"
import { describe, expect, it } from "vitest"
import packageJson from "../../package.json" with { type: "json" }
import * as ClientError from "../../src/client/ClientError.ts"
import { settings } from "../../src/layers/config/AppConfig.ts"
import * as ChannelsFile from "../../src/layers/config/ChannelsFile.ts"
import { functionTransitions } from "../../src/schema/FunctionStatus.ts"
import type { Transition } from "../../src/schema/StateMachine.ts"
import { finalStatuses, taskTransitions } from "../../src/schema/TaskStatus.ts"
import { flagName } from "../../src/server/cli/Configuration.ts"
import * as Requests from "../../src/testing/Requests.ts"
import { tables } from "./tables.ts"

const root = resolve(import.meta.dirname, "../..")
const documents = [
  "README.md",
  "CONTRIBUTING.md",
  "CHANGELOG.md",
  ...readdirSync(join(root, "docs")).map((name) => `docs/${name}`)
]
const read = (file: string): string => readFileSync(join(root, file), "utf8")

/** The blocks of a language, each with the comment right above it. */
const blocks = (text: string, language: string): ReadonlyArray<{ readonly above: string; readonly code: string }> =>
  [...text.matchAll(new RegExp(`(?:<!-- (.*) -->\\n)?\`\`\`${language}\\n([\\s\\S]*?)\`\`\``, "g"))].map(
    ([, above = "", code = ""]) => ({ above, code })
  )

/** `stateDiagram-v2` of a state machine: states without their prefix, arrows by the names of errors. */
const diagram = (
  transitions: Readonly<Record<string, Transition<string>>>,
  finals: ReadonlyArray<string>,
  prefix: string
): string => {
  const short = (state: string) => state.replace(prefix, "")
  return [
    "stateDiagram-v2",
    ...Object.entries(transitions).flatMap(([name, { from, to }]) =>
      from.map((state) => `  ${short(state)} --> ${short(to)}: ${name}`)
    ),
    ...finals.map((state) => `  ${short(state)} --> [*]`)
  ]
    .map((line) => `${line}\n`)
    .join("")
}

const functionFinals = ["FUNCTION_STATUS_READY", "FUNCTION_STATUS_CANCELED", "FUNCTION_STATUS_FAILED"]

const written: Readonly<Record<string, () => string>> = {
  "diagram: function": () => diagram(functionTransitions, functionFinals, "FUNCTION_STATUS_"),
  "diagram: task": () => diagram(taskTransitions, finalStatuses, "STATUS_")
}

/** A document with what stands elsewhere in the project. */
const fresh = (text: string): string =>
  text
    .replace(/(<!-- (.*) -->\n```(?:ts|mermaid)\n)[\s\S]*?```/g, (_block, head: string, source: string) => {
      const content = written[source]?.() ?? read(source)
      return `${head}${content}\`\`\``
    })
    .replace(
      /(<!-- (table: .*) -->\n)(?:\|.*\n)*/g,
      (_table, head: string, name: string) => `${head}${tables[name]?.() ?? `there is no ${name}`}`
    )

describe("the documentation", () => {
  it.each(documents)(
    "%s has the programs, diagrams and tables of the project: write them with --update",
    async (file) => {
      await expect(fresh(read(file))).toMatchFileSnapshot(join(root, file))
    }
  )

  it("has no TypeScript that is not compiled and run", () => {
    const loose = documents.flatMap((file) =>
      blocks(read(file), "ts").flatMap(({ above, code }) =>
        /^examples\/(compose|client|testing)\//.test(above) ? [] : [`${file}: ${code.slice(0, 60)}`]
      )
    )
    expect(loose).toEqual([])
  })

  it("shows channels that a server takes", () => {
    const files = documents.flatMap((file) =>
      blocks(read(file), "yaml").filter(({ code }) => /^(#.*\n)?channels:/.test(code))
    )
    expect(files.length).toBeGreaterThan(1)
    for (const { code } of files) expect(Result.isSuccess(ChannelsFile.parse(code)), code).toBe(true)
  })

  it("names scripts, commands and flags that there are", () => {
    const text = documents.map(read).join("\n")
    const scripts = [...Object.keys(packageJson.scripts), "ci"]
    const named = [...text.matchAll(/npm run (?:-s )?([a-z-]+)/g)].map(([, name = ""]) => name)
    expect(named.filter((name) => !scripts.includes(name))).toEqual([])

    const program = readdirSync(join(root, "src/server/cli"))
      .map((name) => read(`src/server/cli/${name}`))
      .join("\n")
    const defined = (what: string) =>
      [...program.matchAll(new RegExp(`${what}\\(\\s*"([a-z-]+)"`, "g"))].map(([, name]) => name)
    const calls = [
      ...text.matchAll(/(?:npm start --|npx substra-orchestrator|src\/server\/main\.ts)((?: +(?:--)?[A-Za-z0-9-]+)+)/g)
    ].map(([, args = ""]) => args.trim().split(/ +/))
    expect(calls.length).toBeGreaterThan(5)
    const flags = [
      "help",
      ...Object.keys(settings).map(flagName),
      ...defined("Flag\\.(?:Boolean|Literals|Redacted|String)")
    ]
    const used = calls.flat().flatMap((arg) => (arg.startsWith("--") ? [arg.slice(2)] : []))
    expect(used.filter((name) => !flags.includes(name))).toEqual([])
    const commands = defined("Command\\.make")
    const first = calls.flatMap(([arg = ""]) => (arg.startsWith("--") ? [] : [arg]))
    expect(first.filter((name) => !commands.includes(name))).toEqual([])
  })

  it("names versions that this one has", () => {
    const text = documents.map(read).join("\n")
    const named = [...text.matchAll(/([@a-z/-]+)@(\d+\.\d+\.\d+)/g)]
    expect(named.length).toBeGreaterThan(0)
    const versions: Readonly<Record<string, string>> = { ...packageJson.dependencies, ...packageJson.devDependencies }
    for (const [what, name = "", version] of named) expect(version, what).toBe(versions[name])
    for (const [what, version] of text.matchAll(/substra-orchestrator[- ](\d+\.\d+\.\d+)/g)) {
      expect(version, what).toBe(packageJson.version)
    }
  })

  it.each(documents)("%s links to what is there", (file) => {
    const links = [...read(file).matchAll(/\]\(([^)#]+)(?:#([^)]*))?\)/g)]
    const local = links.filter(([, target = ""]) => !/^[a-z]+:/.test(target))
    for (const [, target = "", heading] of local) {
      const path = join(root, dirname(file), target)
      expect(existsSync(path), `${file} links to ${target}`).toBe(true)
      if (heading === undefined) continue
      const headings = [...readFileSync(path, "utf8").matchAll(/^##+ (.*)$/gm)].map(([, title = ""]) =>
        title.toLowerCase().replaceAll(" ", "-")
      )
      expect(headings, `${file} links to ${target}#${heading}`).toContain(heading)
    }
  })

  it("explains every builder of requests", () => {
    const guide = read("docs/testing.md")
    expect(Object.keys(Requests).filter((name) => !new RegExp(`\\b${name}\\b`).test(guide))).toEqual([])
  })

  it("explains every error of the client", () => {
    const classes = Object.keys(ClientError).filter((name) => /^[A-Z]/.test(name))
    const guide = read("docs/client.md")
    expect(classes.filter((name) => !guide.includes(`\`${name}\``))).toEqual([])
  })
})
