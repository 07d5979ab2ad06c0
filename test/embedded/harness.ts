/** What the tests of the embedded PostgreSQL share: folders, questions to a server, orchestrators that can be killed. */
import { type ChildProcess, spawn } from "node:child_process"
import * as fs from "node:fs/promises"
import * as os from "node:os"
import * as path from "node:path"
import { createInterface } from "node:readline"
import * as PgConnection from "@effect/sql-pg/PgConnection"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Schedule from "effect/Schedule"
import { afterAll, beforeAll } from "vitest"
import * as EmbeddedPostgres from "../../src/layers/EmbeddedPostgres.ts"
import { layout } from "../../src/layers/embedded/DataDir.ts"
import { isAlive, readPidFile } from "../../src/layers/embedded/Postmaster.ts"

export const asRoot = process.getuid?.() === 0

/** Nothing here has to survive a power failure. */
export const settings = { fsync: "off" }

/** Answers true, or dies after some 10 s. */
export const until = (condition: () => boolean | Promise<boolean>): Effect.Effect<void> =>
  Effect.promise(async () => condition()).pipe(
    Effect.repeat({ until: (over: boolean) => over, schedule: Schedule.spaced("10 millis"), times: 1000 }),
    Effect.flatMap((over) => (over ? Effect.void : Effect.die(new Error("what the test waits for does not happen"))))
  )

export const exists = (file: string): Promise<boolean> =>
  fs.access(file).then(
    () => true,
    () => false
  )

export const serverPid = (dataDir: string): number => readPidFile(layout(dataDir).cluster)?.pid ?? 0

const killServer = (dataDir: string): void => {
  const pid = serverPid(dataDir)
  if (pid !== 0 && isAlive(pid)) process.kill(pid, "SIGQUIT")
}

/** Anyone may enter it. */
const makeFolder = async (): Promise<string> => {
  const made = await fs.realpath(await fs.mkdtemp(path.join(os.tmpdir(), "orc-embedded-")))
  await fs.chmod(made, 0o755)
  return made
}

/** Also a server that a failed test left is killed. */
const removeFolder = async (made: string): Promise<void> => {
  killServer(path.join(made, "data"))
  await fs.rm(made, { recursive: true, force: true, maxRetries: 5 })
}

/** A folder, and the name of a data folder in it. */
export const folder = Effect.map(
  Effect.acquireRelease(Effect.promise(makeFolder), (made) => Effect.promise(() => removeFolder(made))),
  (made) => ({ folder: made, dataDir: path.join(made, "data") })
)

/** A data folder with a cluster, made once for the tests of a file, because that takes a second. Each leaves it whole. */
export const sharedFolder = () => {
  let made = ""
  beforeAll(async () => {
    made = await makeFolder()
    await fs.mkdir(path.join(made, "data"), { mode: 0o700 })
    await Effect.runPromise(startOnce(path.join(made, "data")))
  })
  afterAll(() => removeFolder(made))
  return Effect.acquireRelease(
    Effect.sync(() => ({ dataDir: path.join(made, "data") })),
    ({ dataDir }) => Effect.sync(() => killServer(dataDir))
  )
}

export const start = (dataDir: string, more: EmbeddedPostgres.Options = {}) =>
  EmbeddedPostgres.start({ dataDir, settings, ...more })

/** Starts, asks and stops. */
export const startOnce = (dataDir: string, more: EmbeddedPostgres.Options = {}) => Effect.scoped(start(dataDir, more))

export const messageOf = (dataDir: string, more: EmbeddedPostgres.Options = {}): Effect.Effect<string> =>
  startOnce(dataDir, more).pipe(
    Effect.flip,
    Effect.map(({ message }) => message),
    Effect.orDie
  )

export const ask = (url: Redacted.Redacted, sql: string) =>
  PgConnection.make({ url }).pipe(
    Effect.flatMap((connection) => connection.query(sql)),
    Effect.map(({ rows }) => rows),
    Effect.scoped
  )

export interface Holder {
  readonly child: ChildProcess
  readonly url: Redacted.Redacted
  readonly dataDir: string
  readonly reused: boolean
}

export interface HolderOptions {
  readonly uid?: number
  readonly env?: Readonly<Record<string, string>>
}

const ended = (child: ChildProcess): Effect.Effect<void> =>
  Effect.callback((resume) => {
    if (child.exitCode !== null || child.signalCode !== null) return resume(Effect.void)
    child.once("exit", () => resume(Effect.void))
  })

/** In a process group of its own, as a shell would start it. */
export const spawnHolder = (options: EmbeddedPostgres.Options, { uid, env }: HolderOptions = {}) =>
  Effect.acquireRelease(
    Effect.sync(() =>
      spawn(process.execPath, [path.join(import.meta.dirname, "holder.ts"), JSON.stringify(options)], {
        stdio: ["pipe", "pipe", "pipe"],
        detached: true,
        env: { ...process.env, ...env },
        ...(uid === undefined ? {} : { uid, gid: uid })
      })
    ),
    (child) =>
      Effect.andThen(
        Effect.sync(() => child.kill("SIGKILL")),
        ended(child)
      )
  )

/** An orchestrator in another process; fails with what it wrote to standard error. */
export const hold = Effect.fnUntraced(function* (options: EmbeddedPostgres.Options, more: HolderOptions = {}) {
  const child = yield* spawnHolder(options, more)
  return yield* Effect.callback<Holder, Error>((resume) => {
    let errors = ""
    child.stderr?.on("data", (chunk) => {
      errors += chunk
    })
    createInterface({ input: child.stdout as NodeJS.ReadableStream }).once("line", (line) => {
      const told = JSON.parse(line)
      resume(Effect.succeed({ child, ...told, url: Redacted.make(told.url) }))
    })
    child.once("close", () => resume(Effect.fail(new Error(errors))))
  })
})

export const kill = (child: ChildProcess, signal: NodeJS.Signals = "SIGKILL"): Effect.Effect<void> =>
  Effect.andThen(
    Effect.sync(() => child.kill(signal)),
    ended(child)
  )

/** As Ctrl-C in a terminal: the whole group gets it. */
export const interruptGroup = (child: ChildProcess): Effect.Effect<void> =>
  Effect.andThen(
    Effect.sync(() => process.kill(-(child.pid as number), "SIGINT")),
    ended(child)
  )

export const dismiss = (child: ChildProcess): Effect.Effect<void> =>
  Effect.andThen(
    Effect.sync(() => child.stdin?.end()),
    ended(child)
  )
