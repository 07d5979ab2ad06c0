/**
 * docs/operations.md agrees with the program: its table of settings is AppConfig's (`--update` writes it), every
 * metric, kind of error and variable that it names is there, and its commands for certificates do what they say.
 */
import { execFileSync, spawnSync } from "node:child_process"
import { readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import * as grpc from "@grpc/grpc-js"
import * as Effect from "effect/Effect"
import { describe, expect, it } from "vitest"
import * as AppConfig from "../../src/layers/config/AppConfig.ts"
import { InfoServiceDefinition } from "../../src/layers/wire/generated/info.ts"
import { kindCodes } from "../../src/schema/OrchestratorError.ts"
import { folder, serve } from "../deploy/servers.ts"
import { databaseVariables, deploy, read, root, variables, variablesIn } from "../deploy/support.ts"
import { createDatabase } from "../support/database.ts"

const file = join(root, "docs/operations.md")
const docs = readFileSync(file, "utf8")

const cell = (text: string): string => text.replaceAll("|", "\\|")

const table = [
  "| variable | type | default | meaning |",
  "| --- | --- | --- | --- |",
  ...Object.entries(AppConfig.settings).map(
    ([name, { meaning, standard, type }]) => `| \`${name}\` | ${cell(type)} | ${cell(standard)} | ${cell(meaning)} |`
  )
].join("\n")

const section = (title: string): string => docs.split(/^## /m).find((part) => part.startsWith(`${title}\n`)) ?? ""

/** The names of metrics in the source. */
const metrics = readdirSync(join(root, "src"), { recursive: true, encoding: "utf8" })
  .filter((path) => path.endsWith(".ts") && !path.includes("generated"))
  .flatMap((path) => read(root, "src", path).match(/"(?:orc|grpc_server|nodejs|process)_[a-z0-9_]+"/g) ?? [])
  .map((quoted) => quoted.slice(1, -1))

describe("docs/operations.md", () => {
  it("has the table of every setting: write it with --update", async () => {
    const written = docs.replace(/(<!-- settings: .* -->\n)[\s\S]*(<!-- \/settings -->)/, `$1\n${table}\n\n$2`)
    await expect(written).toMatchFileSnapshot(file)
  })

  it("explains every metric, and no other", () => {
    const explained = [...section("Metrics").matchAll(/`((?:orc|grpc_server|nodejs|process)_[a-z0-9_]+)/g)].map(
      ([, name]) => name
    )
    expect(metrics.filter((name) => !explained.includes(name))).toEqual([])
    expect(explained.filter((name) => !metrics.includes(name ?? ""))).toEqual([])
  })

  it("explains every kind of error", () => {
    const kinds = Object.values(kindCodes).filter((kind) => kind !== undefined)
    expect(kinds.filter((kind) => !section("Errors").includes(`| ${kind} |`))).toEqual([])
  })

  it("names variables that there are", () => {
    expect(variablesIn(docs).filter((name) => !variables.has(name) && !databaseVariables.has(name))).toEqual([])
  })

  it("links to what is there", () => {
    const headings = [...docs.matchAll(/^##+ (.*)$/gm)].map(([, title = ""]) =>
      title.toLowerCase().replaceAll(" ", "-")
    )
    const links = [...docs.matchAll(/\]\(#([^)]+)\)/g)].map(([, target = ""]) => target)
    expect(links.filter((target) => !headings.includes(target))).toEqual([])
  })
})

const hasOpenssl = spawnSync("openssl", ["version"]).status === 0

describe.skipIf(!hasOpenssl)("the commands for certificates (skipped without openssl)", () => {
  it("make what a server with identity verification needs, and what a client needs to call it", async () => {
    const made = await folder()
    const [, commands = ""] = /```sh\n(# An organization: its CA[\s\S]*?)```/.exec(docs) ?? []
    execFileSync("sh", ["-eu", "-c", commands], { cwd: made, stdio: "pipe" })
    const { organizations } = await Effect.runPromise(
      AppConfig.tlsFiles({
        certificate: join(made, "tls.crt"),
        key: join(made, "tls.key"),
        serverCa: undefined,
        clientCaFolder: join(made, "client-cas")
      })
    )
    expect([...organizations.keys()]).toEqual(["MyOrg1MSP"])

    const database = await createDatabase()
    const server = await serve({
      ORCHESTRATOR_DATABASE_URL: database.url,
      ORCHESTRATOR_CHANNEL_CONFIG: join(deploy, "channels/channels.yaml"),
      ORCHESTRATOR_TLS_ENABLED: "true",
      ORCHESTRATOR_TLS_CERT_PATH: join(made, "tls.crt"),
      ORCHESTRATOR_TLS_KEY_PATH: join(made, "tls.key"),
      ORCHESTRATOR_MTLS_ENABLED: "true",
      ORCHESTRATOR_TLS_CLIENT_CA_CERT_DIR: join(made, "client-cas"),
      ORCHESTRATOR_VERIFY_CLIENT_MSP_ID: "true"
    })
    const connection = new grpc.Client(
      `localhost:${server.grpcPort}`,
      grpc.credentials.createSsl(
        readFileSync(join(made, "server-ca.crt")),
        readFileSync(join(made, "backend.key")),
        readFileSync(join(made, "backend.crt"))
      )
    )
    const version = (mspid: string) =>
      new Promise<string>((done) => {
        const metadata = new grpc.Metadata()
        metadata.set("mspid", mspid)
        metadata.set("channel", "mychannel")
        connection.makeUnaryRequest(
          `/${InfoServiceDefinition.fullName}/QueryVersion`,
          (bytes: Buffer) => bytes,
          (bytes) => bytes,
          Buffer.alloc(0),
          metadata,
          (error) => done(error?.details ?? "OK")
        )
      })
    expect(await version("MyOrg1MSP")).toBe("OK")
    expect(await version("MyOrg2MSP")).toMatch(/^OE0102: invalid MSPID/)
    connection.close()
    await server.stop()
    await database.drop()
  })
})
