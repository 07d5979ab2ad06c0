/**
 * A TCP proxy in this process, between servers and PostgreSQL or clients and servers: it cuts connections, or passes
 * nothing on for a while. It can tell the connections that listen for notifications, by the statement that they send.
 */
import * as net from "node:net"

export type Target = { readonly port: number } | { readonly path: string }

interface Link {
  readonly inside: net.Socket
  readonly outside: net.Socket
  listens: boolean
  stalled: boolean
}

export class Proxy {
  private readonly links = new Set<Link>()
  private readonly server: net.Server
  private stalling = false
  private readonly target: () => Target

  private constructor(target: () => Target) {
    this.target = target
    this.server = net.createServer((outside) => this.connect(outside))
  }

  static async open(target: () => Target): Promise<Proxy> {
    const proxy = new Proxy(target)
    await new Promise<void>((resolve) => proxy.server.listen(0, "127.0.0.1", resolve))
    return proxy
  }

  get port(): number {
    return (this.server.address() as net.AddressInfo).port
  }

  private connect(outside: net.Socket): void {
    const inside = net.connect({ ...this.target(), noDelay: true } as net.NetConnectOpts)
    outside.setNoDelay(true)
    const link: Link = { inside, outside, listens: false, stalled: this.stalling }
    this.links.add(link)
    const end = () => {
      inside.destroy()
      outside.destroy()
      this.links.delete(link)
    }
    for (const socket of [inside, outside]) socket.on("error", end).on("close", end)
    outside.on("data", (chunk: Buffer) => {
      if (!link.listens && chunk.includes("LISTEN")) link.listens = true
      this.pass(link, outside, inside, chunk)
    })
    inside.on("data", (chunk: Buffer) => this.pass(link, inside, outside, chunk))
    if (link.stalled) this.setStalled(link, true)
  }

  private pass(link: Link, from: net.Socket, to: net.Socket, chunk: Buffer): void {
    if (to.write(chunk)) return
    from.pause()
    to.once("drain", () => {
      if (!link.stalled) from.resume()
    })
  }

  private setStalled(link: Link, stalled: boolean): void {
    link.stalled = stalled
    for (const socket of [link.inside, link.outside]) stalled ? socket.pause() : socket.resume()
  }

  private chosen(which: "all" | "some" | "listeners"): Array<Link> {
    const links = [...this.links]
    if (which === "listeners") return links.filter(({ listens }) => listens)
    return which === "all" ? links : links.filter((_, index) => index % 2 === 0)
  }

  /** Cuts connections, all of them, every second or those that listen. Says how many. */
  cut(which: "all" | "some" | "listeners"): number {
    const links = this.chosen(which)
    for (const { inside, outside } of links) {
      // Only TCP knows a reset: PostgreSQL may be behind a unix socket.
      inside.destroy()
      outside.resetAndDestroy()
    }
    return links.length
  }

  /** Passes nothing on until `resume`; with "all", not over new connections either, which "present" lets through. */
  stall(which: "all" | "present" | "listeners"): number {
    const links = this.chosen(which === "present" ? "all" : which)
    if (which === "all") this.stalling = true
    for (const link of links) this.setStalled(link, true)
    return links.length
  }

  resume(): void {
    this.stalling = false
    for (const link of this.links) if (link.stalled) this.setStalled(link, false)
  }

  close(): void {
    this.server.close()
    this.cut("all")
  }
}
