/**
 * The data folder: where it is by default, what lies in it, and whether it may be used.
 * The cluster lies in a folder inside, so that a mounted volume works: it cannot be renamed, may hold `lost+found`,
 * and has modes that PostgreSQL would refuse.
 */

import * as fs from "node:fs/promises"
import * as os from "node:os"
import * as path from "node:path"
import * as Effect from "effect/Effect"
import type { ServerUser } from "./Command.ts"
import { run } from "./Command.ts"
import { attempt, type EmbeddedPostgresError, failure } from "./Failure.ts"

export interface Layout {
  readonly dataDir: string
  /** PostgreSQL's own data directory, mode 0700; its socket lies in it too, so only its owner can connect. */
  readonly cluster: string
  readonly lock: string
  /** Process id of the orchestrator that holds the lock, for the message of the one that finds it held. */
  readonly holder: string
  readonly log: string
}

export const unfinishedPrefix = "pgdata.new-"
export const binariesPrefix = "binaries-"

export const layout = (dataDir: string): Layout => ({
  dataDir,
  cluster: path.join(dataDir, "pgdata"),
  lock: path.join(dataDir, "lock"),
  holder: path.join(dataDir, "orchestrator.pid"),
  log: path.join(dataDir, "postgres.log")
})

export interface Host {
  readonly platform: NodeJS.Platform
  readonly env: Readonly<Record<string, string | undefined>>
  readonly home: string
  readonly root: boolean
}

/** The system knows no home of a user that it does not know, such as the user of a container. */
const homeFolder = (): string => {
  try {
    return os.homedir()
  } catch {
    return path.parse(process.cwd()).root
  }
}

export const thisHost = (): Host => ({
  platform: process.platform,
  env: process.env,
  home: homeFolder(),
  root: process.getuid?.() === 0
})

/** As root not below the home folder: the server runs as another user, who may not enter that. */
export const defaultDataDir = ({ platform, env, home, root }: Host = thisHost()): string => {
  const parts = ["substra-orchestrator", "postgres"]
  if (platform === "win32") {
    return path.win32.join(env.LOCALAPPDATA ?? path.win32.join(home, "AppData", "Local"), ...parts)
  }
  if (platform === "darwin") return path.posix.join(root ? "/" : home, "Library", "Application Support", ...parts)
  if (root) return path.posix.join("/var/lib", ...parts)
  const xdg = env.XDG_DATA_HOME
  const base = xdg !== undefined && path.posix.isAbsolute(xdg) ? xdg : path.posix.join(home, ".local", "share")
  return path.posix.join(base, ...parts)
}

const ours = (name: string): boolean =>
  ["lock", "orchestrator.pid", "lost+found", ".DS_Store"].includes(name) ||
  [unfinishedPrefix, binariesPrefix, "postgres.log"].some((prefix) => name.startsWith(prefix))

/** Refuses a folder that something else uses, before anything in it is touched. */
export const refuseForeign = Effect.fnUntraced(function* (
  dataDir: string
): Effect.fn.Return<void, EmbeddedPostgresError> {
  const names = yield* attempt(`read the data folder ${dataDir}`, () =>
    fs.readdir(dataDir).catch((cause: NodeJS.ErrnoException): Array<string> => {
      if (cause.code === "ENOENT") return []
      throw cause
    })
  )
  if (names.includes("PG_VERSION")) {
    return yield* failure(`the folder ${dataDir} is a data directory that was not made by the orchestrator`)
  }
  const foreign = names.filter((name) => !ours(name))
  if (foreign.length > 0 && !names.includes("pgdata")) {
    const some = foreign.slice(0, 3).join(", ")
    return yield* failure(`the folder ${dataDir} holds something else (${some}) and no data of the orchestrator`)
  }
})

/** Creates what is missing. Folders above are open for passing through as root, private otherwise. */
const createFolders = async (dataDir: string, user: ServerUser | undefined): Promise<void> => {
  const missing: Array<string> = []
  let folder = dataDir
  while (
    await fs.stat(folder).then(
      () => false,
      (cause: NodeJS.ErrnoException) => {
        if (cause.code === "ENOENT") return true
        throw cause
      }
    )
  ) {
    missing.unshift(folder)
    folder = path.dirname(folder)
  }
  for (const each of missing) {
    await fs.mkdir(each).catch((cause: NodeJS.ErrnoException) => {
      if (cause.code !== "EEXIST") throw cause
    })
    await fs.chmod(each, user !== undefined && each !== dataDir ? 0o755 : 0o700)
  }
}

/** Prints the first folder that cannot be entered. A real try, because modes alone do not tell: there are ACLs. */
const enterAll = 'for folder do cd "$folder" 2>/dev/null || { printf %s "$folder"; exit 1; }; done'

const ancestors = (folder: string): Array<string> => {
  const parent = path.dirname(folder)
  return parent === folder ? [folder] : [...ancestors(parent), folder]
}

/** Makes the folder usable by the server's user and answers its real path. */
export const prepare = Effect.fnUntraced(function* (
  dataDir: string,
  user: ServerUser | undefined
): Effect.fn.Return<string, EmbeddedPostgresError> {
  yield* attempt(`create the data folder ${dataDir}`, () => createFolders(dataDir, user))
  const real = yield* attempt(`find the data folder ${dataDir}`, () => fs.realpath(dataDir))
  if (user === undefined) {
    yield* attempt(`write to the data folder ${dataDir}`, () => fs.access(real, fs.constants.W_OK | fs.constants.X_OK))
    return real
  }
  yield* attempt(`give the data folder ${dataDir} to user ${user.uid}, who runs the server`, async () => {
    if ((await fs.stat(real)).uid === 0) await fs.lchown(real, user.uid, user.gid)
  })
  const entered = yield* run("/bin/sh", ["-c", enterAll, "sh", ...ancestors(real)], { user, cwd: "/" })
  if (entered.ok) return real
  const closed = entered.stdout === "" ? `(${entered.report})` : entered.stdout
  return yield* failure(
    `the data folder ${dataDir} is out of reach for user ${user.uid}, who runs the server because PostgreSQL ` +
      `refuses root: that user cannot enter ${closed}`,
    { wayOut: `Allow it with chmod o+x ${closed}, or use the default folder ${defaultDataDir()}` }
  )
})
