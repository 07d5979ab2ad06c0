/**
 * Calls that grpc-js itself answers, before any handler: an rpc that there is not, a message too large or in an unknown
 * encoding, a deadline that is none. It shows them to nobody. Here they get their reqid, their line in the log and their
 * place in the metrics, at the HTTP/2 stream below. A call that its client takes back before it is whole has no answer,
 * and counts nowhere.
 */
import type { IncomingHttpHeaders, OutgoingHttpHeaders, ServerHttp2Stream } from "node:http2"
import { Metadata, type Server, status } from "@grpc/grpc-js"
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as CallHeaders from "./CallHeaders.ts"
import { logCall } from "./CallLog.ts"
import { CallMetrics } from "./CallMetrics.ts"
import { http2StreamOf } from "./EventStream.ts"
import { http2ServersOf } from "./Http2Servers.ts"

type Respond = ServerHttp2Stream["respond"]

/** Services that grpc-js and its companions bring along: their handlers answer with statuses of their own. */
const foreign = /^\/grpc\./

type HandledCall = Parameters<typeof http2StreamOf>[0]

/** Streams with handlers that have answered nothing yet: what grpc-js answers for them, its deadline, they hear of. */
const handled = new WeakSet<ServerHttp2Stream>()

/** A call that grpc-js has answered, and counted here, before it came to its handler: nothing is to be done for it. */
export const isAnswered = (call: HandledCall): boolean => http2StreamOf(call)?.headersSent === true

/** A call has reached its handler, which counts it. */
export const reachedHandler = (call: HandledCall): void => {
  const stream = http2StreamOf(call)
  if (stream !== undefined) handled.add(stream)
}

/** By way of grpc-js, which leaves out what it cannot hold: HTTP/2 lets more through. */
const requestIdOf = ({ reqid }: IncomingHttpHeaders): string =>
  CallHeaders.requestId(Metadata.fromHttp2Headers(reqid === undefined ? {} : { reqid }))

/** To be called once the server is bound. `methods`: the metrics of the rpcs that there are, by path. */
export const tellOfRefusals = (
  server: Server,
  methods: ReadonlyMap<string, CallMetrics>,
  context: Context.Context<never>
): void => {
  const unknown = new CallMetrics("unknown", "unknown", false, context)
  const tell = (path: string, id: string, code: status, begun: number) => {
    const metrics = methods.get(path) ?? unknown
    metrics.refused(code, begun)
    const line = { reqid: id, method: metrics.path, caller: undefined, begun }
    Effect.runForkWith(context)(logCall(line, code, Exit.void, undefined))
  }
  for (const http2Server of http2ServersOf(server)) {
    http2Server.prependListener("stream", (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => {
      const begun = performance.now()
      const path = String(headers[":path"])
      const respond: Respond = stream.respond.bind(stream)
      stream.respond = (answer: OutgoingHttpHeaders = {}, options) => {
        // What a handler answers has its reqid.
        if (answer.reqid !== undefined || foreign.test(path)) return respond(answer, options)
        const id = requestIdOf(headers)
        respond({ ...answer, reqid: id }, options)
        if (!handled.has(stream)) tell(path, id, Number(answer["grpc-status"] ?? status.UNKNOWN), begun)
      }
    })
  }
}
