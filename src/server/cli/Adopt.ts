/**
 * `adopt`: takes over a database of Substra orchestrator 1.0.0, or compares it with what was taken over (docs/adopt.md).
 * Progress goes to stderr, what came of it to stdout.
 */
import * as Console from "effect/Console"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import type * as Redacted from "effect/Redacted"
import * as Adopt from "../../layers/adoption/Adopt.ts"
import * as InvalidRows from "../../layers/adoption/InvalidRows.ts"
import * as Progress from "../../layers/adoption/Progress.ts"
import * as Verify from "../../layers/adoption/Verify.ts"
import * as OldDatabase from "../../layers/postgres/adoption/OldDatabase.ts"
import * as Target from "../../layers/postgres/adoption/Target.ts"
import { type Table, tables } from "../../schema/Adoption.ts"
import type { ChannelMap } from "../../services/Channels.ts"
import { count } from "./Count.ts"

/** Nothing was written, or the databases differ; the reasons have been printed. */
export class AdoptionFailed extends Data.TaggedError("AdoptionFailed")<{ readonly message: string }> {}

interface Sources {
  readonly from: Redacted.Redacted
  /** The channels of the target's file, which need not be those of the old database. */
  readonly configured: ChannelMap
  /** Channels to adopt; none means all that the old database has. */
  readonly channels: ReadonlyArray<string>
  readonly skipInvalid: ReadonlyArray<Table>
}

export interface AdoptOptions extends Sources {
  readonly target: Redacted.Redacted
  readonly dryRun: false
  readonly invalidFile: string
}

export interface DryRunOptions extends Sources {
  /** Undefined where it is yet to be made, as the embedded one is. */
  readonly target: Redacted.Redacted | undefined
  readonly dryRun: true
  readonly invalidFile: string
}

export interface VerifyOptions extends Sources {
  readonly target: Redacted.Redacted
}

/** How many samples without a manager, or differences, are named. */
const named = 50

/** What is too long to print whole. */
class Listing {
  readonly lines: Array<string> = []
  count = 0

  add(line: string): void {
    this.count++
    if (this.lines.length < named) this.lines.push(line)
  }

  get print() {
    const more = this.count - this.lines.length
    return Effect.forEach(
      [...this.lines, ...(more > 0 ? [`… and ${more} more`] : [])],
      (line) => Console.log(`  ${line}`),
      {
        discard: true
      }
    )
  }
}

/** Tasks are looked at as a whole before the first is taken. */
const twice = (table: Table): number => (table === "compute_tasks" ? 2 : 1)

const say = (line: string) => Console.error(line)

/** The channels asked for, or all; each must be in the old database. */
const chooseChannels = Effect.fnUntraced(function* (options: Sources, old: OldDatabase.OldDatabase) {
  const there = [...old.counts.keys()].sort()
  const unknown = options.channels.filter((name) => !there.includes(name))
  if (unknown.length > 0) {
    return yield* new AdoptionFailed({
      message: `the old database has no channel ${unknown.map((name) => `"${name}"`).join(", ")}: it has ${there.join(", ") || "none"}`
    })
  }
  const chosen = options.channels.length === 0 ? there : [...new Set(options.channels)]
  for (const name of chosen) {
    if (!options.configured.has(name)) {
      yield* say(`warning: the channel "${name}" is not in the file of channels: nobody can use it before it is`)
    }
  }
  return chosen
})

const warnOfWriting = (old: OldDatabase.OldDatabase) =>
  Effect.flatMap(old.signsOfWriting, (signs) =>
    Effect.forEach(
      signs,
      (sign) =>
        say(
          `warning: the old server may still be writing: ${sign}. What the snapshot holds counts; stop the old server before you adopt`
        ),
      { discard: true }
    )
  )

const printSummary = (progress: Progress.Progress, done: string) =>
  Effect.gen(function* () {
    const rows = [
      ["channel", "table", "rows", done, "left out"],
      ...progress.tallies.map((tally) => [
        tally.channel,
        tally.table,
        String(tally.total),
        String(tally.done),
        String(tally.invalid)
      ])
    ]
    const widths = [0, 1, 2, 3, 4].map((index) => Math.max(...rows.map((row) => row[index]?.length ?? 0)))
    for (const row of rows) {
      const cells = row.map((cell, index) =>
        index < 2 ? cell.padEnd(widths[index] ?? 0) : cell.padStart(widths[index] ?? 0)
      )
      yield* Console.log(cells.join("  "))
    }
  })

const printSamples = (samples: Listing) =>
  samples.count === 0
    ? Effect.void
    : Effect.andThen(
        Console.log(
          `${samples.count} data samples have no data manager: the old server shows each with one empty key, this one with none`
        ),
        samples.print
      )

/** Names what is invalid; fails when some of it may not be left out. */
const judgeInvalid = Effect.fnUntraced(function* (invalid: InvalidRows.InvalidRows) {
  const file = yield* invalid.flush
  if (file === undefined) return
  for (const { channel, key, reason, table } of invalid.first) {
    yield* Console.log(`invalid: channel ${channel}, ${table} ${key}: ${reason}`)
  }
  const numbers = [...invalid.counts].map(([table, count]) => `${count} ${table}`).join(", ")
  yield* Console.log(`${numbers} break a rule of this server; all of them, with the whole rows: ${file}`)
  const refused = invalid.refused()
  if (refused.length > 0) {
    return yield* new AdoptionFailed({
      message: `nothing was written: mend these rows in the old database, or leave them out with ${refused.map((table) => `--skip-invalid ${table}`).join(" ")}`
    })
  }
})

/** All channels in one transaction: whatever stops it, nothing stays, and the same command can be given again. */
export const adopt = (options: AdoptOptions | DryRunOptions) =>
  Effect.gen(function* () {
    const started = performance.now()
    const invalid = yield* InvalidRows.make(options.invalidFile, new Set(options.skipInvalid))
    const old = yield* OldDatabase.open({ url: options.from })
    const channels = yield* chooseChannels(options, old)
    yield* warnOfWriting(old)
    if (options.dryRun && options.target !== undefined) yield* Target.checkEmpty({ url: options.target }, channels)
    const opened = options.dryRun ? undefined : yield* Target.open({ url: options.target }, channels)
    const samples = new Listing()
    const progress = yield* Progress.make(old.counts, channels, tables, twice, say)
    for (const channel of channels) {
      yield* Adopt.channel(
        {
          old,
          target: opened,
          invalid,
          progress,
          onSampleWithoutManager: (name, key) => samples.add(`channel ${name}, datasamples ${key}`)
        },
        channel
      )
    }
    yield* warnOfWriting(old)
    yield* judgeInvalid(invalid)
    const tell = Effect.gen(function* () {
      yield* printSummary(progress, options.dryRun ? "adoptable" : "adopted")
      yield* printSamples(samples)
      const seconds = (performance.now() - started) / 1000
      const rows = progress.tallies.reduce((sum, tally) => sum + tally.done, 0)
      yield* Console.log(
        options.dryRun
          ? `dry run: nothing was written; ${rows} rows can be adopted (${seconds.toFixed(1)} s)`
          : `adopted ${rows} rows in ${seconds.toFixed(1)} s (${Math.round(rows / seconds)} rows/s)`
      )
    })
    // What is committed is told, whatever comes between.
    yield* Effect.uninterruptible(Effect.andThen(opened?.commit ?? Effect.void, tell))
    yield* Effect.catch(opened?.analyze ?? Effect.void, ({ message }) =>
      say(`adopted, all the same ANALYZE failed (${message}): run it on the target, its first plans may be slow else`)
    )
  }).pipe(
    Effect.scoped,
    Effect.onInterrupt(() => say("interrupted: what is not told as adopted was not written"))
  )

/** Compares, and fails when anything differs. */
export const verify = (options: VerifyOptions) =>
  Effect.gen(function* () {
    const old = yield* OldDatabase.open({ url: options.from })
    const channels = yield* chooseChannels(options, old)
    const ours = yield* Target.openReader({ url: options.target })
    const differences = new Listing()
    const samples = new Listing()
    const progress = yield* Progress.make(
      old.counts,
      channels,
      tables,
      options.skipInvalid.length > 0 ? twice : () => 1,
      say
    )
    for (const channel of channels) {
      yield* Verify.channel(
        {
          old,
          ours,
          progress,
          skipped: new Set(options.skipInvalid),
          report: ({ channel: name, key, table, what }) => differences.add(`channel ${name}, ${table} ${key}: ${what}`),
          onSampleWithoutManager: (name, key) => samples.add(`channel ${name}, datasamples ${key}`)
        },
        channel
      )
    }
    yield* printSummary(progress, "compared")
    yield* printSamples(samples)
    const compared = progress.tallies.reduce((sum, tally) => sum + tally.done, 0)
    if (differences.count === 0) {
      yield* Console.log(`${compared} assets and events compared: no difference`)
      return
    }
    yield* Console.log(`${compared} assets and events compared: ${count(differences.count, "difference")}`)
    yield* differences.print
    return yield* new AdoptionFailed({ message: `the databases differ in ${count(differences.count, "place")}` })
  }).pipe(
    Effect.scoped,
    Effect.onInterrupt(() => say("interrupted: nothing is proven"))
  )
