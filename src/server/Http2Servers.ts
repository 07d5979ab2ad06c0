/** The HTTP/2 servers below grpc-js, a private field of it: where that is not found, there are none. */
import type { Http2Server } from "node:http2"
import type { Server } from "@grpc/grpc-js"

export const http2ServersOf = (server: Server): ReadonlyArray<Http2Server> => {
  const { http2Servers } = server as unknown as { readonly http2Servers?: ReadonlyMap<Http2Server, unknown> }
  return [...(http2Servers?.keys() ?? [])]
}
