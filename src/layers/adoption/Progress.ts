/** How far an adoption or a verification is: rows by table, and now and then a line with rate and time left. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import type { Table } from "../../schema/Adoption.ts"

/** What became of the rows of a table of a channel. */
export interface Tally {
  readonly channel: string
  readonly table: Table
  /** Rows that the old database has. */
  readonly total: number
  /** Rows that were read, in all passes. */
  read: number
  /** Rows that were taken over, or compared. */
  done: number
  /** Rows that break a rule. */
  invalid: number
}

export interface Progress {
  readonly tally: (channel: string, table: Table) => Tally
  readonly tallies: ReadonlyArray<Tally>
}

const duration = (seconds: number): string =>
  seconds < 90 ? `${Math.ceil(seconds)} s` : `${Math.floor(seconds / 60)} min ${Math.round(seconds % 60)} s`

const whole = (count: number): string => Math.round(count).toLocaleString("en-US")

/** Says every two seconds, for as long as the scope is open, how far it is. */
export const make = (
  counts: ReadonlyMap<string, ReadonlyMap<Table, number>>,
  channels: ReadonlyArray<string>,
  tables: ReadonlyArray<Table>,
  /** How often the rows of a table are read. */
  passes: (table: Table) => number,
  say: (line: string) => Effect.Effect<void>
): Effect.Effect<Progress, never, Scope.Scope> =>
  Effect.gen(function* () {
    const tallies = channels.flatMap((channel) =>
      tables.map(
        (table): Tally => ({
          channel,
          table,
          total: counts.get(channel)?.get(table) ?? 0,
          read: 0,
          done: 0,
          invalid: 0
        })
      )
    )
    const total = tallies.reduce((sum, tally) => sum + tally.total * passes(tally.table), 0)
    const begun = yield* Clock.currentTimeMillis
    const line = Effect.gen(function* () {
      const read = tallies.reduce((sum, tally) => sum + tally.read, 0)
      const now = tallies.findLast((tally) => tally.read > 0)
      if (now === undefined || read === total) return
      const rate = read / Math.max(0.001, ((yield* Clock.currentTimeMillis) - begun) / 1000)
      const left = read * 100 < total ? "" : `, ${duration((total - read) / rate)} left`
      yield* say(
        `${now.channel} ${now.table}: ${whole(read)} of ${whole(total)} rows (${Math.floor((100 * read) / total)} %), ${whole(rate)} rows/s${left}`
      )
    })
    yield* Effect.forkScoped(Effect.repeat(Effect.delay(line, "2 seconds"), Schedule.forever))
    return {
      tallies,
      tally: (channel, table) => {
        const found = tallies.find((tally) => tally.channel === channel && tally.table === table)
        if (found === undefined) throw new Error(`no tally of ${table} in ${channel}`)
        return found
      }
    }
  })
