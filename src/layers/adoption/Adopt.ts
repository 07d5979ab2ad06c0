/**
 * Takes over a channel of a database of Substra orchestrator 1.0.0: table by table in the order in which rows need one
 * another, then the log. Rows that break a rule, and rows that need those, are collected; once there are any that may
 * not be left out, the rest is only looked at.
 */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { ProfilingStep } from "../../schema/ProfilingStep.ts"
import type { PlacedEvent } from "../postgres/adoption/Inserts.ts"
import { type OldTable, oldTables, parents } from "../postgres/adoption/OldAssets.ts"
import type { OldDatabase } from "../postgres/adoption/OldDatabase.ts"
import * as OldEvents from "../postgres/adoption/OldEvents.ts"
import type { Target } from "../postgres/adoption/Target.ts"
import type { InvalidRows, InvalidRowsUnwritable } from "./InvalidRows.ts"
import { isWithoutManager, LeftOut } from "./LeftOut.ts"
import type { Progress } from "./Progress.ts"
import { readEvent } from "./ReadEvent.ts"

export interface Adoption {
  readonly old: OldDatabase
  /** None in a dry run. */
  readonly target: Target | undefined
  readonly invalid: InvalidRows
  readonly progress: Progress
  /** Is told each sample without a data manager, which the earlier orchestrator shows with one empty key. */
  readonly onSampleWithoutManager: (channel: string, key: string) => void
}

/** Reads all of a channel, and writes it for as long as nothing forbids it. The transaction stays open. */
export const channel = Effect.fnUntraced(function* (adoption: Adoption, name: string) {
  const leftOut = new LeftOut(name, (problem) => {
    adoption.progress.tally(name, problem.table).invalid++
    return adoption.invalid.add(problem)
  })
  for (const table of oldTables) {
    if (table.table !== "compute_tasks") {
      yield* copyAssets(adoption, name, table, leftOut)
      continue
    }
    yield* leftOut.findTasks(adoption.old, table, (rows) => {
      adoption.progress.tally(name, table.table).read += rows
    })
    yield* copyAssets(adoption, name, table, leftOut)
    yield* copyParents(adoption, name, leftOut)
  }
  yield* copyEvents(adoption, name, leftOut)
})

type Rejected = LeftOut<InvalidRowsUnwritable>

/** Where rows go: nowhere in a dry run, and nowhere once something forbids that they stay. */
const writable = ({ invalid, target }: Adoption): Target | undefined =>
  invalid.refused().length === 0 ? target : undefined

const copyAssets = Effect.fnUntraced(function* (adoption: Adoption, name: string, table: OldTable, leftOut: Rejected) {
  const tally = adoption.progress.tally(name, table.table)
  yield* adoption.old.forEachBatch(table.sql, [name], (rows) =>
    Effect.gen(function* () {
      const stored = yield* leftOut.take(table, rows)
      for (const one of stored) if (isWithoutManager(one)) adoption.onSampleWithoutManager(name, one.key)
      if (stored.length > 0) yield* writable(adoption)?.assets(table.table, name, stored) ?? Effect.void
      tally.read += rows.length
      tally.done += stored.length
    })
  )
})

const copyParents = (adoption: Adoption, name: string, leftOut: Rejected) =>
  adoption.old.forEachBatch(parents, [name], (rows) => {
    const edges = rows
      .map((row) => [String(row.child), String(row.parent)] as const)
      .filter(([child]) => !leftOut.has("compute_tasks", child))
    return edges.length === 0 ? Effect.void : (writable(adoption)?.parents(name, edges) ?? Effect.void)
  })

const decodeStep = Schema.decodeUnknownResult(ProfilingStep)

/** The step that an event tells of. Steps stand in events only; known ones are not told again. */
const stepOf = (event: OldEvents.OldEvent): ReadonlyArray<ProfilingStep> => {
  if (event.assetKind !== "ASSET_PROFILING_STEP") return []
  const step = decodeStep(JSON.parse(event.asset))
  return Result.isSuccess(step) ? [step.success] : []
}

/** Positions are dense in the channel, in the old order. */
const copyEvents = Effect.fnUntraced(function* (adoption: Adoption, name: string, leftOut: Rejected) {
  const tally = adoption.progress.tally(name, "events")
  let position = 0
  yield* adoption.old.forEachBatch(OldEvents.sql, [name], (rows) =>
    Effect.gen(function* () {
      const placed: Array<PlacedEvent> = []
      const steps: Array<ProfilingStep> = []
      for (const row of rows) {
        const read = readEvent(name, row)
        if (Result.isFailure(read)) {
          yield* leftOut.add("events", String(row.id), read.failure, row)
          continue
        }
        const { event, message } = read.success
        position++
        placed.push({ ...event, position, message })
        steps.push(...stepOf(event))
      }
      if (placed.length > 0) yield* writable(adoption)?.events(name, placed, steps) ?? Effect.void
      tally.read += rows.length
      tally.done += placed.length
    })
  )
})
