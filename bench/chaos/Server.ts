/** One server process, reached through a proxy, on the database through another; killed, ended and started again. */
import { type ChildProcess, spawn } from "node:child_process"
import * as net from "node:net"
import * as path from "node:path"
import type { Postgres } from "./Postgres.ts"
import { Proxy } from "./Proxy.ts"
import { sleep } from "./Random.ts"

const freePort = (): Promise<number> =>
  new Promise((resolve) => {
    const probe = net.createServer().listen(0, "127.0.0.1", () => {
      const { port } = probe.address() as net.AddressInfo
      probe.close(() => resolve(port))
    })
  })

const program = path.join(import.meta.dirname, "../../src/server/main.ts")
const steppedClock = path.join(import.meta.dirname, "steppedClock.ts")

export class Server {
  readonly clients: Proxy
  readonly database: Proxy
  private readonly env: Readonly<Record<string, string>>
  private readonly httpPort: number
  private process: ChildProcess | undefined
  private starting: Promise<void> | undefined
  private closed = false
  private isReady = false
  /** The end of what it wrote. */
  output = ""
  starts = 0

  private constructor(clients: Proxy, database: Proxy, httpPort: number, env: Readonly<Record<string, string>>) {
    this.clients = clients
    this.database = database
    this.httpPort = httpPort
    this.env = env
  }

  static async open(postgres: Postgres, channelFile: string, early: boolean): Promise<Server> {
    const ports = [await freePort(), await freePort()] as const
    const database = await Proxy.open(() => postgres.target)
    const clients = await Proxy.open(() => ({ port: ports[0] }))
    const server = new Server(clients, database, ports[1], {
      ORCHESTRATOR_DATABASE_URL: postgres.url(database.port),
      ORCHESTRATOR_CHANNEL_CONFIG: channelFile,
      ORCHESTRATOR_GRPC_PORT: String(ports[0]),
      ORCHESTRATOR_HTTP_PORT: String(ports[1]),
      ORCHESTRATOR_LISTEN_ADDRESS: "127.0.0.1",
      ORCHESTRATOR_STALLED_SUBSCRIBER_TIMEOUT: "4s",
      ORCHESTRATOR_DRAIN_TIMEOUT: "5s",
      ORCHESTRATOR_EVENT_RING_SIZE: "500",
      ORCHESTRATOR_EARLY_LOCK_RELEASE: String(early),
      METRICS_ENABLED: "true",
      LOG_LEVEL: "WARN"
    })
    await server.start()
    return server
  }

  get address(): string {
    return `127.0.0.1:${this.clients.port}`
  }

  /** Until it is ready. One that ends by itself is started again: it may have met a database that is down. */
  start(): Promise<void> {
    this.starting ??= this.untilReady().finally(() => {
      this.starting = undefined
    })
    return this.starting
  }

  private async untilReady(): Promise<void> {
    while (!this.closed) {
      if (this.process === undefined) this.spawn()
      const ready = await fetch(`http://127.0.0.1:${this.httpPort}/readyz`).then(
        ({ ok }) => ok,
        () => false
      )
      this.isReady = ready
      if (ready) return
      await sleep(50)
    }
  }

  private spawn(): void {
    this.starts++
    const child = spawn(process.execPath, ["--import", steppedClock, program], {
      env: { PATH: process.env.PATH ?? "", HOME: process.env.HOME ?? "", ...this.env },
      stdio: ["ignore", "pipe", "pipe"]
    })
    this.process = child
    const keep = (chunk: Buffer) => {
      this.output = (this.output + chunk.toString()).slice(-20_000)
    }
    child.stdout.on("data", keep)
    child.stderr.on("data", keep)
    child.once("exit", () => {
      if (this.process === child) this.process = undefined
      this.isReady = false
    })
  }

  /** Ends the process and waits for that. Says after how long, and how a server that was ready ended. */
  async stop(signal: "SIGKILL" | "SIGTERM"): Promise<{ readonly code: number | null; readonly millis: number }> {
    const child = this.process
    if (child === undefined) return { code: null, millis: 0 }
    const { isReady } = this
    const begun = Date.now()
    const code = await new Promise<number | null>((resolve) => {
      child.once("exit", (status) => resolve(status))
      child.kill(signal)
    })
    return { code: isReady ? code : null, millis: Date.now() - begun }
  }

  /** Its wall clock jumps. */
  stepClock(): void {
    if (this.isReady) this.process?.kill("SIGUSR2")
  }

  /** The metrics of the hub, summed over channels. */
  async metrics(): Promise<ReadonlyMap<string, number>> {
    const text = await fetch(`http://127.0.0.1:${this.httpPort}/metrics`).then(
      (response) => response.text(),
      () => ""
    )
    const sums = new Map<string, number>()
    for (const [, name = "", value] of text.matchAll(/^(orc_event_\w+)(?:\{.*\})? ([\d.]+)/gm)) {
      sums.set(name, (sums.get(name) ?? 0) + Number(value))
    }
    return sums
  }

  async close(): Promise<void> {
    this.closed = true
    this.database.resume()
    this.clients.close()
    this.database.close()
    await this.stop("SIGKILL")
  }
}
