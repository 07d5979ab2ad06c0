/**
 * A deadline further away than 2^31 ms (some 25 days) overflows in grpc-js, and the call fails at once. Such a deadline
 * is none in practice: its header is taken off before grpc-js reads it.
 */
import type { IncomingHttpHeaders } from "node:http2"
import type { Server } from "@grpc/grpc-js"
import { http2ServersOf } from "./Http2Servers.ts"

const unitMillis: Record<string, number> = { H: 3_600_000, M: 60_000, S: 1000, m: 1, u: 0.001, n: 0.000001 }

/** The longest timer in milliseconds: Node lets one that is set to more run out at once. */
export const longestTimer = 2 ** 31 - 1

const overflows = (timeout: unknown): boolean => {
  // As grpc-js finds it, wherever in the header.
  const match = /(\d{1,8})\s*([HMSmun])/.exec(String(timeout))
  return match !== null && Number(match[1]) * (unitMillis[match[2] as string] as number) > longestTimer
}

/** To be called once the server is bound, before its first call. */
export const clampDeadlines = (server: Server): void => {
  for (const http2Server of http2ServersOf(server)) {
    http2Server.prependListener("stream", (_stream: unknown, headers: IncomingHttpHeaders) => {
      if (overflows(headers["grpc-timeout"])) delete headers["grpc-timeout"]
    })
  }
}
