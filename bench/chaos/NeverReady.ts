/** What is known of a server that does not become ready: where its process is, and what its database does. */
import * as fs from "node:fs/promises"
import * as path from "node:path"
import type { Postgres } from "./Postgres.ts"
import { sleep } from "./Random.ts"

export class NeverReady extends Error {}

/** SIGUSR1 is Node's own, SIGUSR2 steps the clock. */
const signal = "SIGQUIT"

/** Node's reports of one server. */
export class Report {
  private readonly folder: string
  private readonly name: string

  constructor(folder: string, name: string) {
    this.folder = folder
    this.name = name
  }

  /** What makes Node write one when it is asked. */
  get flags(): ReadonlyArray<string> {
    return [
      "--report-on-signal",
      `--report-signal=${signal}`,
      `--report-directory=${this.folder}`,
      `--report-filename=${this.name}`
    ]
  }

  /** Asks a process for one: its stack, and what it waits for. */
  async of(pid: number): Promise<string> {
    process.kill(pid, signal)
    await sleep(2_000)
    try {
      const { javascriptStack, libuv } = JSON.parse(await fs.readFile(path.join(this.folder, this.name), "utf8"))
      const handles = libuv.filter(({ is_active }: { readonly is_active: boolean }) => is_active)
      return JSON.stringify({ javascriptStack, handles })
    } catch (error) {
      return `no report, ${error}`
    }
  }
}

export const sessionsOf = (postgres: Postgres): Promise<string> =>
  postgres
    .query(
      `SELECT pid::text, application_name, state, wait_event_type, wait_event, query_start::text, left(query, 80) AS query
       FROM pg_stat_activity WHERE backend_type = 'client backend'`
    )
    .then((rows) => rows.map((row) => JSON.stringify(row)).join("\n"), String)
