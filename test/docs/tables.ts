/** The tables of docs/ that are made of the program: its state machines as data, its services, ports and errors. */
import { readdirSync, readFileSync } from "node:fs"
import { join, resolve } from "node:path"
import { status } from "@grpc/grpc-js"
import * as Context from "effect/Context"
import * as Layer from "effect/Layer"
import * as exported from "../../src/exports/services.ts"
import * as suites from "../../src/exports/suites.ts"
import {
  type FunctionAction,
  followingTasks,
  functionActions,
  functionTransitions
} from "../../src/schema/FunctionStatus.ts"
import { kindCodes } from "../../src/schema/OrchestratorError.ts"
import { type TaskAction, taskActions, taskTransitions } from "../../src/schema/TaskStatus.ts"
import { statusCodes } from "../../src/server/Status.ts"

const root = resolve(import.meta.dirname, "../..")
const read = (file: string): string => readFileSync(join(root, file), "utf8")

const table = (head: ReadonlyArray<string>, rows: ReadonlyArray<ReadonlyArray<string>>): string =>
  [head, head.map(() => "---"), ...rows].map((cells) => `| ${cells.join(" | ")} |\n`).join("")

const short = (states: ReadonlyArray<string>): string =>
  states.map((state) => state.replace(/^(FUNCTION_)?STATUS_/, "")).join(", ")

const ofTasks = (): string =>
  table(
    ["action", "who may", "from", "to"],
    (Object.keys(taskActions) as ReadonlyArray<TaskAction>).map((action) => {
      const { actors, transition } = taskActions[action]
      const { from, to } = taskTransitions[transition]
      return [`\`${action}\``, actors.join(", "), short(from), short([to])]
    })
  )

const ofFunctions = (): string =>
  table(
    ["action", "who may", "from", "to", "moves its tasks that are"],
    (Object.keys(functionActions) as ReadonlyArray<FunctionAction>).map((action) => {
      const transition = functionActions[action]
      const { from, to } = functionTransitions[transition]
      return [`\`${action}\``, "owner", short(from), short([to]), short(followingTasks[transition])]
    })
  )

/** The text of a comment in one line, without where its rule is written. */
const line = (comment: string): string =>
  comment
    .replaceAll(/\s*\n \* ?/g, " ")
    .replaceAll(/ \((behaviour\.md|docs\/)[^)]*\)/g, "")
    .trim()
    .replaceAll("|", "\\|")

/** Every class of a service in these folders: what it is, and the names of its members. */
const classes = ["src/services", "src/services/store"].flatMap((folder) =>
  readdirSync(join(root, folder))
    .filter((name) => name.endsWith(".ts"))
    .flatMap((name) =>
      [
        ...read(`${folder}/${name}`).matchAll(
          /\/\*\*((?:(?!\*\/)[\s\S])*)\*\/\nexport class (\w+) extends Context\.Service<([\s\S]*?)>\(\)\(/g
        )
      ].map(([, comment = "", service = "", shape = ""]) => ({
        service,
        isPort: folder.endsWith("store"),
        what: line(comment),
        members: [...shape.matchAll(/readonly (\w+)\??:/g)].flatMap(([text, member = ""]) =>
          // Members are indented by four, or stand in the one line of a small shape; the rest are fields of parameters.
          shape.includes(`\n    ${text}`) || !shape.includes("\n    readonly") ? [member] : []
        )
      }))
    )
)

const services = new Map<string, unknown>(Object.entries(exported))

/** A service whose class has no comment, or is written in another way, would be in no table. */
const unseen = [...services].filter(
  ([name, value]) =>
    Context.isKey(value) &&
    !Context.isReference(value) &&
    !classes.some(({ service, what }) => service === name && what !== "")
)
if (unseen.length > 0) throw new Error(`not found in the source: ${unseen.map(([name]) => name)}`)

/** How a service is provided: its Layers. */
const layersOf = (name: string): string =>
  Object.entries(services.get(name) ?? {})
    .filter(([member]) => member.startsWith("layer"))
    .map(([member, layer]) => `\`${name}.${member}${Layer.isLayer(layer) ? "" : "(…)"}\``)
    .join(", ")

const ofServices = (): string =>
  table(
    ["service", "what it is", "its members", "its Layer"],
    classes
      .filter(({ isPort, service }) => !isPort && services.has(service))
      .sort((a, b) => (a.service < b.service ? -1 : 1))
      .map(({ members, service, what }) => [
        `\`${service}\``,
        what,
        [...new Set(members)].map((member) => `\`${member}\``).join(", "),
        layersOf(service)
      ])
  )

/** The ports, in the order of `Store`. */
const ofPorts = (): string => {
  const ports = [...read("src/services/store/Store.ts").matchAll(/^ {2}\| (\w+)$/gm)].map(([, name = ""]) => name)
  return table(
    ["port", "what it keeps or does", "its suites"],
    ports.map((port) => {
      const own = Object.keys(suites).filter((suite) => suite === port || suite === `${port.replace("Store", "")}Locks`)
      const pages = port === "EventLog" ? ["EventPages"] : []
      return [
        `\`${port}\``,
        classes.find(({ service }) => service === port)?.what ?? "",
        [...own.sort().reverse(), ...pages].map((suite) => `\`${suite}\``).join(", ")
      ]
    })
  )
}

const ofErrors = (): string => {
  const source = read("src/schema/OrchestratorError.ts")
  const found = source.matchAll(
    /\/\*\* ((?:(?!\*\/)[\s\S])*)\*\/\nexport class (\w+) extends Data\.TaggedError\("\w+"\)(?:<(\{[\s\S]*?\})>)? \{/g
  )
  const rows = [...found].map(([, comment = "", name = "", fields = ""]) => {
    const tag = name as keyof typeof kindCodes
    const given = [...fields.matchAll(/readonly (\w+\??):/g)].map(([, field]) => field).join(", ")
    return [
      `\`${name}\``,
      kindCodes[tag] ?? "",
      status[statusCodes[tag]] ?? "",
      given === "" ? "" : `\`{ ${given} }\``,
      line(comment.replace(/^[^:]*: /, ""))
    ]
  })
  const missing = Object.keys(kindCodes).filter((tag) => !rows.some(([name]) => name === `\`${tag}\``))
  if (missing.length > 0) throw new Error(`not found in the source: ${missing}`)
  return table(["error", "kind", "gRPC status", "made of", "when"], rows)
}

/** By what the comment above a table says. */
export const tables: Readonly<Record<string, () => string>> = {
  "table: task actions": ofTasks,
  "table: function actions": ofFunctions,
  "table: services": ofServices,
  "table: ports": ofPorts,
  "table: errors": ofErrors
}
