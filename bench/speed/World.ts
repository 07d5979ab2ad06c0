/** What a scenario runs against: one PostgreSQL as it comes, a server as a process, its channels. */
import { type ChildProcess, spawn } from "node:child_process"
import * as fs from "node:fs/promises"
import * as os from "node:os"
import * as path from "node:path"
import * as PgConnection from "@effect/sql-pg/PgConnection"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Redacted from "effect/Redacted"
import * as Scope from "effect/Scope"
import * as EmbeddedPostgres from "../../src/layers/EmbeddedPostgres.ts"
import { layout } from "../../src/layers/embedded/DataDir.ts"
import { readPidFile } from "../../src/layers/embedded/Postmaster.ts"
import { registry } from "../../src/layers/postgres/Codecs.ts"
import { type Client, client } from "../../test/blackbox/Client.ts"
import { cpuOf, cpuOfFamily } from "./Usage.ts"

export type Row = Readonly<Record<string, unknown>>

/** 64 channels of both organizations. */
export const channels = Array.from({ length: 64 }, (_, index) => `channel-${index}`)

export interface Server {
  readonly pid: number
  readonly port: number
  readonly httpPort: number
  readonly client: (mspid?: string, channel?: string) => Client
  /** The end of what it wrote. */
  readonly output: () => string
  readonly stop: () => Promise<void>
}

const program = path.join(import.meta.dirname, "../../src/server/main.ts")

export class World {
  readonly folder: string
  readonly url: string
  readonly postmaster: number
  private readonly database: EmbeddedPostgres.EmbeddedPostgres
  private readonly scope: Scope.Closeable
  private readonly servers = new Set<Server>()

  private constructor(folder: string, database: EmbeddedPostgres.EmbeddedPostgres, scope: Scope.Closeable) {
    this.folder = folder
    this.database = database
    this.scope = scope
    this.url = Redacted.value(database.url)
    this.postmaster = readPidFile(layout(database.dataDir).cluster)?.pid as number
  }

  /** `more`: settings of PostgreSQL. */
  static async open(more: Readonly<Record<string, string>> = {}): Promise<World> {
    const folder = await fs.mkdtemp(path.join(os.tmpdir(), "orc-bench-"))
    await fs.chmod(folder, 0o755) // as root, PostgreSQL runs as another user
    const list = channels.map((name) => `  ${name}: [MyOrg1MSP, MyOrg2MSP]\n`).join("")
    await fs.writeFile(path.join(folder, "channels.yaml"), `channels:\n${list}`)
    const scope = Scope.makeUnsafe()
    const settings = { max_connections: "200", ...more }
    const database = await Effect.runPromise(
      Scope.provide(EmbeddedPostgres.start({ dataDir: path.join(folder, "data"), settings }), scope)
    )
    return new World(folder, database, scope)
  }

  /** CPU of PostgreSQL so far, in microseconds. */
  get postgresCpu(): number {
    return cpuOfFamily(this.postmaster)
  }

  /**
   * Starts a server as an operator would, and waits until it is ready. BENCH_NODE_FLAGS are Node's, for its profiler:
   * `--cpu-prof --cpu-prof-dir=profiles`.
   */
  async server(env: Readonly<Record<string, string>> = {}): Promise<Server> {
    const child = spawn(
      process.execPath,
      [...(process.env.BENCH_NODE_FLAGS ?? "").split(" ").filter(Boolean), "--max-semi-space-size=16", program],
      {
        env: {
          PATH: process.env.PATH ?? "",
          HOME: process.env.HOME ?? "",
          ORCHESTRATOR_DATABASE_URL: this.url,
          ORCHESTRATOR_CHANNEL_CONFIG: path.join(this.folder, "channels.yaml"),
          ORCHESTRATOR_GRPC_PORT: "0",
          ORCHESTRATOR_HTTP_PORT: "0",
          ORCHESTRATOR_LISTEN_ADDRESS: "127.0.0.1",
          LOG_LEVEL: "WARN",
          METRICS_ENABLED: "true",
          ...env
        },
        stdio: ["ignore", "pipe", "pipe"]
      }
    )
    let output = ""
    const keep = (chunk: Buffer) => {
      output = (output + chunk.toString()).slice(-200_000)
    }
    child.stdout.on("data", keep)
    child.stderr.on("data", keep)
    const [port, httpPort] = await portsOf(child, () => output)
    const clients: Array<Client> = []
    const server: Server = {
      pid: child.pid as number,
      port,
      httpPort,
      client: (mspid = "MyOrg1MSP", channel = channels[0] as string) => {
        const made = client(`127.0.0.1:${port}`, { mspid, channel })
        clients.push(made)
        return made
      },
      output: () => output,
      stop: async () => {
        this.servers.delete(server)
        for (const one of clients) one.close()
        if (child.exitCode !== null) return
        const ended = new Promise((resolve) => child.once("exit", resolve))
        child.kill("SIGTERM")
        await ended
      }
    }
    this.servers.add(server)
    return server
  }

  private connected<A, E>(use: (connection: PgConnection.PgConnection) => Effect.Effect<A, E>): Promise<A> {
    return PgConnection.make({
      url: this.database.adminUrl,
      types: registry,
      startupParameters: { search_path: "orchestrator", timezone: "UTC" }
    }).pipe(Effect.flatMap(use), Effect.scoped, Effect.runPromise)
  }

  /** A statement as the superuser. */
  query(sql: string, params: ReadonlyArray<unknown> = []): Promise<ReadonlyArray<Row>> {
    return this.connected((connection) => Effect.map(connection.query(sql, params), ({ rows }) => rows))
  }

  /** Statements as the superuser, one after the other on one connection. */
  script(statements: ReadonlyArray<string>): Promise<void> {
    return this.connected((connection) => Effect.forEach(statements, (sql) => connection.query(sql), { discard: true }))
  }

  private get log(): string {
    return layout(this.database.dataDir).log
  }

  async logSize(): Promise<number> {
    return (await fs.stat(this.log)).size
  }

  /** What PostgreSQL has logged since its log had this size. */
  async logSince(size: number): Promise<string> {
    return (await fs.readFile(this.log)).subarray(size).toString("utf8")
  }

  async close(): Promise<void> {
    for (const server of this.servers) await server.stop()
    await Effect.runPromise(Scope.close(this.scope, Exit.void))
    await fs.rm(this.folder, { recursive: true, force: true })
  }
}

const portsOf = (child: ChildProcess, output: () => string): Promise<readonly [number, number]> =>
  new Promise((resolve, reject) => {
    const look = () => {
      const grpc = /gRPC[^\n]*127\.0\.0\.1:(\d+)/.exec(output())?.[1]
      const http = /http:\/\/127\.0\.0\.1:(\d+)/.exec(output())?.[1]
      if (grpc !== undefined && http !== undefined) resolve([Number(grpc), Number(http)])
    }
    child.stdout?.on("data", look)
    child.once("exit", () => reject(new Error(`the server did not start:\n${output()}`)))
  })

/** CPU that a server and PostgreSQL use during `run`, in microseconds. */
export const measured = async <A>(
  world: World,
  pid: number,
  run: () => Promise<A>
): Promise<{ readonly result: A; readonly serverCpu: number; readonly postgresCpu: number }> => {
  const before = [cpuOf(pid), world.postgresCpu] as const
  const result = await run()
  return { result, serverCpu: cpuOf(pid) - before[0], postgresCpu: world.postgresCpu - before[1] }
}
