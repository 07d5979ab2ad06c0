/**
 * Runs a PostgreSQL server of its own in a data folder, for those who give no database: real PostgreSQL from npm
 * binaries, reachable by this user only. It lives as long as the scope. When an orchestrator was killed, its server
 * runs on, and the next start takes it over.
 * The parts are in `embedded/`: the data folder, its lock, the user, the binaries, the cluster, the running server.
 */

import { existsSync, realpathSync } from "node:fs"
import * as path from "node:path"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Redacted from "effect/Redacted"
import * as Schedule from "effect/Schedule"
import * as Scope from "effect/Scope"
import * as Binaries from "./embedded/Binaries.ts"
import * as Cluster from "./embedded/Cluster.ts"
import { defaultDataDir, layout, prepare, refuseForeign } from "./embedded/DataDir.ts"
import { type EmbeddedPostgresError, failure } from "./embedded/Failure.ts"
import * as Lock from "./embedded/Lock.ts"
import * as Postmaster from "./embedded/Postmaster.ts"
import * as ServerUser from "./embedded/ServerUser.ts"
import * as Settings from "./embedded/Settings.ts"

export { defaultDataDir } from "./embedded/DataDir.ts"
export { EmbeddedPostgresError } from "./embedded/Failure.ts"

export interface Options {
  /** Default: `defaultDataDir()`. */
  readonly dataDir?: string | undefined
  /** PostgreSQL settings that go before the defaults. `fsync: "off"` also hurries the making of the cluster. */
  readonly settings?: Readonly<Record<string, string>>
  /** How long to wait until the server takes connections, recovery after a crash included. Default: 2 minutes. */
  readonly startTimeout?: Duration.Input
  /** The folder with PostgreSQL's `bin`, `lib` and `share`. Default: that of the installed platform package. */
  readonly nativeDir?: string
}

export interface EmbeddedPostgres {
  /** Role and database `orchestrator`. Holds a password where the server listens on TCP. */
  readonly url: Redacted.Redacted
  /** The superuser `postgres`, same database: for backups, extensions, settings. */
  readonly adminUrl: Redacted.Redacted
  /** The folder of the unix socket; undefined: TCP on 127.0.0.1. */
  readonly socketDir: string | undefined
  readonly port: number
  readonly dataDir: string
  /** The server was running already, left by an orchestrator that was killed. */
  readonly reused: boolean
}

const startTimeout: Duration.Input = "2 minutes"

/**
 * What passes by itself: a port that somebody took between its choice and its use, and sessions that outlive a killed
 * server for a moment.
 */
const passing = {
  schedule: Schedule.spaced("200 millis"),
  times: 50,
  while: ({ message }: EmbeddedPostgresError) => /could not bind|pre-existing shared memory block/.test(message)
}

const urlOf = Effect.fnUntraced(function* (cluster: string, { socketDir, port }: Settings.Address, role: Cluster.Role) {
  if (socketDir !== undefined) {
    return Redacted.make(
      `postgresql:///orchestrator?host=${encodeURIComponent(socketDir)}&port=${port}&user=${role}&sslmode=disable`
    )
  }
  const password = yield* Cluster.passwordOf(cluster, role)
  return Redacted.make(`postgresql://${role}:${password}@127.0.0.1:${port}/orchestrator?sslmode=disable`)
})

/**
 * Takes over the server that a killed orchestrator left, if it runs as this start would run it; stops it otherwise
 * (other settings, or binaries that were replaced).
 */
const takeOver = Effect.fnUntraced(function* (server: Postmaster.Server, options: Options) {
  const left = yield* Postmaster.find(server)
  if (left === undefined) return undefined
  const { cluster } = server.paths
  const socketDir = Settings.canUseSocket(cluster) ? cluster : undefined
  const address: Settings.Address = { socketDir, port: left.port }
  const same = (yield* Settings.read(cluster)) === Settings.render(address, server.binaries, options.settings ?? {})
  if (!same) {
    yield* Postmaster.stop(server, left.pid)
    return undefined
  }
  yield* Effect.acquireRelease(Effect.void, () => Postmaster.stop(server, left.pid))
  const outcome = yield* Postmaster.untilReady(server, left.pid, options.startTimeout ?? startTimeout)
  if (outcome === "ready") return address
  yield* Postmaster.stop(server, left.pid)
  return undefined
})

const launch = Effect.fnUntraced(function* (server: Postmaster.Server, options: Options) {
  const { paths, binaries, user } = server
  const address = yield* Settings.chooseAddress(paths.cluster)
  yield* Settings.write(paths.cluster, Settings.render(address, binaries, options.settings ?? {}), user)
  yield* Binaries.tidy(paths.dataDir, binaries)
  yield* Postmaster.launch(server, options.startTimeout ?? startTimeout)
  return address
})

const open = Effect.fnUntraced(function* (
  options: Options
): Effect.fn.Return<EmbeddedPostgres, EmbeddedPostgresError, Scope.Scope> {
  const asked = path.resolve(options.dataDir ?? defaultDataDir())
  yield* refuseForeign(asked)
  const user = yield* ServerUser.choose(asked)
  const dataDir = yield* prepare(asked, user)
  const paths = layout(dataDir)
  yield* Lock.acquire(paths, user)
  const binaries = yield* Binaries.provide(dataDir, user, options.nativeDir)
  yield* Cluster.ensure(paths, binaries, user, options.settings?.fsync !== "off")

  const server: Postmaster.Server = { paths, binaries, user }
  const taken = yield* takeOver(server, options)
  const address = taken ?? (yield* launch(server, options).pipe(Effect.retry(passing)))
  return {
    url: yield* urlOf(paths.cluster, address, "orchestrator"),
    adminUrl: yield* urlOf(paths.cluster, address, "postgres"),
    ...address,
    dataDir,
    reused: taken !== undefined
  }
})

/** Whether there is data in the folder. */
export const exists = (dataDir = defaultDataDir()): boolean => existsSync(layout(path.resolve(dataDir)).cluster)

/** Fails where there is no data: who only looks makes none. */
export const mustExist = (dataDir = defaultDataDir()): Effect.Effect<void, EmbeddedPostgresError> =>
  Effect.suspend(() =>
    exists(dataDir) ? Effect.void : Effect.fail(failure(`there is no data in ${path.resolve(dataDir)}`))
  )

/** The URL of the database in a data folder whose server runs, for whoever looks at it beside its orchestrator. */
export const running = (
  dataDir = defaultDataDir()
): Effect.Effect<Redacted.Redacted | undefined, EmbeddedPostgresError> =>
  Effect.suspend(() => {
    const asked = path.resolve(dataDir)
    // As its server has it: whether a socket's path is short enough is asked of the real one.
    const { cluster } = layout(existsSync(asked) ? realpathSync(asked) : asked)
    const found = Postmaster.readPidFile(cluster)
    if (found?.status !== "ready" || !Postmaster.isAlive(found.pid)) return Effect.undefined
    const socketDir = Settings.canUseSocket(cluster) ? cluster : undefined
    return urlOf(cluster, { socketDir, port: found.port }, "orchestrator")
  })

/** Starts the server, and stops it when the scope closes. A start that fails leaves no process and no lock. */
export const start = Effect.fnUntraced(function* (
  options: Options = {}
): Effect.fn.Return<EmbeddedPostgres, EmbeddedPostgresError, Scope.Scope> {
  const scope = yield* Scope.fork(yield* Effect.scope)
  return yield* open(options).pipe(
    Scope.provide(scope),
    Effect.onError((cause) => Scope.close(scope, Exit.failCause(cause)))
  )
})
