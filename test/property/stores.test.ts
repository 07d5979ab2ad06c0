/**
 * The same calls, whatever they are, on memory and on PostgreSQL: the same answers and errors, and the same log, but for
 * the times at which it all happened. On both, the log keeps the rules, and ends in the state that the stores give.
 */

import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as ManagedRuntime from "effect/ManagedRuntime"
import fc from "fast-check"
import { afterAll, describe, expect, it } from "vitest"
import * as MemoryStore from "../../src/layers/memory/MemoryStore.ts"
import * as ServiceLayers from "../../src/layers/Services.ts"
import { readLog } from "../concurrency/Log.ts"
import { violations } from "../concurrency/LogRules.ts"
import { Postgres, serviceOptions, services } from "../concurrency/support.ts"
import { type Command, rpcs, type Sequence, sequence } from "./Sequences.ts"
import { finalState, stateOfLog } from "./State.ts"
import { normalize, outcomeOf, ranked } from "./Transcript.ts"
import { makeWorld, type World } from "./World.ts"

const runs = 300
/** Milliseconds, on a machine that has much else to do. */
const timeLimit = 40_000

const memory = ManagedRuntime.make(ServiceLayers.layer(serviceOptions).pipe(Layer.provideMerge(MemoryStore.layer)))
const postgres = ManagedRuntime.make(services({ poolSize: 4 }))
afterAll(async () => {
  await Promise.all([memory.dispose(), postgres.dispose()])
})

const call = ({ args, by, channel, rpc }: Command, world: World) =>
  Effect.suspend(() => {
    const at = world(by, channel)
    return Effect.tap(outcomeOf(rpcs[rpc]?.run(args, at) ?? Effect.die(`no rpc ${rpc}`)), (answer) =>
      Effect.sync(() => at.end("ok" in answer))
    )
  })

/** Everything that a sequence leaves to be seen: what it answered, the logs and the state of both channels. */
const play = Effect.fnUntraced(function* ({ commands }: Sequence, world: World) {
  const answers = yield* Effect.forEach(commands, (command) => call(command, world))
  const channels = yield* Effect.forEach([0, 1], (channel) =>
    Effect.gen(function* () {
      const { as } = world(0, channel)
      const log = yield* readLog(as.channel)
      const state = yield* finalState(as)
      expect(violations(log)).toEqual([])
      expect(normalize(state)).toEqual(normalize(stateOfLog(log)))
      return { state, log: log.map(({ asset, event: { id: _, ...event } }) => ({ ...event, asset })) }
    })
  )
  return ranked({ answers, channels: normalize(channels) })
})

let run = 0

describe("calls on memory and on PostgreSQL", () => {
  it("have the same answers, errors and events", async () => {
    await fc.assert(
      fc.asyncProperty(sequence, async (given) => {
        const nonce = crypto.randomUUID().slice(-12)
        const [here, there] = await Promise.all([
          memory.runPromise(play(given, makeWorld(given.salt, nonce))),
          postgres.runPromise(play(given, makeWorld(given.salt, nonce)))
        ])
        if (++run === 5) await postgres.runPromise(Effect.flatMap(Postgres, ({ query }) => query("ANALYZE")))
        const { answers } = here as { readonly answers: ReadonlyArray<object> }
        for (const answer of answers) expect(answer).not.toHaveProperty("defect")
        expect(there).toEqual(here)
      }),
      { numRuns: runs, interruptAfterTimeLimit: timeLimit }
    )
  })
})
