/**
 * What the image holds is enough: the files that the Dockerfile copies, the packages that its `npm ci` installs (no
 * development, no optional ones, so no PostgreSQL), a user who may write nowhere. The image itself is not built here.
 */
import { execFileSync } from "node:child_process"
import { chmod, cp, mkdir, realpath, stat } from "node:fs/promises"
import { dirname, join, relative } from "node:path"
import { beforeAll, describe, expect, it } from "vitest"
import { client } from "../blackbox/Client.ts"
import { createDatabase, type TestDatabase } from "../support/database.ts"
import { folder, type Program, program } from "./servers.ts"
import { deploy, read, root } from "./support.ts"

const dockerfile = read(deploy, "Dockerfile").replaceAll(/\\\n\s*/g, "")
const entry: ReadonlyArray<string> = JSON.parse(/^ENTRYPOINT (.*)$/m.exec(dockerfile)?.[1] ?? "")
const healthCheck: ReadonlyArray<string> = JSON.parse(/^HEALTHCHECK .*?CMD (.*)$/m.exec(dockerfile)?.[1] ?? "")
const user = Number(/^USER (\d+)/m.exec(dockerfile)?.[1])

/** The files of the last stage, in a folder. */
const build = async (): Promise<string> => {
  const app = join(await folder(), "app")
  const packages = execFileSync("npm", ["ls", "--all", "--parseable", "--omit=dev", "--omit=optional"], {
    cwd: root,
    encoding: "utf8"
  })
  for (const one of packages.split("\n").filter((path) => path.startsWith(join(root, "node_modules")))) {
    const target = join(app, relative(root, one))
    // Packages in a package come by themselves; types and maps are left out for speed.
    const needed = (path: string) => !relative(one, path).includes("node_modules") && !/\.d\.[cm]?ts$|\.map$/.test(path)
    await cp(one, target, { recursive: true, filter: needed })
  }
  const last = dockerfile.slice(dockerfile.lastIndexOf("FROM "))
  for (const [, files = ""] of last.matchAll(/^COPY (?!--from)(.*)$/gm)) {
    const names = files.split(" ")
    const target = names.pop() ?? ""
    for (const name of names) {
      const into =
        target.endsWith("/") || target === "." ? join(app, target, name.split("/").at(-1) ?? "") : join(app, target)
      await mkdir(dirname(into), { recursive: true })
      await cp(join(root, name), into, { recursive: true })
    }
  }
  // Temporary folders are closed to others.
  await chmod(dirname(app), 0o755)
  return app
}

/**
 * Another user is only for root to be: that of the image, but for the database, whose socket here is its owner's alone.
 */
const asUser = (uid: number) => (process.getuid?.() === 0 ? { uid } : {})

describe("the files of the image", () => {
  let app = ""
  let database: TestDatabase
  let node = ""
  let owner = user

  beforeAll(async () => {
    database = await createDatabase()
    app = await build()
    node = await realpath(process.execPath)
    const socket = new URL(database.url).searchParams.get("host")
    owner = socket === null ? user : (await stat(socket)).uid
    return () => database.drop()
  })

  const run = (command: ReadonlyArray<string>, env: Readonly<Record<string, string>>, uid = user): Program =>
    program([node, ...command.slice(1)], { cwd: app, env, ...asUser(uid) })

  const settings = () => ({
    ORCHESTRATOR_DATABASE_URL: database.url,
    ORCHESTRATOR_CHANNEL_CONFIG: join(deploy, "channels/channels.yaml"),
    ORCHESTRATOR_LISTEN_ADDRESS: "127.0.0.1",
    ORCHESTRATOR_GRPC_PORT: "0",
    ORCHESTRATOR_HTTP_PORT: "0"
  })

  it("have no PostgreSQL in them, and say so", async () => {
    const { exited, output } = run(entry, { ORCHESTRATOR_DATA_DIR: join(app, "data") })
    expect(await exited).toBe(1)
    expect(output()).toMatch(/PostgreSQL binaries|data folder/)
  })

  it("print the table of variables", async () => {
    const { exited, output } = run([...entry, "--help"], {})
    expect(await exited).toBe(0)
    expect(output()).toContain("ORCHESTRATOR_DATABASE_URL")
  })

  it("serve, are healthy, and end with 0 when process 1 gets SIGTERM", async () => {
    const server = run(entry, settings(), owner)
    const [, grpc = ""] = await server.prints(/gRPC +(127\.0\.0\.1:\d+)/)
    const [, http = ""] = await server.prints(/HTTP +http:\/\/127\.0\.0\.1:(\d+)/)
    const one = client(grpc, { mspid: "MyOrg1MSP", channel: "mychannel" })
    expect((await one.queryVersion()).orchestrator).not.toBe("")
    one.close()
    const check = run(healthCheck, { ORCHESTRATOR_HTTP_PORT: http })
    expect(await check.exited).toBe(0)
    server.process.kill("SIGTERM")
    expect(await server.exited).toBe(0)
    const after = run(healthCheck, { ORCHESTRATOR_HTTP_PORT: http })
    expect(await after.exited).toBe(1)
  })

  it("migrate with the arguments of the chart's Job", async () => {
    const { exited, output } = run([...entry, "migrate"], settings(), owner)
    expect(await exited, output()).toBe(0)
  })
})
