/** Whether ports are free, found out by listening on them for a moment. */
import { createServer } from "node:net"
import * as Effect from "effect/Effect"

/** Why a port cannot be listened on; nothing when it can. */
export const portProblem = (address: string, number: number): Effect.Effect<string | undefined> =>
  Effect.callback((resume) => {
    const probe = createServer()
    probe.once("error", (error) => resume(Effect.succeed(error.message)))
    probe.listen(number, address, () => probe.close(() => resume(Effect.succeed(undefined))))
  })
