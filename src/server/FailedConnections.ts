/**
 * Connections that come to nothing, counted by their reason: refused handshakes of TLS, other protocols, breaches of
 * HTTP/2 such as headers without end. All are closed; one that says nothing is closed after a while. More than 128
 * headers of one call, Node resets with their stream and tells nobody: they are bounded, and counted nowhere.
 */
import type { Http2Server, ServerHttp2Session } from "node:http2"
import type { Duplex } from "node:stream"
import type { TLSSocket } from "node:tls"
import type { Server } from "@grpc/grpc-js"
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Metric from "effect/Metric"
import { http2ServersOf } from "./Http2Servers.ts"
import { handshakeTimeoutMillis } from "./TlsCredentials.ts"

const refused = Metric.counter("orc_connections_refused_total", {
  description: "Connections to the gRPC port that came to nothing, by reason",
  incremental: true
})

type Reason =
  /** No certificate that is trusted, a version of TLS that is too old, a broken handshake. */
  | "tls_handshake"
  /** The client went away during the handshake, as probes of TCP do. */
  | "tls_aborted"
  /** No TLS on the port with TLS. */
  | "plaintext"
  /** HTTP/1, TLS on the port without, anything else. */
  | "not_http2"
  /** Headers that are too large, or never end; frames that may not be. */
  | "http2_protocol"
  /** The handshake, or the first word of HTTP/2, did not come in time. */
  | "timeout"

const codeOf = (error: Error): string => String(Object(error).code ?? "")

const handshakeReason = (error: Error): Reason => {
  switch (codeOf(error)) {
    case "ERR_TLS_HANDSHAKE_TIMEOUT":
      return "timeout"
    case "ERR_SSL_HTTP_REQUEST":
    case "ERR_SSL_WRONG_VERSION_NUMBER":
      return "plaintext"
    case "ERR_SSL_NO_APPLICATION_PROTOCOL":
      return "not_http2"
    case "ECONNRESET":
    case "EPIPE":
      return "tls_aborted"
    default:
      return "tls_handshake"
  }
}

/** Of a session's error; none where a connection of long standing was lost. */
const sessionReason = (error: Error): Reason | undefined => {
  if (!codeOf(error).startsWith("ERR_HTTP2_")) return undefined
  return error.message.includes("bad client magic") ? "not_http2" : "http2_protocol"
}

/** To be called once the server is bound. `patience`: milliseconds for the first word of HTTP/2. */
export const watchConnections = (
  server: Server,
  context: Context.Context<never>,
  patience = handshakeTimeoutMillis
): void => {
  const run = Effect.runForkWith(context)
  const count = (reason: Reason, why: string = reason) => {
    Metric.withAttributes(refused, { reason }).updateUnsafe(1, context)
    run(Effect.logDebug(`a connection came to nothing, ${reason}: ${why}`))
  }
  for (const http2Server of http2ServersOf(server)) watch(http2Server, count, patience)
}

const watch = (http2Server: Http2Server, count: (reason: Reason, why?: string) => void, patience: number): void => {
  http2Server.on("tlsClientError", (error: Error, socket: TLSSocket) => {
    // With TLS 1.3 a client's certificate is looked at when the client takes the handshake for done.
    const refusal = socket.authorizationError as Error | string | null | undefined
    const reason = refusal ? "tls_handshake" : handshakeReason(error)
    count(reason, String(refusal || codeOf(error) || error.message))
  })
  // Who listens must end the connection: Node would, and answer in HTTP/1.
  http2Server.on("unknownProtocol", (socket: Duplex) => {
    count("not_http2")
    socket.destroy()
  })
  http2Server.on("sessionError", (error: Error) => {
    const reason = sessionReason(error)
    if (reason !== undefined) count(reason)
  })
  http2Server.on("session", (session: ServerHttp2Session) => {
    const timer = setTimeout(() => {
      count("timeout")
      session.destroy()
    }, patience).unref()
    const done = () => clearTimeout(timer)
    session.once("remoteSettings", done).once("close", done)
  })
}
