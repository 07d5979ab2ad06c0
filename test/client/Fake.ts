/** Servers that are no orchestrators, each wrong in its own way. */
import * as http from "node:http"
import * as http2 from "node:http2"
import * as net from "node:net"
import { Event } from "../../src/layers/wire/generated/event.ts"

export type Kind =
  | "garbage"
  | "http"
  | "nobody"
  | "silent"
  | "no message"
  | "no frame"
  | "website"
  | "not found"
  | "recorder"
  | "flood"

export interface Fake extends AsyncDisposable {
  readonly address: string
  /** Of every call, in the order in which they came. */
  readonly headers: ReadonlyArray<http2.IncomingHttpHeaders>
  /** How many events a flood has sent. */
  readonly sent: () => number
}

const grpcHeaders = { ":status": 200, "content-type": "application/grpc" }

const frame = (...bytes: ReadonlyArray<number>): Buffer => Buffer.from([0, 0, 0, 0, bytes.length, ...bytes])

/** Answers any unary call with this, and OK. */
const answering = (stream: http2.ServerHttp2Stream, bytes: Buffer): void => {
  stream.respond(grpcHeaders, { waitForTrailers: true })
  stream.on("wantTrailers", () => stream.sendTrailers({ "grpc-status": "0" }))
  stream.end(bytes)
}

/** An event of 16 KiB. */
const event = Event.encode({ ...Event.decode(new Uint8Array()), id: "id", assetKey: "x".repeat(16_384) }).finish()
const eventFrame = Buffer.concat([Buffer.from([0, 0, 0, event.length >> 8, event.length & 255]), event])

/** Sends events as fast as they are taken, without end. */
const pour = (stream: http2.ServerHttp2Stream, count: () => void): void => {
  if (stream.destroyed) return
  count()
  if (stream.write(eventFrame)) setImmediate(() => pour(stream, count))
  else stream.once("drain", () => pour(stream, count))
}

const streams: { readonly [K in Kind]?: (stream: http2.ServerHttp2Stream, path: string, count: () => void) => void } = {
  silent: () => {},
  // Field 0, which no message has.
  "no message": (stream) => answering(stream, frame(0, 255, 255)),
  "no frame": (stream) => answering(stream, Buffer.from([9, 255, 255, 255, 255, 1])),
  website: (stream) => {
    stream.respond({ ":status": 200, "content-type": "text/html" })
    stream.end("<html>")
  },
  "not found": (stream) => {
    stream.respond({ ":status": 404 })
    stream.end()
  },
  recorder: (stream) => answering(stream, frame()),
  flood: (stream, path, count) => {
    if (!path.endsWith("/SubscribeToEvents")) return answering(stream, frame())
    stream.respond(grpcHeaders)
    pour(stream, count)
  }
}

export const fake = async (kind: Kind): Promise<Fake> => {
  const headers: Array<http2.IncomingHttpHeaders> = []
  const sockets = new Set<net.Socket>()
  const answer = streams[kind]
  let sent = 0
  const server =
    answer !== undefined
      ? http2.createServer().on("stream", (stream: http2.ServerHttp2Stream, received: http2.IncomingHttpHeaders) => {
          headers.push(received)
          stream.on("error", () => {})
          answer(stream, String(received[":path"]), () => sent++)
        })
      : kind === "http"
        ? http.createServer((_request, response) => response.end("hello"))
        : net.createServer((socket) => socket.end("this is no HTTP/2 at all, and never was\r\n"))
  server.on("connection", (socket: net.Socket) => {
    sockets.add(socket)
    socket.on("error", () => {})
  })
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done))
  const { port } = server.address() as net.AddressInfo
  const close = async () => {
    for (const socket of sockets) socket.destroy()
    await new Promise((done) => server.close(done))
  }
  // The port is free again, and answers nobody.
  if (kind === "nobody") await close()
  return {
    address: `127.0.0.1:${port}`,
    headers,
    sent: () => sent,
    [Symbol.asyncDispose]: () => (kind === "nobody" ? Promise.resolve() : close())
  }
}
