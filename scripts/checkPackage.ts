/**
 * The package as its users get it: packed, installed into an empty project, its types checked and the programs of
 * examples/ run there, with every Node that it promises. `--node 24` runs with one of them alone.
 */
import { type ChildProcess, execFileSync, spawn, spawnSync } from "node:child_process"
import { chmodSync, cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join, resolve } from "node:path"
import { parseArgs } from "node:util"
import packageJson from "../package.json" with { type: "json" }

const root = resolve(import.meta.dirname, "..")
const { values } = parseArgs({ options: { node: { type: "string", multiple: true, default: ["22", "24", "26"] } } })

/** The folders of examples/ whose programs know the package by its name alone. */
const folders = ["compose", "client", "testing"]

const versionOf = (name: keyof typeof packageJson.devDependencies): string => packageJson.devDependencies[name]

const project = mkdtempSync(join(tmpdir(), "orc-package-"))
/** Of its own, since root's PostgreSQL runs as another user, who cannot look into the project. */
const databases = mkdtempSync(join(tmpdir(), "orc-package-postgres-"))
chmodSync(databases, 0o755)
const run = (
  command: string,
  args: ReadonlyArray<string>,
  cwd = project,
  env: NodeJS.ProcessEnv = process.env
): string => execFileSync(command, args, { cwd, env, encoding: "utf8", stdio: ["ignore", "pipe", "inherit"] })
const step = (what: string): void => console.log(`${Math.round(performance.now() / 1000)} s  ${what}`)

/** The npm packages `node-bin-…` would each replace the other: a project of its own for every Node. */
const installNode = (major: string): string => {
  const folder = join(project, `node-${major}`)
  const wanted = packageJson.devDependencies.node.startsWith(`${major}.`) ? versionOf("node") : major
  run("npm", ["install", "--no-audit", "--no-fund", "--prefer-offline", "--prefix", folder, `node@${wanted}`])
  return join(folder, "node_modules/.bin/node")
}

const tsconfig = {
  compilerOptions: {
    target: "es2024",
    lib: ["es2024", "esnext.disposable"],
    module: "nodenext",
    types: ["node"],
    noEmit: true,
    allowImportingTsExtensions: true,
    strict: true,
    exactOptionalPropertyTypes: true,
    skipLibCheck: true
  },
  include: [...folders, "types.ts"]
}

/** Types that were lost on the way would be `any`, and nothing would be wrong with this. */
const wrong = `
import * as Client from "substra-orchestrator/client"
import { connect } from "substra-orchestrator/client/promise"
import { Server } from "substra-orchestrator/server"
import { ComputePlans } from "substra-orchestrator/services"
import { Requests } from "substra-orchestrator/testing"
// @ts-expect-error
Client.connect({ address: "localhost:9000" })
// @ts-expect-error
;(await connect({ address: "", organization: "", channel: "" })).getPlan({ name: "" })
// @ts-expect-error
Server.layer({ port: "9000" })
// @ts-expect-error
ComputePlans.of({})
// @ts-expect-error
Requests.newPlan({ name: 5 })
`

/** A program beside another `effect` than the package's is told so by npm: two of them do not know each other's values. */
const refuseAnother = (filename: string): void => {
  const folder = join(project, "another-effect")
  mkdirSync(folder)
  writeFileSync(join(folder, "package.json"), JSON.stringify({ name: "another", private: true }))
  const args = ["install", "--dry-run", "--prefer-offline", `../${filename}`, "effect@4.0.6"]
  const { status, stderr } = spawnSync("npm", args, { cwd: folder, encoding: "utf8" })
  if (status === 0 || !stderr.includes("ERESOLVE")) throw new Error(`npm took another effect: ${stderr}`)
}

const install = (): void => {
  const [{ filename }] = JSON.parse(run("npm", ["pack", "--json", "--pack-destination", project], root)) as [
    { readonly filename: string }
  ]
  writeFileSync(join(project, "package.json"), JSON.stringify({ name: "empty", private: true, type: "module" }))
  run("npm", [
    "install",
    "--no-audit",
    "--no-fund",
    "--prefer-offline",
    `./${filename}`,
    ...(["typescript", "@types/node", "vitest", "@effect/vitest"] as const).map((name) => `${name}@${versionOf(name)}`),
    // What the programs import by themselves, as their authors would.
    `effect@${versionOf("effect")}`,
    ...(["@effect/platform-node", "@grpc/grpc-js", "@bufbuild/protobuf"] as const).map(
      (name) => `${name}@${packageJson.dependencies[name]}`
    )
  ])
  refuseAnother(filename)
  writeFileSync(join(project, "types.ts"), wrong)
  for (const folder of folders) cpSync(join(root, "examples", folder), join(project, folder), { recursive: true })
  writeFileSync(join(project, "tsconfig.json"), JSON.stringify(tsconfig))
}

/** Programs in the order of their names; the servers and backends among them run on beside those that come later. */
const programs = folders.flatMap((folder) =>
  readdirSync(join(root, "examples", folder))
    .filter((name) => name.endsWith(".ts") && !name.endsWith(".test.ts") && /^[a-z]/.test(name))
    .map((name) => `${folder}/${name}`)
)
const lasting = new Map([
  ["compose/server.ts", /listening on port/],
  ["compose/postgres.ts", /listening on port/],
  ["client/backend.ts", /following the events/]
])

/** An editor shows the comment of an rpc where its type is named; where the compiler has written it out there is none. */
const checkComments = (): void => {
  const folder = join(project, "node_modules", packageJson.name, "dist/layers/wire/generated")
  const named = readFileSync(join(folder, "index.d.ts"), "utf8").includes("typeof ComputePlanServiceDefinition")
  const commented = /\*\/\s+(readonly )?registerPlan: /.test(readFileSync(join(folder, "computeplan.d.ts"), "utf8"))
  if (!named || !commented) throw new Error("the package has lost the comments of rpcs")
}

/** A process, once it has printed this. */
const started = async (node: string, args: ReadonlyArray<string>, env: NodeJS.ProcessEnv, pattern: RegExp) => {
  const child: ChildProcess = spawn(node, args, { cwd: project, env, stdio: ["ignore", "pipe", "inherit"] })
  let printed = ""
  const match = await new Promise<RegExpExecArray>((done, failed) => {
    child.once("exit", () => failed(new Error(`${args.join(" ")} ended: ${printed}`)))
    child.stdout?.on("data", (text: Buffer) => {
      printed += text
      const found = pattern.exec(printed)
      if (found !== null) done(found)
    })
  })
  const stop = () =>
    new Promise<void>((done) => {
      child.removeAllListeners("exit").once("exit", () => done())
      child.kill("SIGTERM")
    })
  return { match, stop }
}

/** Importing an entry does nothing that is left to see. */
const checkImports = (node: string): void => {
  const entries = Object.entries(packageJson.exports).filter(
    ([name, target]) => typeof target !== "string" && name !== "./testing/suites"
  )
  for (const [name] of entries) {
    const entry = `${packageJson.name}${name.slice(1)}`
    const program = `
      const listeners = () => process.eventNames().map((name) => [name, process.listenerCount(name)]).flat().join()
      const before = [Object.keys(globalThis).join(), listeners()]
      await import(${JSON.stringify(entry)})
      const after = [Object.keys(globalThis).join(), listeners()]
      if (before.join() !== after.join()) throw new Error("an import changed the process: " + after)
      const open = process.getActiveResourcesInfo().filter((kind) => !/^(Pipe|TTY|FSReq|Immediate|CloseReq)/.test(kind))
      if (open.length > 0) throw new Error("an import left something open: " + open)`
    run(node, ["--input-type=module", "--eval", program])
  }
}

const checkNode = async (major: string): Promise<void> => {
  const node = installNode(major)
  const version = run(node, ["--version"]).trim()
  checkImports(node)
  const bin = join(project, "node_modules", packageJson.name, packageJson.bin["substra-orchestrator"])
  const env: NodeJS.ProcessEnv = {
    ...process.env,
    PORT: "0",
    STATE: join(project, `state-${major}`),
    DATA_DIR: join(databases, major),
    NODE_NO_WARNINGS: "1"
  }
  const ports = { ORCHESTRATOR_GRPC_PORT: "0", ORCHESTRATOR_HTTP_PORT: "0" }
  const server = await started(node, [bin, "serve", "--memory"], { ...env, ...ports }, /gRPC +(\S+)/)
  env.ADDRESS = server.match[1] ?? ""
  // Node 22 takes types out of programs only when it is told to.
  const typed = major === "22" ? ["--experimental-strip-types"] : []
  const running = [server]
  try {
    for (const program of programs) {
      const pattern = lasting.get(program)
      if (pattern === undefined) run(node, [...typed, program], project, env)
      else running.push(await started(node, [...typed, program], env, pattern))
    }
  } finally {
    for (const { stop } of running.toReversed()) await stop()
  }
  run(node, ["node_modules/vitest/vitest.mjs", "run", "--reporter=dot"])
  step(`${version}: every entry, ${programs.length} programs, the command line and the tests of examples/`)
}

try {
  install()
  step("packed and installed")
  run(process.execPath, ["node_modules/typescript/bin/tsc"])
  checkComments()
  step("the types of all programs are right")
  for (const major of values.node) await checkNode(major)
} finally {
  for (const folder of [project, databases]) rmSync(folder, { recursive: true, force: true })
}
