/**
 * Which user of the machine the server runs as. PostgreSQL refuses root.
 */

import * as fs from "node:fs/promises"
import * as Effect from "effect/Effect"
import type { ServerUser } from "./Command.ts"
import { run } from "./Command.ts"
import { layout } from "./DataDir.ts"
import { type EmbeddedPostgresError, failure } from "./Failure.ts"

const systemUser = Effect.fnUntraced(function* (name: string): Effect.fn.Return<ServerUser | undefined> {
  const [uid, gid] = yield* Effect.all([run("id", ["-u", name]), run("id", ["-g", name])])
  return uid.ok && gid.ok ? { uid: Number(uid.stdout), gid: Number(gid.stdout) } : undefined
})

const owner = (folder: string): Effect.Effect<ServerUser | undefined> =>
  Effect.promise(() =>
    fs.stat(folder).then(
      (found) => ({ uid: found.uid, gid: found.gid }),
      () => undefined
    )
  )

const notRoot = (user: ServerUser | undefined): user is ServerUser => user !== undefined && user.uid !== 0

const forRoot = Effect.fnUntraced(function* (dataDir: string): Effect.fn.Return<ServerUser, EmbeddedPostgresError> {
  for (const folder of [layout(dataDir).cluster, dataDir]) {
    const found = yield* owner(folder)
    if (notRoot(found)) return found
  }
  for (const name of ["postgres", "_postgres"]) {
    const found = yield* systemUser(name)
    if (notRoot(found)) return found
  }
  const created = yield* run("useradd", [
    ...["--system", "--user-group", "--no-create-home"],
    ...["--home-dir", "/nonexistent", "--shell", "/bin/false", "postgres"]
  ])
  const user = yield* systemUser("postgres")
  if (notRoot(user)) return user
  return yield* failure(
    `PostgreSQL refuses to run as root, and the user postgres could not be created for it: ${created.report}`,
    { wayOut: "Create a system user named postgres, or start the orchestrator as an ordinary user" }
  )
})

/**
 * Undefined: the user of this process. As root: the owner of the data, so that data made by another user, or on a
 * volume of another user, goes on working; else `postgres` (`_postgres` on macOS), who is created where missing.
 */
export const choose = Effect.fnUntraced(function* (
  dataDir: string
): Effect.fn.Return<ServerUser | undefined, EmbeddedPostgresError> {
  const self = process.getuid?.()
  if (self === undefined) return undefined // Windows
  const user = self === 0 ? yield* forRoot(dataDir) : undefined
  const { cluster } = layout(dataDir)
  const found = yield* owner(cluster)
  const uid = user?.uid ?? self
  if (found === undefined || found.uid === uid) return user
  return yield* failure(`${cluster} belongs to user ${found.uid}, and the server would run as user ${uid}`, {
    wayOut:
      found.uid === 0
        ? `Give it to that user with chown -R ${uid} ${cluster}`
        : `Start the orchestrator as user ${found.uid}`
  })
})
