/** Bytes that are in memory for HTTP/2 streams, bounded all together: who has had them there the longest is given up. */
import type { ServerHttp2Stream } from "node:http2"

export class HeldBytes {
  /** In the order in which they began. */
  private readonly held = new Map<ServerHttp2Stream, number>()
  private total = 0
  private readonly bound: number
  private readonly giveUp: (stream: ServerHttp2Stream) => void

  constructor(bound: number, giveUp: (stream: ServerHttp2Stream) => void) {
    this.bound = bound
    this.giveUp = giveUp
  }

  add(stream: ServerHttp2Stream, bytes: number): void {
    this.held.set(stream, (this.held.get(stream) ?? 0) + bytes)
    this.total += bytes
    for (const longest of this.held.keys()) {
      if (this.total <= this.bound) return
      this.release(longest)
      this.giveUp(longest)
    }
  }

  release(stream: ServerHttp2Stream): void {
    this.total -= this.held.get(stream) ?? 0
    this.held.delete(stream)
  }
}
