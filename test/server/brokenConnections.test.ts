/**
 * Clients that mean no good, or speak another protocol: none holds the server up for others, and none is held on to.
 */
import * as http from "node:http"
import * as http2 from "node:http2"
import * as net from "node:net"
import * as tls from "node:tls"
import { Server, ServerCredentials } from "@grpc/grpc-js"
import * as Context from "effect/Context"
import { beforeAll, describe, expect, it, vi } from "vitest"
import { watchConnections } from "../../src/server/FailedConnections.ts"
import { TlsCredentials } from "../../src/server/TlsCredentials.ts"
import { client } from "../blackbox/Client.ts"
import { failure } from "../blackbox/Refusals.ts"
import { authority, clientOf, type Issued } from "../tls/Certificates.ts"
import {
  atEnd,
  connect,
  handshake,
  load,
  makePki,
  one,
  type Pki,
  preface,
  startServer,
  type TlsServer
} from "../tls/Pki.ts"
import * as Metrics from "./Metrics.ts"

let pki: Pki
let secure: TlsServer
let plain: TlsServer
let leaf: Issued

beforeAll(async () => {
  pki = await makePki()
  leaf = await clientOf(one, pki.cas[one])
  secure = await startServer(pki.env)
  plain = await startServer({ ORCHESTRATOR_CHANNEL_CONFIG: pki.path("channels.yaml") })
})

/** Both servers serve those who behave. */
const othersAreServed = async () => {
  await connect(pki, secure, one, leaf).queryVersion()
  const other = client(plain.address, { mspid: one, channel: "mychannel" })
  await other.queryVersion()
  other.close()
}

interface Ended {
  readonly received: Buffer
}

/** Sends these bytes on a connection, and waits until the server has closed it. */
const closes = (socket: net.Socket, ...chunks: ReadonlyArray<Uint8Array | string>): Promise<Ended> =>
  new Promise((resolve) => {
    const received: Array<Buffer> = []
    for (const chunk of chunks) socket.write(chunk)
    socket.on("data", (chunk: Buffer) => received.push(chunk))
    socket.on("error", () => {})
    socket.on("close", () => resolve({ received: Buffer.concat(received) }))
  })

const open = ({ port }: { readonly port: number }) => net.connect(port, "127.0.0.1")

const openSecure = (ALPNProtocols: ReadonlyArray<string> = ["h2"], port = secure.port) =>
  tls.connect({
    host: "localhost",
    port,
    ca: pki.serverCa.certificate,
    cert: leaf.certificate,
    key: leaf.key,
    ...(ALPNProtocols.length === 0 ? {} : { ALPNProtocols: [...ALPNProtocols] })
  })

describe("connections that do not get to the end of the handshake", () => {
  /** As the real one, but for a time limit that a test can wait for. */
  const startImpatient = async () => {
    const { tls } = await load(pki.env)
    if (tls === undefined) throw new Error("no TLS")
    const server = new Server()
    const port = await new Promise<number>((resolve, reject) =>
      server.bindAsync("localhost:0", new TlsCredentials(tls.files, true, 300), (error, port) =>
        error === null ? resolve(port) : reject(error)
      )
    )
    atEnd(() => server.forceShutdown())
    return { port }
  }

  /** The beginning of a handshake of TLS 1.2 that has 512 bytes, of which 100 come. */
  const halfHello = Buffer.concat([Buffer.from([22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3]), Buffer.alloc(100)])

  it("are closed after a while, 200 of them at once, and others are served meanwhile", async () => {
    const server = await startImpatient()
    const half = Array.from({ length: 200 }, (_, index) => {
      const socket = net.connect(server.port, "localhost")
      return closes(socket, ...(index % 2 === 0 ? [] : [halfHello]))
    })
    expect(await handshake(pki, server, leaf)).toMatchObject({ accepted: true })
    await Promise.all(half)
    expect(await handshake(pki, server, leaf)).toMatchObject({ accepted: true })
  })

  it("are closed though they send a byte now and then", async () => {
    const server = await startImpatient()
    const socket = net.connect(server.port, "localhost")
    let at = 0
    const dribble = setInterval(() => socket.write(halfHello.subarray(at, ++at)), 20)
    const begun = performance.now()
    await closes(socket)
    clearInterval(dribble)
    expect(at).toBeLessThan(halfHello.length)
    expect(performance.now() - begun).toBeLessThan(10_000)
  })

  it("keep nobody else out of the real server", async () => {
    const half = Array.from({ length: 200 }, () => open(secure))
    await Promise.all(half.map((socket) => new Promise((connected) => socket.once("connect", connected))))
    await othersAreServed()
    for (const socket of half) socket.destroy()
  })
})

describe("another protocol", () => {
  const request = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"

  it("than HTTP/2, on the port without TLS, ends the connection", async () => {
    await closes(open(plain), request)
    await closes(open(plain), "SSH-2.0-OpenSSH_10.0\r\n", Buffer.alloc(100_000, "x"))
    const failed = new Promise((resolve) => http.get({ port: plain.port, host: "127.0.0.1" }).on("error", resolve))
    expect(await failed).toBeInstanceOf(Error)
    await othersAreServed()
  })

  it("than TLS, on the port with TLS, ends the connection, and nothing of it is answered", async () => {
    for (const bytes of [request, preface, Buffer.alloc(100_000, "x")]) {
      const { received } = await closes(open(secure), bytes)
      // An alert of TLS at the most.
      expect(received.length).toBeLessThanOrEqual(7)
    }
    await othersAreServed()
  })

  it("than TLS 1.2 or newer on a port without TLS ends the connection", async () => {
    const failed = await new Promise<Error>((resolve) =>
      tls.connect({ port: plain.port, host: "localhost", ca: pki.serverCa.certificate }).on("error", resolve)
    )
    expect(failed).toBeInstanceOf(Error)
    await othersAreServed()
  })

  it("than HTTP/2 within TLS ends the connection", async () => {
    expect(await handshake(pki, secure, leaf, { ALPNProtocols: ["http/1.1"] })).toMatchObject({ accepted: false })
    await closes(openSecure([]), request)
    await closes(openSecure(), request)
    await othersAreServed()
  })
})

describe("headers", () => {
  it("that are too many, or too large, end the call or the connection", async () => {
    const plainClient = client(plain.address, { mspid: one, channel: "mychannel" })
    atEnd(() => plainClient.close())
    for (const each of [connect(pki, secure, one, leaf), plainClient]) {
      const large = await failure(each.with(["x-large", "x".repeat(200_000)]).queryVersion())
      expect(["RESOURCE_EXHAUSTED", "INTERNAL", "UNAVAILABLE"]).toContain(large.code)
      const many = Array.from({ length: 2000 }, (_, index) => [`x-${index}`, "x".repeat(50)] as const)
      const refused = await failure(each.with(...many).queryVersion())
      expect(["RESOURCE_EXHAUSTED", "INTERNAL", "UNAVAILABLE"]).toContain(refused.code)
      await each.queryVersion()
    }
    await othersAreServed()
  })

  /** A frame of HTTP/2 on stream 1. */
  const frame = (type: number, flags: number, content: Buffer) => {
    const head = Buffer.alloc(9)
    head.writeUIntBE(content.length, 0, 3)
    head.writeUInt8(type, 3)
    head.writeUInt8(flags, 4)
    head.writeUInt32BE(1, 5)
    return Buffer.concat([head, content])
  }

  /** Writes it again and again, as fast as it is taken, until the connection is closed. */
  const flood = (socket: net.Socket, bytes: Buffer) => {
    const more = () => {
      while (!socket.destroyed && socket.write(bytes)) {}
    }
    socket.on("drain", more)
    more()
  }

  it("that never end do not fill the memory: the connection is closed", async () => {
    const headers = 1
    const continuation = 9
    // A literal header that is not indexed: x: and 100 bytes.
    const one = Buffer.concat([Buffer.from([0, 1, 120, 100]), Buffer.alloc(100, "x")])
    for (const socket of [open(plain), openSecure()]) {
      const closed = closes(socket, preface, frame(headers, 0, one))
      flood(socket, frame(continuation, 0, Buffer.concat(Array.from({ length: 100 }, () => one))))
      await closed
    }
    await othersAreServed()
  })
})

describe("a connection that comes to nothing", () => {
  const counted = async (reason: string) => {
    const text = await (await fetch(`http://127.0.0.1:${secure.httpPort}/metrics`)).text()
    return Metrics.sum(Metrics.parse(text), "orc_connections_refused_total", { reason })
  }
  const http1 = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"

  it.each<[string, string, () => Promise<unknown>]>([
    ["HTTP/1 on the port with TLS", "plaintext", () => closes(open(secure), http1)],
    ["HTTP/2 without TLS on the port with TLS", "plaintext", () => closes(open(secure), preface)],
    ["no certificate", "tls_handshake", () => handshake(pki, secure, undefined)],
    [
      "a certificate of an unknown CA",
      "tls_handshake",
      async () => handshake(pki, secure, await clientOf(one, await authority("nobody's")))
    ],
    [
      "TLS 1.1",
      "tls_handshake",
      () => handshake(pki, secure, leaf, { minVersion: "TLSv1", maxVersion: "TLSv1.1", ciphers: "DEFAULT:@SECLEVEL=0" })
    ],
    ["a client that goes away", "tls_aborted", async () => open(secure).end()],
    ["HTTP/1 on the port without TLS", "not_http2", () => closes(open(plain), http1)],
    ["TLS on the port without", "not_http2", () => closes(open(plain), Buffer.from([22, 3, 1, 2, 0, 1]))],
    ["HTTP/1 within TLS", "not_http2", () => closes(openSecure(), http1)],
    ["no ALPN", "not_http2", () => closes(openSecure([]), http1)],
    ["HTTP/1 by ALPN", "not_http2", () => handshake(pki, secure, leaf, { ALPNProtocols: ["http/1.1"] })],
    [
      "a header of 200,000 bytes",
      "http2_protocol",
      async () => {
        const session = http2.connect(`http://127.0.0.1:${plain.port}`, { maxSendHeaderBlockLength: 1_000_000 })
        session.on("error", () => {})
        session.request({ "x-large": "x".repeat(200_000) }).on("error", () => {})
        await new Promise((closed) => session.on("close", closed))
      }
    ]
  ])("for %s is counted as %s", async (_, reason, attempt) => {
    const before = await counted(reason)
    await attempt()
    await vi.waitFor(async () => expect(await counted(reason)).toBe(before + 1))
    await othersAreServed()
  })

  it.each(["without TLS", "within TLS"])(
    "because its first word of HTTP/2 never comes, %s, is closed and counted",
    async (where) => {
      const { tls: settings } = await load(pki.env)
      const credentials =
        where === "within TLS" && settings !== undefined
          ? new TlsCredentials(settings.files, true)
          : ServerCredentials.createInsecure()
      const server = new Server()
      atEnd(() => server.forceShutdown())
      const port = await new Promise<number>((resolve) =>
        server.bindAsync("localhost:0", credentials, (_, bound) => resolve(bound))
      )
      watchConnections(server, Context.empty(), 200)
      const before = await counted("timeout")
      await closes(where === "within TLS" ? openSecure(["h2"], port) : net.connect(port, "localhost"))
      expect(await counted("timeout")).toBe(before + 1)
    }
  )
})
