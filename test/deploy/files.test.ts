/** The files of deploy/ agree with the server, with one another and with package.json. */
import { readdirSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, it } from "vitest"
import packageJson from "../../package.json" with { type: "json" }
import * as AppConfig from "../../src/layers/config/AppConfig.ts"
import * as ChannelsFile from "../../src/layers/config/ChannelsFile.ts"
import { databaseUrl } from "../../src/server/databaseUrl.ts"
import { databaseVariables, deploy, parse, read, root, variables, variablesIn } from "./support.ts"

const dockerfile = read(deploy, "Dockerfile")

/** Instructions with their arguments, continued lines joined. */
const instructions = dockerfile
  .replaceAll(/\\\n\s*/g, "")
  .split("\n")
  .filter((line) => line !== "" && !line.startsWith("#"))
  .map((line) => /^([A-Z]+) (.*)$/.exec(line)?.slice(1) ?? [line])

const argumentsOf = (name: string): ReadonlyArray<string> =>
  instructions.filter(([instruction]) => instruction === name).map(([, argument]) => argument ?? "")

const ports = [AppConfig.settings.ORCHESTRATOR_GRPC_PORT.standard, AppConfig.settings.ORCHESTRATOR_HTTP_PORT.standard]

describe("the Dockerfile", () => {
  it("has instructions only", () => {
    const known = /^(ARG|FROM|WORKDIR|COPY|RUN|LABEL|ENV|USER|EXPOSE|STOPSIGNAL|HEALTHCHECK|ENTRYPOINT)$/
    expect(instructions.filter(([name]) => !known.test(name ?? ""))).toEqual([])
  })

  it("runs the Node that the project is tested with", () => {
    expect(argumentsOf("ARG")).toContain(`NODE_VERSION=${packageJson.devDependencies.node}`)
  })

  it("has the version of package.json", () => {
    expect(argumentsOf("ARG")).toContain(`VERSION=${packageJson.version}`)
    expect(parse(read(deploy, "compose.yaml")).services.server.image).toMatch(new RegExp(`:${packageJson.version}$`))
  })

  it("exposes the server's ports and asks the right one for its health", () => {
    expect(argumentsOf("EXPOSE")).toEqual([ports.join(" ")])
    expect(argumentsOf("HEALTHCHECK").join()).toContain(`ORCHESTRATOR_HTTP_PORT || ${ports[1]}`)
  })

  it("starts the server as npm start does, built, as process 1, with a user by number that is not root", () => {
    const script = packageJson.scripts.start.replace("src/", "dist/").replace(/\.ts$/, ".js")
    const entry: ReadonlyArray<string> = JSON.parse(argumentsOf("ENTRYPOINT")[0] ?? "")
    expect(entry.filter((part) => !part.startsWith("--import")).join(" ")).toBe(script)
    expect(argumentsOf("USER").at(-1)).toMatch(/^[1-9]\d*:[1-9]\d*$/)
    expect(argumentsOf("STOPSIGNAL")).toEqual(["SIGTERM"])
  })

  it("copies only what .dockerignore lets in", () => {
    const allowed = read(root, ".dockerignore")
      .split("\n")
      .filter((line) => line.startsWith("!"))
      .map((line) => line.slice(1))
    const copied = argumentsOf("COPY")
      .filter((argument) => !argument.startsWith("--from"))
      .flatMap((argument) => argument.split(" ").slice(0, -1))
    expect(new Set(copied)).toEqual(new Set(allowed))
  })
})

describe("the compose file", () => {
  const compose = parse(read(deploy, "compose.yaml"))
  const { database, server } = compose.services

  it("publishes the server's ports, on this machine only", () => {
    expect(server.ports).toEqual(ports.map((port) => `127.0.0.1:${port}:${port}`))
  })

  it("gives the server more time to stop than it takes", () => {
    const seconds = Number(/^(\d+)s$/.exec(AppConfig.settings.ORCHESTRATOR_DRAIN_TIMEOUT.standard)?.[1])
    expect(Number.parseInt(server.stop_grace_period, 10)).toBeGreaterThan(seconds)
  })

  it("starts the server once PostgreSQL, of a version that it takes, is healthy", () => {
    expect(server.depends_on.database.condition).toBe("service_healthy")
    expect(database.image).toBe("postgres:17")
    expect(database.healthcheck.test[1]).toBe("pg_isready")
  })

  it("mounts files that are there", () => {
    const sources = [...server.volumes, ...database.volumes].filter(({ type }) => type === "bind")
    const files = readdirSync(deploy)
    expect(sources.map(({ source }) => files.includes(source.replace("./", "")))).toEqual(sources.map(() => true))
    expect(ChannelsFile.parse(read(deploy, "channels/channels.yaml"))).toMatchObject({
      success: ChannelsFile.developmentChannels
    })
  })

  it("names a volume that is declared", () => {
    expect(Object.keys(compose.volumes)).toEqual(["data"])
  })
})

describe("every file of deploy/", () => {
  const files = readdirSync(deploy, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && !/\.md$/.test(entry.name))
    .map((entry) => join(entry.parentPath, entry.name))

  it.each(files)("names variables that there are: %s", (file) => {
    const unknown = variablesIn(read(file)).filter((name) => !variables.has(name) && !databaseVariables.has(name))
    expect(unknown).toEqual([])
  })
})

describe("the URL of the database", () => {
  it("is of a host's making only", () => {
    expect(databaseUrl({})).toBeUndefined()
    expect(databaseUrl({ DATABASE_USERNAME: "orchestrator", DATABASE_PASSWORD: "secret" })).toBeUndefined()
  })

  it("is a URL whatever the password is", () => {
    const password = "p@ss:/?#[]%&+=; é\"'\\"
    const url = new URL(
      databaseUrl({
        DATABASE_HOST: "db.example.org",
        DATABASE_PORT: "5433",
        DATABASE_NAME: "orchestrator",
        DATABASE_USERNAME: "orc@hestrator",
        DATABASE_PASSWORD: password,
        DATABASE_PARAMETERS: "sslmode=verify-full&sslrootcert=/etc/ca.crt"
      }) ?? ""
    )
    expect(decodeURIComponent(url.password)).toBe(password)
    expect(decodeURIComponent(url.username)).toBe("orc@hestrator")
    expect(url.host).toBe("db.example.org:5433")
    expect(url.pathname).toBe("/orchestrator")
    expect([...url.searchParams]).toEqual([
      ["sslmode", "verify-full"],
      ["sslrootcert", "/etc/ca.crt"]
    ])
  })

  it("takes an IPv6 address and has defaults", () => {
    expect(databaseUrl({ DATABASE_HOST: "::1", DATABASE_USERNAME: "a", DATABASE_PASSWORD: "b" })).toBe(
      "postgresql://a:b@[::1]:5432/orchestrator"
    )
  })
})
