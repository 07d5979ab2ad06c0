/**
 * What the image holds is enough: what the Dockerfile builds of the files that it copies, the packages that it keeps (none
 * of development, no optional ones, so no PostgreSQL), a user who may write nowhere. The image itself is not built here.
 */
import { execFileSync } from "node:child_process"
import { chmod, cp, mkdir, realpath, stat, symlink } from "node:fs/promises"
import { basename, dirname, join, relative } from "node:path"
import { beforeAll, describe, expect, it } from "vitest"
import packageLock from "../../package-lock.json" with { type: "json" }
import { client } from "../blackbox/Client.ts"
import { createDatabase, type TestDatabase } from "../support/database.ts"
import { folder, type Program, program } from "./servers.ts"
import { deploy, read, root } from "./support.ts"

const dockerfile = read(deploy, "Dockerfile").replaceAll(/\\\n\s*/g, "")
const entry: ReadonlyArray<string> = JSON.parse(/^ENTRYPOINT (.*)$/m.exec(dockerfile)?.[1] ?? "")
const healthCheck: ReadonlyArray<string> = JSON.parse(/^HEALTHCHECK .*?CMD (.*)$/m.exec(dockerfile)?.[1] ?? "")
const user = Number(/^USER (\d+)/m.exec(dockerfile)?.[1])

/** What a stage copies from the repository, in a folder. */
const copied = async (stage: string, into: string): Promise<void> => {
  for (const [, files = ""] of stage.matchAll(/^COPY (?!--from)(.*)$/gm)) {
    const names = files.split(" ")
    const target = names.pop() ?? ""
    for (const name of names) {
      const isFolder = target.endsWith("/") || target === "."
      const path = isFolder ? join(into, target, basename(name)) : join(into, target)
      await mkdir(dirname(path), { recursive: true })
      await cp(join(root, name), path, { recursive: true })
    }
  }
}

/** What the first stage builds, with the packages of the repository. */
const built = async (): Promise<string> => {
  const [, stage = ""] = dockerfile.split(/^FROM /m)
  const into = await folder()
  await copied(stage, into)
  await symlink(join(root, "node_modules"), join(into, "node_modules"))
  const [, script = ""] = /^RUN node (.*)$/m.exec(stage) ?? []
  execFileSync(process.execPath, [script], { cwd: into, stdio: "inherit" })
  return into
}

/** The packages that are left of those that package-lock.json names. */
const omitted = ["devOptional", ...Array.from(dockerfile.matchAll(/--omit=(\w+)/g), ([, kind = ""]) => kind)]
const kept = Object.entries<object>(packageLock.packages)
  .filter(([path, flags]) => path !== "" && !omitted.some((kind) => kind in flags))
  .map(([path]) => path)

/** The files of the last stage, in a folder. */
const build = async (): Promise<string> => {
  const app = join(await folder(), "app")
  await cp(join(await built(), "dist"), join(app, "dist"), { recursive: true })
  for (const path of kept) {
    const [one, target] = [join(root, path), join(app, path)]
    // Packages in a package come by themselves; types and maps are left out for speed.
    const needed = (path: string) => !relative(one, path).includes("node_modules") && !/\.d\.[cm]?ts$|\.map$/.test(path)
    await cp(one, target, { recursive: true, filter: needed })
  }
  await copied(dockerfile.slice(dockerfile.lastIndexOf("FROM ")), app)
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
  }, 180_000)

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
