/** gRPC calls as bytes on HTTP/2, for what no gRPC library would send, and what it would hide. */
import { once } from "node:events"
import * as http2 from "node:http2"

export interface RawAnswer {
  /** Of HTTP. */
  readonly status: number
  /** Of gRPC; undefined: the call ended without one. */
  readonly code: number | undefined
  readonly details: string
  /** Headers and trailers. */
  readonly metadata: Readonly<Record<string, string | undefined>>
  /** The size of the larger of the two, as HTTP/2 counts it. */
  readonly headerListSize: number
  /** Messages with their prefixes. */
  readonly body: Buffer
}

export interface RawRequest {
  readonly path: string
  readonly headers?: http2.OutgoingHttpHeaders
  /** What is sent, one DATA frame each; a message has a prefix of five bytes. */
  readonly frames?: ReadonlyArray<Buffer>
}

/** With its prefix. */
export const framed = (message: Uint8Array, compressed = false): Buffer => {
  const prefix = Buffer.alloc(5)
  prefix[0] = compressed ? 1 : 0
  prefix.writeUInt32BE(message.length, 1)
  return Buffer.concat([prefix, message])
}

const listSize = (headers: http2.IncomingHttpHeaders): number =>
  Object.entries(headers).reduce((sum, [name, value]) => sum + name.length + String(value).length + 32, 0)

const identity = { mspid: "MyOrg1MSP", channel: "mychannel" }

export interface RawClient extends AsyncDisposable {
  readonly session: http2.ClientHttp2Session
  readonly call: (request: RawRequest) => Promise<RawAnswer>
  /** Begins a request that stays unfinished, and waits for what is said of it. */
  readonly begin: (request: RawRequest, part?: Buffer) => Promise<Pick<RawAnswer, "metadata">>
  /** Sends a request, gives others a turn, and takes it back. */
  readonly leave: (request: RawRequest, turn: () => Promise<unknown>) => Promise<void>
  /** Sends a request, and takes it back at once. */
  readonly reset: (request: RawRequest) => Promise<void>
}

export const connect = async (address: string, settings: http2.Settings = {}): Promise<RawClient> => {
  const session = http2.connect(`http://${address}`, { settings })
  session.on("error", () => {})
  await once(session, "connect")

  const open = ({ headers = {}, path }: RawRequest): http2.ClientHttp2Stream => {
    const stream = session.request({
      ":method": "POST",
      ":path": path,
      "content-type": "application/grpc",
      te: "trailers",
      ...identity,
      ...headers
    })
    return stream.on("error", () => {})
  }

  const begin: RawClient["begin"] = async (request, part) => {
    const stream = open(request)
    if (part !== undefined) stream.write(part)
    const [metadata] = await once(stream, "response")
    stream.resume()
    stream.close()
    return { metadata }
  }

  const leave: RawClient["leave"] = async (request, turn) => {
    const stream = open(request)
    const closed = new Promise<void>((resolve) => stream.on("close", resolve))
    stream.end(Buffer.concat(request.frames ?? []))
    await turn()
    // What has come and is not read would keep it open here.
    stream.resume()
    stream.close(http2.constants.NGHTTP2_CANCEL)
    await closed
  }

  const reset: RawClient["reset"] = async (request) => {
    if (!session.destroyed) await leave(request, async () => {})
  }

  const call: RawClient["call"] = ({ frames = [], ...request }) =>
    new Promise((resolve) => {
      const stream = open(request)
      const received: Array<http2.IncomingHttpHeaders> = []
      const body: Array<Buffer> = []
      stream.on("response", (heads) => received.push(heads))
      stream.on("trailers", (trailers) => received.push(trailers))
      stream.on("data", (chunk: Buffer) => body.push(chunk))
      stream.on("close", () => {
        const metadata = Object.assign({}, ...received)
        const code = metadata["grpc-status"]
        resolve({
          status: Number(metadata[":status"]),
          code: code === undefined ? undefined : Number(code),
          details: decodeURIComponent(metadata["grpc-message"] ?? ""),
          metadata,
          headerListSize: Math.max(0, ...received.map(listSize)),
          body: Buffer.concat(body)
        })
      })
      const send = (left: ReadonlyArray<Buffer>): void => {
        const [frame, ...more] = left
        if (frame === undefined) stream.end()
        else stream.write(frame, () => send(more))
      }
      send(frames)
    })

  return {
    session,
    begin,
    call,
    leave,
    reset,
    [Symbol.asyncDispose]: async () => {
      if (session.destroyed) return
      const closed = once(session, "close")
      session.destroy()
      await closed
    }
  }
}
