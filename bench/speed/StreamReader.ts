/**
 * Reads event streams at next to no cost, so that the figures are the server's: an HTTP/2 client that opens gRPC calls,
 * lets the server send as much as it likes, and looks at nothing but where messages begin. For the bench only: it
 * answers pings and settings, and takes everything else as it comes.
 */
import * as net from "node:net"

const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
const frameType = { data: 0, headers: 1, rstStream: 3, settings: 4, ping: 6, goaway: 7, windowUpdate: 8 }
const largestWindow = 2 ** 31 - 1
const defaultWindow = 65_535
/** What was read is given back to the server in steps of this size. */
const windowStep = 2 ** 24

const frame = (type: number, flags: number, stream: number, payload: Uint8Array = new Uint8Array()): Buffer => {
  const bytes = Buffer.alloc(9 + payload.length)
  bytes.writeUIntBE(payload.length, 0, 3)
  bytes.writeUInt8(type, 3)
  bytes.writeUInt8(flags, 4)
  bytes.writeUInt32BE(stream, 5)
  bytes.set(payload, 9)
  return bytes
}

const uint32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value)
  return bytes
}

/** HPACK: literal header fields without indexing, names and values as they are. */
const headerBlock = (headers: Readonly<Record<string, string>>): Buffer =>
  Buffer.concat(
    Object.entries(headers).flatMap(([name, value]) => [
      Buffer.from([0]),
      ...[name, value].map((text) => {
        const length = Buffer.byteLength(text)
        const prefix = length < 127 ? [length] : [127, length - 127]
        return Buffer.concat([Buffer.from(prefix), Buffer.from(text)])
      })
    ])
  )

/** A message's first bytes: enough to tell which event it is. */
export type OnMessage = (stream: number, head: Buffer) => void
export type OnEnd = () => void

interface Reading {
  /** Bytes of the message that are still to come. */
  missing: number
  /** The beginning of a message that did not fit in its frame. */
  partial: Buffer
}

export class StreamReader {
  /** Streams that the server ended. */
  ended = 0
  /** Bytes of messages. */
  bytes = 0
  private readonly socket: net.Socket
  private readonly onMessage: OnMessage
  private readonly onEnd: OnEnd
  private readonly streams = new Map<number, Reading>()
  private rest: Buffer = Buffer.alloc(0)
  private unacknowledged = 0
  private next = 1
  private opened = 0
  private whenOpened: (() => void) | undefined

  private constructor(socket: net.Socket, onMessage: OnMessage, onEnd: OnEnd) {
    this.socket = socket
    this.onMessage = onMessage
    this.onEnd = onEnd
    socket.on("data", (data: Buffer) => this.read(data))
    socket.on("error", () => {})
  }

  static connect(port: number, onMessage: OnMessage, onEnd: OnEnd): Promise<StreamReader> {
    return new Promise((resolve, reject) => {
      const socket = net.connect(port, "127.0.0.1", () => {
        socket.setNoDelay(true)
        const reader = new StreamReader(socket, onMessage, onEnd)
        // Setting 4: how much the server may send on a stream before it is told to go on.
        const settings = Buffer.concat([Buffer.from([0, 4]), uint32(largestWindow)])
        socket.write(preface)
        socket.write(frame(frameType.settings, 0, 0, settings))
        socket.write(frame(frameType.windowUpdate, 0, 0, uint32(largestWindow - defaultWindow)))
        resolve(reader)
      })
      socket.once("error", reject)
    })
  }

  /** Opens calls of a streaming rpc; resolves when the server has answered all of them with its headers. */
  open(count: number, path: string, headers: Readonly<Record<string, string>>, request: Uint8Array): Promise<void> {
    const block = headerBlock({
      ":method": "POST",
      ":scheme": "http",
      ":path": path,
      ":authority": "127.0.0.1",
      "content-type": "application/grpc",
      te: "trailers",
      ...headers
    })
    const message = Buffer.concat([Buffer.from([0]), uint32(request.length), request])
    const until = this.opened + count
    for (let index = 0; index < count; index++) {
      const stream = this.next
      this.next += 2
      this.streams.set(stream, { missing: 0, partial: Buffer.alloc(0) })
      this.socket.write(Buffer.concat([frame(frameType.headers, 4, stream, block), frame(0, 1, stream, message)]))
    }
    return new Promise((resolve) => {
      this.whenOpened = () => this.opened >= until && resolve()
      this.whenOpened()
    })
  }

  close(): void {
    this.socket.destroy()
  }

  private read(data: Buffer): void {
    const bytes = this.rest.length === 0 ? data : Buffer.concat([this.rest, data])
    let at = 0
    while (bytes.length - at >= 9) {
      const length = bytes.readUIntBE(at, 3)
      if (bytes.length - at < 9 + length) break
      const payload = bytes.subarray(at + 9, at + 9 + length)
      this.onFrame(bytes[at + 3] as number, bytes[at + 4] as number, bytes.readUInt32BE(at + 5), payload)
      at += 9 + length
    }
    this.rest = bytes.subarray(at)
  }

  private onFrame(type: number, flags: number, stream: number, payload: Buffer): void {
    switch (type) {
      case frameType.data:
        this.onData(stream, payload)
        break
      case frameType.headers:
        if ((flags & 1) === 0) {
          this.opened++
          this.whenOpened?.()
        } else this.end()
        break
      case frameType.rstStream:
        this.end()
        break
      case frameType.settings:
        if ((flags & 1) === 0) this.socket.write(frame(frameType.settings, 1, 0))
        break
      case frameType.ping:
        if ((flags & 1) === 0) this.socket.write(frame(frameType.ping, 1, 0, payload))
    }
  }

  private end(): void {
    this.ended++
    this.onEnd()
  }

  private onData(stream: number, payload: Buffer): void {
    this.unacknowledged += payload.length
    if (this.unacknowledged >= windowStep) {
      this.socket.write(frame(frameType.windowUpdate, 0, 0, uint32(this.unacknowledged)))
      this.unacknowledged = 0
    }
    const reading = this.streams.get(stream)
    if (reading === undefined) return
    this.bytes += payload.length
    let data = payload
    if (reading.partial.length > 0) {
      data = Buffer.concat([reading.partial, payload])
      reading.partial = Buffer.alloc(0)
    }
    let at = Math.min(reading.missing, data.length)
    reading.missing -= at
    while (at < data.length) {
      // The prefix, the id and the asset's key: what a message is told by.
      if (data.length - at < headBytes) {
        reading.partial = Buffer.from(data.subarray(at))
        return
      }
      const length = 5 + data.readUInt32BE(at + 1)
      this.onMessage(stream, data.subarray(at + 5, at + headBytes))
      reading.missing = Math.max(0, at + length - data.length)
      at += length
    }
  }
}

/** Events are longer than this. */
const headBytes = 5 + 80

/** The asset's key of an event, from its first bytes: the id is its first field, the key its second. */
export const assetKeyOf = (head: Buffer): string => {
  const id = 2 + (head[1] as number)
  return head.toString("latin1", id + 2, id + 2 + (head[id + 1] as number))
}
