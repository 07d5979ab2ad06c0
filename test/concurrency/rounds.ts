/** The same scene played many times, since which of two calls comes first is for the database to say. */
import { expect } from "@effect/vitest"
import * as Effect from "effect/Effect"
import type { ChannelName } from "../../src/schema/Key.ts"
import { readLog } from "./Log.ts"
import { violations } from "./LogRules.ts"
import { Lost, Postgres } from "./support.ts"

/** After this many rounds, statements are planned for what the tables hold: autovacuum takes a minute to get there. */
const roundsBeforeAnalyze = 20

/**
 * Plays a scene in one channel. None of its transactions may be lost to another one, and the log must keep the rules;
 * gives the log, and what each round gave.
 */
export const play = <A, E, R>(channel: ChannelName, rounds: number, round: (index: number) => Effect.Effect<A, E, R>) =>
  Effect.gen(function* () {
    const { query } = yield* Postgres
    const lost = yield* Lost
    lost.length = 0
    const results: Array<A> = []
    for (let index = 0; index < rounds; index++) {
      results.push(yield* round(index))
      if (index === roundsBeforeAnalyze) yield* query("ANALYZE")
    }
    const log = yield* readLog(channel)
    expect(violations(log)).toEqual([])
    expect(lost).toEqual([])
    return { log, results }
  })
