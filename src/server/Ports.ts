/** Addresses and ports: how they are written, whether they are free, what is said when they are not. */
import { createServer } from "node:net"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"

/** The address cannot be listened on. The message says which, and what to do. */
export class ListenError extends Data.TaggedError("ListenError")<{ readonly message: string }> {}

/** An address as it stands before a port. */
export const hostOf = (address: string): string => (address.includes(":") ? `[${address}]` : address)

/** An address at which somebody on this machine reaches what listens on this one. */
export const reachable = (address: string): string =>
  address === "0.0.0.0" ? "127.0.0.1" : address === "::" ? "::1" : address

const variables = { gRPC: "ORCHESTRATOR_GRPC_PORT", HTTP: "ORCHESTRATOR_HTTP_PORT" }

/** What a start says when it cannot listen on `place`, for what the operating system says, and what to change. */
export const cannotListen = (place: string, what: keyof typeof variables, reason: string): string => {
  const advice = reason.includes("EADDRNOTAVAIL")
    ? "This machine has no such address: set ORCHESTRATOR_LISTEN_ADDRESS to one of its own"
    : `Is another server running there? Choose another port with ${variables[what]}, 0 takes a free one`
  return `cannot listen on ${place} for ${what}: ${reason}. ${advice}`
}

/** Why a port cannot be listened on, found out by listening on it for a moment; nothing when it can. */
export const portProblem = (address: string, number: number): Effect.Effect<string | undefined> =>
  Effect.callback((resume) => {
    const probe = createServer()
    probe.once("error", (error) => resume(Effect.succeed(error.message)))
    probe.listen(number, address, () => probe.close(() => resume(Effect.succeed(undefined))))
  })
