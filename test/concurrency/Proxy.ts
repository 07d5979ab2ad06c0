/**
 * A place between the services and the database at which connections break: before the database has seen the first
 * COMMIT that comes along, or after it has carried it out but before anybody has heard of that.
 */
import * as net from "node:net"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"

export interface Proxy {
  /** Resolves once a connection was cut. */
  readonly isCut: Effect.Effect<void>
  /** The database's URL by way of this proxy. */
  readonly via: (url: string) => string
}

/** The statement on its way out, and its tag on the way back. */
const commit = "COMMIT\0"

const targetOf = (url: string): net.NetConnectOpts => {
  const { hostname, port, searchParams } = new URL(url)
  const folder = searchParams.get("host")
  return folder === null
    ? { host: hostname, port: Number(port) }
    : { path: `${folder}/.s.PGSQL.${searchParams.get("port")}` }
}

export const make = (
  url: string,
  cut: "before the commit" | "after the commit"
): Effect.Effect<Proxy, never, Scope.Scope> =>
  Effect.gen(function* () {
    const isCut = yield* Deferred.make<void>()
    const sockets = new Set<net.Socket>()
    const onConnection = (client: net.Socket): void => {
      const server = net.connect(targetOf(url))
      let isCommitting = false
      const end = () => {
        client.destroy()
        server.destroy()
      }
      for (const socket of [client, server]) {
        sockets.add(socket)
        socket.on("error", end)
        socket.on("close", end)
      }
      const breakOff = () => {
        Deferred.doneUnsafe(isCut, Effect.void)
        end()
      }
      client.on("data", (chunk: Buffer) => {
        isCommitting ||= !Deferred.isDoneUnsafe(isCut) && chunk.includes(commit)
        if (isCommitting && cut === "before the commit") breakOff()
        else server.write(chunk)
      })
      server.on("data", (chunk: Buffer) => {
        if (!isCommitting) client.write(chunk)
        else if (chunk.includes(commit)) breakOff()
      })
    }
    const listener = yield* Effect.acquireRelease(
      Effect.callback<net.Server>((resume) => {
        const made = net.createServer(onConnection)
        made.listen(0, "127.0.0.1", () => resume(Effect.succeed(made)))
      }),
      (made) =>
        Effect.sync(() => {
          made.close()
          for (const socket of sockets) socket.destroy()
        })
    )
    const { port } = listener.address() as net.AddressInfo
    const via = (direct: string): string => {
      const changed = new URL(direct)
      if (changed.searchParams.has("host")) {
        changed.searchParams.set("host", "127.0.0.1")
        changed.searchParams.set("port", String(port))
      } else {
        changed.hostname = "127.0.0.1"
        changed.port = String(port)
      }
      return changed.href
    }
    return { isCut: Deferred.await(isCut), via }
  })
