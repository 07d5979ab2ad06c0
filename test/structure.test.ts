/**
 * The tree is the architecture: imports point one way, `schema ← services ← layers ← server`, and each technology
 * has one home. Every rule comes with imports that it must refuse, so that none can go blind unnoticed.
 */
import { readdirSync, readFileSync } from "node:fs"
import { join, posix, resolve } from "node:path"
import { describe, expect, it } from "vitest"

interface Rule {
  /** What a reader of a failure should do. */
  readonly says: string
  /** Folders, or files, that the rule binds, but for those in `except`. */
  readonly binds: ReadonlyArray<string>
  readonly except?: ReadonlyArray<string>
  /** A module as the program names it: a path from the root of the project, a package, or the global `process.env`. */
  readonly forbids: ReadonlyArray<RegExp>
  /** A file, and a line in it that breaks the rule. */
  readonly refused: readonly [file: string, line: string]
}

const below = (...folders: ReadonlyArray<string>) => folders.map((folder) => new RegExp(`^src/${folder}/`))

const everywhere = ["src", "test", "bench", "examples", "scripts"]

const rules: ReadonlyArray<Rule> = [
  {
    says: "src/schema knows values only: no services, layers, server or client",
    binds: ["src/schema"],
    forbids: below("services", "layers", "server", "client", "testing"),
    refused: ["src/schema/Key.ts", 'import * as Functions from "../services/Functions.ts"']
  },
  {
    says: "src/services knows contracts and logic only: no layers, server or client",
    binds: ["src/services"],
    forbids: below("layers", "server", "client", "testing"),
    refused: ["src/services/store/EventLog.ts", 'export { layer } from "../../layers/memory/EventLog.ts"']
  },
  {
    says: "src/layers serves any program: no server or client",
    binds: ["src/layers"],
    forbids: below("server", "client", "testing"),
    refused: ["src/layers/Telemetry.ts", 'import "../server/main.ts"']
  },
  {
    says: "src/schema and src/services do not see the machine: settings and resources come from layers",
    binds: ["src/schema", "src/services"],
    forbids: [/^node:/, /^process\.env$/],
    refused: ["src/services/Events.ts", 'const { readFile } = await import("node:fs/promises")']
  },
  {
    says: "gRPC is for src/server and src/client",
    binds: ["src"],
    except: ["src/server", "src/client", "src/exports"],
    forbids: [/^@grpc\//, /^grpc-/],
    refused: ["src/layers/wire/Events.ts", 'import type { Metadata } from "@grpc/grpc-js"']
  },
  {
    says: "generated code is for src/server, src/client, src/testing and src/layers/wire",
    binds: ["src"],
    except: ["src/server", "src/client", "src/testing", "src/layers/wire", "src/exports"],
    forbids: below("layers/wire/generated"),
    refused: ["src/layers/memory/EventLog.ts", 'import {\n  Event\n} from "../wire/generated/event.ts"']
  },
  {
    says: "what runs in production needs nothing of src/testing",
    binds: ["src/server", "src/client"],
    forbids: [/^src\/testing\//, /^vitest$/, /^@effect\/vitest$/],
    refused: ["src/client/Client.ts", 'import { newPlan } from "../testing/Requests.ts"']
  },
  {
    says: "the client is all that a backend needs: no server, services or store",
    binds: ["src/client"],
    forbids: [...below("server", "services"), /^src\/layers\/(?!wire\/)/],
    refused: ["src/client/Client.ts", 'import { statusCodes } from "../server/Status.ts"']
  },
  {
    says: "SQL is for src/layers/postgres",
    binds: ["src"],
    except: ["src/layers/postgres"],
    forbids: [/^@effect\/sql/, /^effect\/sql(\/|$)/, /^pg$/],
    refused: ["src/layers/AppConfig.ts", 'import type * as SqlClient from "effect/sql/SqlClient"']
  },
  {
    says: 'the whole of effect costs 600 ms at the start: import its modules, like "effect/Effect"',
    binds: everywhere,
    forbids: [/^effect$/],
    refused: ["examples/federated.ts", 'import { Effect } from "effect"']
  }
]

const root = resolve(import.meta.dirname, "..")

const isBelow = (file: string, folder: string) => file === folder || file.startsWith(`${folder}/`)

/** The modules that a source names, types and dynamic imports included, and `process.env` where it is read. */
const modulesOf = (source: string): ReadonlyArray<string> => {
  const statements = source.matchAll(/^\s*(?:import\s*|(?:import|export)\b[^"'`;]*?\bfrom\s*)["']([^"'\n]+)["']/gm)
  const calls = source.matchAll(/\bimport\(\s*["'`]([^"'`\n]+)["'`]/g)
  const named = [...statements, ...calls].map((match) => match[1] ?? "")
  return /\bprocess\s*\.\s*env\b/.test(source) ? [...named, "process.env"] : named
}

const asPath = (file: string, module: string) =>
  module.startsWith(".") ? posix.join(posix.dirname(file), module) : module

const violations = (file: string, source: string): ReadonlyArray<string> =>
  rules
    .filter(
      ({ binds, except = [] }) => binds.some((at) => isBelow(file, at)) && !except.some((at) => isBelow(file, at))
    )
    .flatMap(({ forbids, says }) =>
      modulesOf(source)
        .filter((module) => forbids.some((forbidden) => forbidden.test(asPath(file, module))))
        .map((module) => `${file} imports ${module}: ${says}`)
    )

const sources: ReadonlyArray<string> = readdirSync(root, { withFileTypes: true })
  .filter((entry) => entry.isDirectory() && everywhere.includes(entry.name))
  .flatMap(({ name }) =>
    readdirSync(join(root, name), { recursive: true, encoding: "utf8" }).map((file) =>
      posix.join(name, file.replaceAll("\\", "/"))
    )
  )
  .filter(
    (file) =>
      file.endsWith(".ts") && !isBelow(file, "src/layers/wire/generated") && !isBelow(file, "test/structure.test.ts")
  )

describe("the structure of the project", () => {
  it("is kept by every file", () => {
    expect(sources).not.toEqual([])
    expect(sources.flatMap((file) => violations(file, readFileSync(join(root, file), "utf8")))).toEqual([])
  })

  it.each(rules)("$says", ({ refused: [file, line], says }) => {
    expect(violations(file, `/** A source. */\n${line}\n`)).toEqual([expect.stringContaining(`: ${says}`)])
  })

  it("has entry points that name what there is, and do nothing else", () => {
    const entries = sources.filter((file) => isBelow(file, "src/exports"))
    expect(entries.length).toBeGreaterThan(0)
    for (const file of entries) {
      const rest = readFileSync(join(root, file), "utf8")
        .replaceAll(/\/\*\*[\s\S]*?\*\//g, "")
        .replaceAll(/^export [^;]*? from "[^"]+"$/gm, "")
      expect(rest.trim(), file).toBe("")
    }
  })

  it("finds an import in any form", () => {
    const source = [
      'import "a"',
      "import type { B } from 'b'",
      'import C, {\n  type D\n} from "c"',
      'export * as d from "d"',
      'type E = import("e").E',
      'const f = import("f")',
      'export const noImport = "g"',
      'const noImportEither = "import h from \\"h\\""'
    ].join("\n")
    expect(modulesOf(source)).toEqual(["a", "b", "c", "d", "e", "f"])
  })
})
