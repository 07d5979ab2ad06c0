/**
 * The cluster on disk: making it, whole or not at all, and telling whether these binaries can run it.
 * Text sorts and compares by code point on every machine (PostgreSQL's own C.UTF-8). Roles: `postgres`, the superuser,
 * and `orchestrator`, which is none and owns the database `orchestrator`. Over the socket, which only the owner of the
 * folder can reach, no password is asked; over TCP it is, and lies in the folder.
 */

import { randomBytes } from "node:crypto"
import * as fs from "node:fs/promises"
import * as path from "node:path"
import * as Effect from "effect/Effect"
import type { Binaries } from "./Binaries.ts"
import { lastLines, run, type ServerUser } from "./Command.ts"
import { type Layout, unfinishedPrefix } from "./DataDir.ts"
import { attempt, type EmbeddedPostgresError, failure } from "./Failure.ts"
import { settingsFile } from "./Settings.ts"

export const roles = ["postgres", "orchestrator"] as const
export type Role = (typeof roles)[number]

const passwordFile = (cluster: string, role: Role): string => path.join(cluster, `${role}.password`)

export const passwordOf = (cluster: string, role: Role): Effect.Effect<string, EmbeddedPostgresError> =>
  attempt(`read the password of ${role} in ${cluster}`, () => fs.readFile(passwordFile(cluster, role), "utf8"))

/** In single-user mode a statement ends with an empty line. */
const bootstrap = (passwords: Record<Role, string>): string =>
  [
    `ALTER ROLE postgres PASSWORD '${passwords.postgres}'`,
    `CREATE ROLE orchestrator LOGIN PASSWORD '${passwords.orchestrator}'`,
    "CREATE DATABASE orchestrator OWNER orchestrator"
  ]
    .map((statement) => `${statement};\n\n`)
    .join("")

const initdbFlags = [
  ...["--username=postgres", "--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"],
  ...["--text-search-config=simple", "--data-checksums", "--auth-local=trust", "--auth-host=scram-sha-256"],
  "--no-instructions"
]

const fill = Effect.fnUntraced(function* (
  folder: string,
  binaries: Binaries,
  user: ServerUser | undefined,
  sync: boolean
): Effect.fn.Return<void, EmbeddedPostgresError> {
  const as = { user, cwd: path.dirname(folder) }
  const flags = sync ? initdbFlags : [...initdbFlags, "--no-sync"]
  const made = yield* run(binaries.initdb, ["-D", folder, ...flags], as)
  if (!made.ok) return yield* failure(`initdb failed in ${folder}: ${lastLines(made.report)}`)

  const passwords = { postgres: randomBytes(24).toString("hex"), orchestrator: randomBytes(24).toString("hex") }
  yield* attempt(`write the passwords and settings in ${folder}`, async () => {
    for (const role of roles) {
      const file = passwordFile(folder, role)
      await fs.writeFile(file, passwords[role], { flag: "wx", mode: 0o600 })
      if (user !== undefined) await fs.lchown(file, user.uid, user.gid)
    }
    await fs.appendFile(path.join(folder, "postgresql.conf"), `\ninclude_if_exists = '${settingsFile}'\n`)
  })
  const single = ["--single", "-j", "-D", folder, "-c", "exit_on_error=on", "-c", "log_min_error_statement=panic"]
  const prepared = yield* run(binaries.postgres, [...single, "-c", sync ? "fsync=on" : "fsync=off", "postgres"], {
    ...as,
    input: bootstrap(passwords)
  })
  if (!prepared.ok) return yield* failure(`cannot create the roles in ${folder}: ${lastLines(prepared.report)}`)
})

/** A rename survives a power failure once the folder that holds the name is on disk. Windows has no such call. */
const syncFolder = async (folder: string): Promise<void> => {
  if (process.platform === "win32") return
  const handle = await fs.open(folder, "r")
  await handle.sync().finally(() => handle.close())
}

/** What initdb started may still write for a moment, when initdb or its orchestrator was killed: then it is tried again. */
const removal = { recursive: true, force: true, maxRetries: 10 }

/**
 * Made in a folder with a new name, and renamed when whole. A new name each time: an initdb that outlived the process
 * that started it cleans up by name when it fails, and must not find the next one's work under its own.
 */
const create = Effect.fnUntraced(function* (
  { dataDir, cluster }: Layout,
  binaries: Binaries,
  user: ServerUser | undefined,
  sync: boolean
): Effect.fn.Return<void, EmbeddedPostgresError> {
  const unfinished = path.join(dataDir, `${unfinishedPrefix}${randomBytes(6).toString("hex")}`)
  const begin = attempt(`create ${unfinished}`, async () => {
    for (const name of await fs.readdir(dataDir)) {
      if (name.startsWith(unfinishedPrefix)) await fs.rm(path.join(dataDir, name), removal)
    }
    await fs.mkdir(unfinished, { mode: 0o700 })
    if (user !== undefined) await fs.lchown(unfinished, user.uid, user.gid)
  })
  const complete = attempt(`rename ${unfinished} to ${cluster}`, async () => {
    await fs.rename(unfinished, cluster)
    if (sync) await syncFolder(dataDir)
  })
  const remove = Effect.promise(() => fs.rm(unfinished, removal).catch(() => {}))
  // From when the folder is there until it has the cluster's name, whatever ends this removes it.
  yield* Effect.uninterruptibleMask((restore) =>
    begin.pipe(
      Effect.andThen(restore(fill(unfinished, binaries, user, sync))),
      Effect.andThen(complete),
      Effect.onError(() => remove)
    )
  )
})

/** Makes the cluster where there is none, and refuses one that these binaries cannot run. */
export const ensure = Effect.fnUntraced(function* (
  paths: Layout,
  binaries: Binaries,
  user: ServerUser | undefined,
  sync: boolean
): Effect.fn.Return<void, EmbeddedPostgresError> {
  const { cluster } = paths
  const found = yield* attempt(`look for ${cluster}`, () =>
    fs.stat(cluster).catch((cause: NodeJS.ErrnoException) => {
      if (cause.code === "ENOENT") return undefined
      throw cause
    })
  )
  if (found === undefined) return yield* create(paths, binaries, user, sync)
  const version = (yield* attempt(`read ${cluster}/PG_VERSION`, () =>
    fs.readFile(path.join(cluster, "PG_VERSION"), "utf8")
  )).trim()
  if (version === binaries.major) return
  return yield* failure(
    `${cluster} was made by PostgreSQL ${version}, and this installation brings PostgreSQL ${binaries.major}`,
    { wayOut: `Use an installation that brings PostgreSQL ${version}, or move the data over by dump and restore` }
  )
})
