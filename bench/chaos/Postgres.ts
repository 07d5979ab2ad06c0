/** The one PostgreSQL of a run: started by this script, stopped and started again while servers use it. */
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
import { isAlive, readPidFile } from "../../src/layers/embedded/Postmaster.ts"
import type { Target } from "./Proxy.ts"
import { sleep } from "./Random.ts"

export type Row = Readonly<Record<string, unknown>>

/** What is lost with the power is not in question here: without the flushes a run makes several times as many calls. */
const settings = { max_connections: "120", fsync: "off" }

/** From here on the database's clock is the machine's and an offset: to the servers, as if it were set. */
const steppedClock = `DO $$ BEGIN
  SET LOCAL allow_system_table_mods = on;
  CREATE TABLE public.clock_offset AS SELECT interval '0' AS "offset";
  GRANT SELECT ON public.clock_offset TO PUBLIC;
  ALTER FUNCTION pg_catalog.clock_timestamp() RENAME TO machine_clock_timestamp;
  CREATE FUNCTION pg_catalog.clock_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE
    RETURN (SELECT pg_catalog.machine_clock_timestamp() + "offset" FROM public.clock_offset);
END $$`

export class Postgres {
  private readonly folder: string
  private scope = Scope.makeUnsafe()
  private running: EmbeddedPostgres.EmbeddedPostgres | undefined

  private constructor(folder: string) {
    this.folder = folder
  }

  static async open(): Promise<Postgres> {
    const folder = await fs.mkdtemp(path.join(os.tmpdir(), "orc-chaos-"))
    await fs.chmod(folder, 0o755) // as root, PostgreSQL runs as another user
    const postgres = new Postgres(folder)
    await postgres.start()
    await postgres.query(steppedClock)
    return postgres
  }

  private get dataDir(): string {
    return path.join(this.folder, "data")
  }

  private async start(): Promise<void> {
    this.scope = Scope.makeUnsafe()
    this.running = await Effect.runPromise(
      Scope.provide(EmbeddedPostgres.start({ dataDir: this.dataDir, settings }), this.scope)
    )
  }

  /** Where it listens now; a start may choose another port. */
  get target(): Target {
    const { port, socketDir } = this.running as EmbeddedPostgres.EmbeddedPostgres
    return socketDir === undefined ? { port } : { path: path.join(socketDir, `.s.PGSQL.${port}`) }
  }

  /** Its URL through a proxy. */
  url(port: number): string {
    const url = new URL(
      Redacted.value((this.running as EmbeddedPostgres.EmbeddedPostgres).url).replace(":///", "://x/")
    )
    const role = url.username === "" ? "orchestrator" : `${url.username}:${url.password}`
    return `postgresql://${role}@127.0.0.1:${port}/orchestrator?sslmode=disable`
  }

  /** `fast` cuts the sessions and writes everything down, `immediate` is a crash. */
  async restart(mode: "fast" | "immediate"): Promise<void> {
    const pid = this.kill(mode)
    while (pid !== undefined && isAlive(pid)) await sleep(20)
    await Effect.runPromise(Scope.close(this.scope, Exit.void))
    await this.start()
  }

  /** Begins its end. */
  kill(mode: "fast" | "immediate" = "immediate"): number | undefined {
    const pid = readPidFile(layout(this.dataDir).cluster)?.pid
    if (pid !== undefined) process.kill(pid, mode === "fast" ? "SIGINT" : "SIGQUIT")
    return pid
  }

  /** Its clock jumps to so many seconds before or after the machine's. */
  async stepClock(seconds: number): Promise<void> {
    await this.query(`UPDATE public.clock_offset SET "offset" = make_interval(secs => $1::float8)`, [seconds])
  }

  /** Statements as the superuser, past all proxies. */
  query(sql: string, params: ReadonlyArray<unknown> = []): Promise<ReadonlyArray<Row>> {
    const { adminUrl } = this.running as EmbeddedPostgres.EmbeddedPostgres
    return PgConnection.make({ url: adminUrl, startupParameters: { search_path: "orchestrator" } }).pipe(
      Effect.flatMap((connection) => connection.query(sql, params)),
      Effect.map(({ rows }) => rows),
      Effect.scoped,
      Effect.runPromise
    )
  }

  async close(): Promise<void> {
    await Effect.runPromise(Scope.close(this.scope, Exit.void))
    await fs.rm(this.folder, { recursive: true, force: true })
  }
}
