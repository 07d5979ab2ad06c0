/** One server process, reached through a proxy, on the database through another; killed, ended and started again. */
import { type ChildProcess, spawn } from "node:child_process"
import * as net from "node:net"
import * as path from "node:path"
import { NeverReady, Report, sessionsOf } from "./NeverReady.ts"
import type { Postgres } from "./Postgres.ts"
import { Proxy } from "./Proxy.ts"
import { sleep } from "./Random.ts"

const taken = new Set<number>()

/**
 * A port for one server, also while it is down: below those that the system gives to connections, and to whoever asks
 * for any.
 */
const freePort = async (): Promise<number> => {
  for (;;) {
    const port = 10_000 + Math.floor(Math.random() * 20_000)
    if (taken.has(port)) continue
    const isFree = await new Promise<boolean>((resolve) => {
      const probe = net.createServer().once("error", () => resolve(false))
      probe.listen(port, "127.0.0.1", () => probe.close(() => resolve(true)))
    })
    if (!isFree) continue
    taken.add(port)
    return port
  }
}

/** How long a server may take until it is ready, whatever else goes wrong meanwhile. */
const patience = 90_000

const program = path.join(import.meta.dirname, "../../src/server/main.ts")
const steppedClock = path.join(import.meta.dirname, "steppedClock.ts")

export const channelFile = "channels.yaml"

interface Around {
  readonly postgres: Postgres
  readonly report: Report
  readonly clients: Proxy
  readonly database: Proxy
  readonly httpPort: number
}

export class Server {
  private readonly around: Around
  private readonly env: Readonly<Record<string, string>>
  private process: ChildProcess | undefined
  private starting: Promise<void> | undefined
  private closed = false
  private isReady = false
  /** The end of what it wrote. */
  output = ""
  starts = 0

  private constructor(around: Around, env: Readonly<Record<string, string>>) {
    this.around = around
    this.env = env
  }

  /** It is to be started. The folder has its channels, and gets what it reports when it does not become ready. */
  static async open(postgres: Postgres, folder: string, early: boolean): Promise<Server> {
    const ports = [await freePort(), await freePort()] as const
    const database = await Proxy.open(() => postgres.target)
    const clients = await Proxy.open(() => ({ port: ports[0] }))
    const report = new Report(folder, `server-${ports[0]}.json`)
    return new Server(
      { postgres, report, clients, database, httpPort: ports[1] },
      {
        ORCHESTRATOR_DATABASE_URL: postgres.url(database.port),
        ORCHESTRATOR_CHANNEL_CONFIG: path.join(folder, channelFile),
        ORCHESTRATOR_GRPC_PORT: String(ports[0]),
        ORCHESTRATOR_HTTP_PORT: String(ports[1]),
        ORCHESTRATOR_LISTEN_ADDRESS: "127.0.0.1",
        ORCHESTRATOR_STALLED_SUBSCRIBER_TIMEOUT: "4s",
        ORCHESTRATOR_DRAIN_TIMEOUT: "5s",
        ORCHESTRATOR_EVENT_RING_SIZE: "500",
        ORCHESTRATOR_EARLY_LOCK_RELEASE: String(early),
        METRICS_ENABLED: "true",
        LOG_LEVEL: "WARN"
      }
    )
  }

  get clients(): Proxy {
    return this.around.clients
  }

  get database(): Proxy {
    return this.around.database
  }

  get address(): string {
    return `127.0.0.1:${this.clients.port}`
  }

  /**
   * Until it is ready. One that ends by itself is started again: it may have met a database that is down. Fails with
   * NeverReady when that takes too long.
   */
  start(): Promise<void> {
    this.starting ??= this.untilReady().finally(() => {
      this.starting = undefined
    })
    return this.starting
  }

  private async untilReady(): Promise<void> {
    const until = Date.now() + patience
    while (!this.closed) {
      if (this.process === undefined) this.spawn()
      const answer = await this.get("readyz")
      this.isReady = answer.ok
      if (answer.ok) return
      if (Date.now() > until) throw new NeverReady(await this.whyNot(answer.text))
      await sleep(50)
    }
  }

  private async get(path: string): Promise<{ readonly ok: boolean; readonly text: string }> {
    try {
      const response = await fetch(`http://127.0.0.1:${this.around.httpPort}/${path}`, {
        signal: AbortSignal.timeout(5_000)
      })
      return { ok: response.ok, text: await response.text() }
    } catch (error) {
      return { ok: false, text: error instanceof Error ? `${error.message} ${error.cause ?? ""}` : String(error) }
    }
  }

  private async whyNot(readyz: string): Promise<string> {
    const pid = this.process?.pid
    return [
      `a server is not ready after ${patience / 1000} s, with ${this.starts} starts: /readyz says ${readyz}`,
      `its process: ${pid === undefined ? "none" : await this.around.report.of(pid)}`,
      `sessions of the database:\n${await sessionsOf(this.around.postgres)}`
    ].join("\n")
  }

  private spawn(): void {
    this.starts++
    const child = spawn(process.execPath, [...this.around.report.flags, "--import", steppedClock, program], {
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

  kill(): void {
    this.process?.kill("SIGKILL")
  }

  /** Its wall clock jumps. */
  stepClock(): void {
    if (this.isReady) this.process?.kill("SIGUSR2")
  }

  /** The metrics of the hub, summed over channels. */
  async metrics(): Promise<ReadonlyMap<string, number>> {
    const { ok, text } = await this.get("metrics")
    const sums = new Map<string, number>()
    if (!ok) return sums
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
