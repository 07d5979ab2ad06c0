/**
 * The running server, told from its `postmaster.pid`: find, launch, wait for, stop.
 * It runs in a session of its own: Ctrl-C reaches the whole group of the orchestrator, which must drain first.
 * Windows has no signals and refuses administrators: there all of it goes through pg_ctl.
 */

import { execFileSync, spawn } from "node:child_process"
import * as fs from "node:fs"
import * as path from "node:path"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import type { Binaries } from "./Binaries.ts"
import { environment, lastLines, run, type ServerUser } from "./Command.ts"
import type { Layout } from "./DataDir.ts"
import { attempt, type EmbeddedPostgresError, failure } from "./Failure.ts"

const windows = process.platform === "win32"

export interface Server {
  readonly paths: Layout
  readonly binaries: Binaries
  readonly user: ServerUser | undefined
}

interface PidFile {
  readonly pid: number
  readonly port: number
  /** "starting", "ready", "stopping", or empty while the file is being written. */
  readonly status: string
}

const pidFileOf = (cluster: string): string => path.join(cluster, "postmaster.pid")

export const readPidFile = (cluster: string): PidFile | undefined => {
  let text: string
  try {
    text = fs.readFileSync(pidFileOf(cluster), "utf8")
  } catch {
    return undefined
  }
  const lines = text.split("\n")
  const pid = Math.abs(Number(lines[0])) // negative: the single-user mode
  return Number.isInteger(pid) && pid > 0 ? { pid, port: Number(lines[3]), status: lines[7]?.trim() ?? "" } : undefined
}

/**
 * Undefined: cannot be told. Empty: the process has ended, and nobody has fetched its exit code yet; or it has become
 * another program a moment ago, whose arguments are not there yet.
 */
const commandLine = (pid: number): ReadonlyArray<string> | undefined => {
  try {
    if (process.platform === "linux") return fs.readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0").slice(0, -1)
    return [execFileSync("ps", ["-o", "command=", "-p", String(pid)], { encoding: "utf8" }).trim()]
  } catch {
    return undefined
  }
}

const isThere = (pid: number): boolean => {
  try {
    process.kill(pid, 0)
    return true
  } catch (cause) {
    return (cause as NodeJS.ErrnoException).code === "EPERM"
  }
}

/** False for one that has ended and whose exit code nobody has fetched: some containers have no init that would. */
export const isAlive = (pid: number): boolean =>
  isThere(pid) && (process.platform !== "linux" || commandLine(pid)?.length !== 0)

/** Of a whole line, which `ps` gives, the arguments count too: better one stranger too many taken for PostgreSQL. */
const isPostgres = ([program = "", ...args]: ReadonlyArray<string>): boolean =>
  args.length === 0 ? program.includes("postgres") : path.basename(program).startsWith("postgres")

/** Whether this process serves the cluster, as far as it can be told. */
const serves = (pid: number, cluster: string): boolean => {
  const command = commandLine(pid)
  return command === undefined || `${command.join(" ")} `.includes(` -D ${cluster} `)
}

/**
 * The process that serves this cluster. A `postmaster.pid` with the id of a process that is no PostgreSQL at all, or
 * has ended, is removed, since PostgreSQL itself only asks whether there is one; other doubts are left to PostgreSQL.
 */
export const find = Effect.fnUntraced(function* ({
  paths: { cluster },
  binaries
}: Server): Effect.fn.Return<PidFile | undefined, EmbeddedPostgresError> {
  const file = readPidFile(cluster)
  if (file === undefined) return undefined
  if (windows) return (yield* run(binaries.pgCtl, ["status", "-D", cluster])).ok ? file : undefined
  if (!isThere(file.pid)) return undefined
  if (isAlive(file.pid) && serves(file.pid, cluster)) return file
  if (!isPostgres(commandLine(file.pid) ?? [])) {
    yield* attempt(`remove the lock files of a process that is gone from ${cluster}`, async () => {
      fs.rmSync(pidFileOf(cluster), { force: true })
      fs.rmSync(path.join(cluster, `.s.PGSQL.${file.port}.lock`), { force: true })
    })
  }
  return undefined
})

const pollInterval = Duration.millis(10)

/** False: the time is up. */
const poll = (over: () => boolean, limit: Duration.Input): Effect.Effect<boolean> =>
  Effect.sync(over).pipe(
    Effect.repeat({ until: (answer: boolean) => answer, schedule: Schedule.spaced(pollInterval) }),
    Effect.timeoutOption(limit),
    Effect.map(Option.isSome)
  )

export type Outcome = "ready" | "ended" | "late"

export const untilReady = (
  { paths: { cluster } }: Server,
  pid: number,
  limit: Duration.Input
): Effect.Effect<Outcome> => {
  const look = (): Outcome => {
    const file = readPidFile(cluster)
    if (file?.pid === pid && file.status === "ready") return "ready"
    return isAlive(pid) && !(file?.pid === pid && file.status === "stopping") ? "late" : "ended"
  }
  return Effect.map(
    poll(() => look() !== "late", limit),
    look
  )
}

const signal = (pid: number, name: NodeJS.Signals): void => {
  try {
    process.kill(pid, name)
  } catch {
    // it has ended
  }
}

/** Fast shutdown: sessions are cut, everything is on disk. After 10 s without clean-up: the next start recovers. */
export const stop = Effect.fnUntraced(function* ({ paths: { cluster, log }, binaries, user }: Server, pid: number) {
  const ended = () => !isAlive(pid)
  if (ended() || !serves(pid, cluster)) return // the id may be another program's by now
  if (windows) {
    for (const mode of ["fast", "immediate"]) {
      if ((yield* run(binaries.pgCtl, ["stop", "-D", cluster, "-m", mode, "-t", "10"], { user })).ok) return
    }
  } else {
    for (const [name, limit] of [
      ["SIGINT", "10 seconds"],
      ["SIGQUIT", "5 seconds"]
    ] as const) {
      signal(pid, name)
      if (yield* poll(ended, limit)) return
    }
  }
  if (!ended()) yield* Effect.logWarning(`The embedded PostgreSQL (process ${pid}) does not stop; its log: ${log}`)
})

const largestLog = 10 * 1024 * 1024

/** Opened without following a link: as root this folder may be another user's. */
const openLog = ({ log }: Layout, user: ServerUser | undefined): number => {
  if ((fs.statSync(log, { throwIfNoEntry: false })?.size ?? 0) > largestLog) fs.renameSync(log, `${log}.1`)
  const { O_APPEND, O_CREAT, O_NOFOLLOW, O_WRONLY } = fs.constants
  const file = fs.openSync(log, O_APPEND | O_CREAT | O_WRONLY | (O_NOFOLLOW ?? 0), 0o600)
  if (user !== undefined) fs.fchownSync(file, user.uid, user.gid)
  return file
}

const spawnServer = ({ paths, binaries, user }: Server): Promise<number> =>
  new Promise((resolve, reject) => {
    const log = openLog(paths, user)
    try {
      const child = spawn(binaries.postgres, ["-D", paths.cluster], {
        ...{ detached: true, stdio: ["ignore", log, log], cwd: paths.cluster, env: environment(), ...user }
      })
      child.once("error", reject)
      child.once("spawn", () => resolve(child.pid as number))
      child.unref()
    } finally {
      fs.closeSync(log)
    }
  })

const startByPgCtl = Effect.fnUntraced(function* (
  { paths: { cluster, log }, binaries }: Server,
  limit: Duration.Input
): Effect.fn.Return<number, EmbeddedPostgresError> {
  const seconds = String(Math.ceil(Duration.toSeconds(Duration.fromInputUnsafe(limit))))
  const started = yield* run(binaries.pgCtl, ["start", "-w", "-t", seconds, "-D", cluster, "-l", log])
  const pid = readPidFile(cluster)?.pid
  if (started.ok && pid !== undefined) return pid
  return yield* failure(`the server in ${cluster} did not start: ${lastLines(started.report)}`)
})

const logSize = ({ log }: Layout): number => fs.statSync(log, { throwIfNoEntry: false })?.size ?? 0

/** What the server wrote since this start. */
const logSince = ({ log }: Layout, offset: number): string => {
  try {
    const bytes = fs.readFileSync(log)
    return bytes.subarray(bytes.length < offset ? 0 : offset).toString("utf8")
  } catch {
    return ""
  }
}

/** Launches the server and waits until it takes connections; it is stopped when the scope closes. */
export const launch = Effect.fnUntraced(function* (server: Server, limit: Duration.Input) {
  const { paths } = server
  const offset = logSize(paths)
  const spawned = attempt(`start PostgreSQL in ${paths.cluster}`, () => spawnServer(server)).pipe(
    // Its parent hears that it is PostgreSQL before its arguments can be read; by them it is known from here on.
    Effect.tap((pid) => poll(() => commandLine(pid)?.length !== 0, limit))
  )
  const pid = yield* Effect.acquireRelease(windows ? startByPgCtl(server, limit) : spawned, (pid) => stop(server, pid))
  const outcome = yield* untilReady(server, pid, limit)
  if (outcome === "ready") return
  const why = outcome === "ended" ? "ended while starting" : "did not become ready in time"
  const tail = lastLines(logSince(paths, offset))
  return yield* failure(`the server in ${paths.cluster} ${why}; the end of its log ${paths.log}:\n${tail}\n`)
})
