/** A gate before the database that can be shut: connections break and new ones are refused, or nothing gets through. */
import { once } from "node:events"
import * as net from "node:net"

export interface Gate extends AsyncDisposable {
  /** The database's URL through the gate. */
  readonly url: string
  /** Breaks all connections, and takes no new one. */
  readonly shut: () => Promise<void>
  /** Keeps all connections, and lets nothing through. */
  readonly stall: () => void
  readonly open: () => Promise<void>
}

const targetOf = (url: URL): net.NetConnectOpts => {
  const folder = url.searchParams.get("host")
  return folder === null
    ? { host: url.hostname, port: Number(url.port) }
    : { path: `${folder}/.s.PGSQL.${url.searchParams.get("port")}` }
}

const through = (url: URL, port: number): string => {
  const changed = new URL(url)
  changed.searchParams.delete("host")
  changed.searchParams.delete("port")
  changed.searchParams.set("host", "127.0.0.1")
  changed.searchParams.set("port", String(port))
  return changed.href
}

export const before = async (databaseUrl: string): Promise<Gate> => {
  const url = new URL(databaseUrl)
  const sockets = new Set<net.Socket>()
  let stalled = false
  const listener = net.createServer((client) => {
    const database = net.connect(targetOf(url))
    for (const [from, to] of [
      [client, database],
      [database, client]
    ] as const) {
      sockets.add(from)
      from.on("error", () => {})
      from.on("data", (chunk: Buffer) => to.write(chunk))
      from.on("close", () => {
        sockets.delete(from)
        to.destroy()
      })
      if (stalled) from.pause()
    }
  })
  const listen = async (port: number) => {
    listener.listen(port, "127.0.0.1")
    await once(listener, "listening")
    return (listener.address() as net.AddressInfo).port
  }
  const shut = async () => {
    const closed = once(listener, "close")
    listener.close()
    for (const socket of sockets) socket.destroy()
    await closed
  }
  const port = await listen(0)
  return {
    url: through(url, port),
    shut,
    stall: () => {
      stalled = true
      for (const socket of sockets) socket.pause()
    },
    open: async () => {
      stalled = false
      for (const socket of sockets) socket.resume()
      if (!listener.listening) await listen(port)
    },
    [Symbol.asyncDispose]: shut
  }
}
