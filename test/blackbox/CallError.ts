/** A call that did not end well, with all that the server said about it. */
import * as grpc from "@grpc/grpc-js"
import * as StatusDetails from "./StatusDetails.ts"

export class CallError extends Error {
  /** Like NOT_FOUND. */
  readonly code: string
  readonly details: string
  /** What `grpc-status-details-bin` says, if it was sent. */
  readonly info: StatusDetails.StatusDetails | undefined
  readonly headers: grpc.Metadata
  readonly trailers: grpc.Metadata

  constructor(path: string, status: grpc.StatusObject, headers: grpc.Metadata) {
    const code = grpc.status[status.code] ?? String(status.code)
    super(`${path}: ${code}: ${status.details}`)
    this.name = "CallError"
    this.code = code
    this.details = status.details
    this.headers = headers
    this.trailers = status.metadata
    const bytes = status.metadata.get("grpc-status-details-bin")[0]
    this.info = Buffer.isBuffer(bytes) ? StatusDetails.parse(bytes) : undefined
  }

  /** A header that came back: where an answer has no message, headers and trailers are one. */
  header(name: string): string | undefined {
    return [...this.headers.get(name), ...this.trailers.get(name)][0]?.toString()
  }
}
