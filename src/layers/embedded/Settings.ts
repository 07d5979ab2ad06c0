/**
 * The server's settings: a file that is written before each start and included last by postgresql.conf.
 * `ALTER SYSTEM` of the superuser wins over it.
 */

import * as fs from "node:fs/promises"
import * as net from "node:net"
import * as path from "node:path"
import * as Effect from "effect/Effect"
import type { Binaries } from "./Binaries.ts"
import type { ServerUser } from "./Command.ts"
import { attempt, type EmbeddedPostgresError, failure } from "./Failure.ts"

export const settingsFile = "orchestrator.conf"

/** Without a socket folder: TCP on 127.0.0.1. */
export interface Address {
  readonly socketDir: string | undefined
  readonly port: number
}

const socketPort = 5432 // only part of the socket's name: nothing listens on TCP
const longestSocketPath = 100 // bytes; systems allow 103 to 107

export const canUseSocket = (cluster: string): boolean =>
  process.platform !== "win32" && Buffer.byteLength(path.join(cluster, `.s.PGSQL.${socketPort}`)) <= longestSocketPath

const freePort: Effect.Effect<number, EmbeddedPostgresError> = Effect.callback((resume) => {
  const server = net.createServer()
  server.once("error", (cause) => resume(failure("there is no free port on 127.0.0.1", { cause })))
  server.listen(0, "127.0.0.1", () => {
    const address = server.address()
    const port = typeof address === "object" && address !== null ? address.port : 0
    server.close(() => resume(Effect.succeed(port)))
  })
})

export const chooseAddress = (cluster: string): Effect.Effect<Address, EmbeddedPostgresError> =>
  canUseSocket(cluster)
    ? Effect.succeed({ socketDir: cluster, port: socketPort })
    : Effect.map(freePort, (port) => ({ socketDir: undefined, port }))

/** A value in a configuration file. */
const quote = (value: string): string => `'${value.replaceAll("\\", "\\\\").replaceAll("'", "''")}'`

/** An element of a list of folders, so that a comma in a name does not end it. */
const quoteFolder = (folder: string): string => `"${folder.replaceAll('"', '""')}"`

export const render = (address: Address, binaries: Binaries, more: Readonly<Record<string, string>>): string => {
  const settings: Record<string, string> = {
    listen_addresses: address.socketDir === undefined ? "127.0.0.1" : "",
    port: String(address.port),
    unix_socket_directories: address.socketDir === undefined ? "" : quoteFolder(address.socketDir),
    unix_socket_permissions: "0700",
    max_connections: "200",
    shared_buffers: "128MB",
    timezone: "UTC",
    log_timezone: "UTC",
    logging_collector: "off",
    ...more
  }
  return [
    "# Written by the orchestrator at each start; for settings of your own use ALTER SYSTEM.",
    `# PostgreSQL ${binaries.version}: ${binaries.postgres.replaceAll("\n", " ")}`,
    ...Object.entries(settings).map(([name, value]) => `${name} = ${quote(value)}`),
    ""
  ].join("\n")
}

export const read = (cluster: string): Effect.Effect<string, EmbeddedPostgresError> =>
  attempt(`read ${settingsFile} in ${cluster}`, () =>
    fs.readFile(path.join(cluster, settingsFile), "utf8").catch(() => "")
  )

export const write = (
  cluster: string,
  text: string,
  user: ServerUser | undefined
): Effect.Effect<void, EmbeddedPostgresError> =>
  attempt(`write ${settingsFile} in ${cluster}`, async () => {
    const unfinished = path.join(cluster, `${settingsFile}.new`)
    await fs.rm(unfinished, { force: true })
    await fs.writeFile(unfinished, text, { flag: "wx", mode: 0o600 })
    if (user !== undefined) await fs.lchown(unfinished, user.uid, user.gid)
    await fs.rename(unfinished, path.join(cluster, settingsFile))
  })
