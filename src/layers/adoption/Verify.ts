/**
 * Compares the two databases asset by asset and event by event, as messages of the contract, with what beside them
 * decides how work goes on: order of models, parents of tasks, positions of events.
 */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import type { StoredAsset, Table } from "../../schema/Adoption.ts"
import { type OldTable, oldTables, presentKeys } from "../postgres/adoption/OldAssets.ts"
import type { OldDatabase } from "../postgres/adoption/OldDatabase.ts"
import * as OldEvents from "../postgres/adoption/OldEvents.ts"
import type { OurEvent } from "../postgres/adoption/OurAssets.ts"
import type { TargetReader } from "../postgres/adoption/Target.ts"
import type { Row } from "../postgres/Session.ts"
import { difference } from "../wire/Difference.ts"
import { assetOf } from "../wire/EventCodec.ts"
import * as OldEventCodec from "../wire/OldEventCodec.ts"
import { isWithoutManager, LeftOut } from "./LeftOut.ts"
import type { Progress } from "./Progress.ts"
import { type ReadEvent, readEvent } from "./ReadEvent.ts"

export interface Difference {
  readonly channel: string
  readonly table: Table
  readonly key: string
  readonly what: string
}

export interface Verification {
  readonly old: OldDatabase
  readonly ours: TargetReader
  readonly progress: Progress
  /** Tables whose invalid rows were left out on purpose: they are counted, and no difference. */
  readonly skipped: ReadonlySet<Table>
  readonly report: (difference: Difference) => void
  readonly onSampleWithoutManager: (channel: string, key: string) => void
}

export const channel = Effect.fnUntraced(function* (verification: Verification, name: string) {
  const leftOut = new LeftOut(name, () => Effect.void)
  for (const table of oldTables) {
    if (table.table === "compute_tasks" && verification.skipped.size > 0)
      yield* leftOut.findTasks(verification.old, table, (rows) => {
        verification.progress.tally(name, table.table).read += rows
      })
    yield* compareAssets(verification, name, table, leftOut)
  }
  yield* compareEvents(verification, name)
})

/** What is compared of an asset. A sample's managers have no order in the old database. */
const comparable = ({ asset, output, parents }: StoredAsset) => ({
  message: assetOf(
    asset.kind === "ASSET_DATA_SAMPLE"
      ? { ...asset, asset: { ...asset.asset, dataManagerKeys: asset.asset.dataManagerKeys.toSorted() } }
      : asset
  )?.value,
  output,
  parents
})

const absent = "it is not in the target"

const compareAssets = Effect.fnUntraced(function* (
  verification: Verification,
  name: string,
  table: OldTable,
  leftOut: LeftOut<never>
) {
  const tally = verification.progress.tally(name, table.table)
  let matched = 0
  yield* verification.old.forEachBatch(table.sql, [name], (rows) =>
    Effect.gen(function* () {
      const found = yield* verification.ours.assets(table.table, name, rows.map(table.keyOf))
      const valid = new Map((yield* leftOut.take(table, rows)).map((stored) => [stored.key, stored]))
      for (const row of rows) {
        const key = table.keyOf(row)
        const our = found.get(key)
        if (our !== undefined) matched++
        if (our === undefined && !valid.has(key) && verification.skipped.has(table.table)) {
          tally.invalid++
          continue
        }
        const what = compareAsset(table, row, valid.get(key), our)
        if (what !== undefined) verification.report({ channel: name, table: table.table, key, what })
        if (our !== undefined) tally.done++
        if (isWithoutManager(valid.get(key))) verification.onSampleWithoutManager(name, key)
      }
      tally.read += rows.length
    })
  )
  yield* findMore(verification, name, table.table, matched, presentKeys[table.table])
})

const compareAsset = (
  table: OldTable,
  row: Row,
  stored: StoredAsset | undefined,
  our: StoredAsset | undefined
): string | undefined => {
  if (stored === undefined) {
    const decoded = table.decode(row)
    const reason = Result.isFailure(decoded) ? decoded.failure : "it refers to what is invalid"
    return our === undefined ? `${absent}: ${reason}` : reason
  }
  return our === undefined ? absent : difference(comparable(stored), comparable(our))
}

/** What the target has beyond the old database, looked for only where it has more. */
const findMore = Effect.fnUntraced(function* (
  { old, ours, report }: Verification,
  name: string,
  table: Table,
  matched: number,
  present: string
) {
  if ((yield* ours.count(table, name)) === matched) return
  yield* ours.forEachKeys(table, name, (keys) =>
    Effect.map(old.query(present, [name, keys]), (rows) => {
      const known = new Set(rows.map((row) => String(row.key)))
      for (const key of keys) {
        if (!known.has(key)) report({ channel: name, table, key, what: "it is not in the old database" })
      }
    })
  )
})

const compareEvent = (
  { event: { asset: _inMessage, id: _same, ...columns }, message }: ReadEvent,
  our: OurEvent,
  position: number
): string | undefined =>
  difference({ ...columns, position }, { ...our, message: undefined }) ??
  OldEventCodec.eventDifference(message, our.message)

const compareEvents = Effect.fnUntraced(function* (verification: Verification, name: string) {
  const { old, ours, report } = verification
  const tally = verification.progress.tally(name, "events")
  let position = 0
  yield* old.forEachBatch(OldEvents.sql, [name], (rows) =>
    Effect.gen(function* () {
      const found = yield* ours.events(
        name,
        rows.map((row) => String(row.id))
      )
      for (const row of rows) {
        const key = String(row.id)
        const say = (what: string) => report({ channel: name, table: "events", key, what })
        const our = found.get(key)
        const read = readEvent(name, row)
        if (our === undefined) {
          if (verification.skipped.has("events") && Result.isFailure(read)) tally.invalid++
          else say(Result.isFailure(read) ? `${absent}: ${read.failure}` : absent)
          continue
        }
        position++
        tally.done++
        const what = Result.isFailure(read) ? read.failure : compareEvent(read.success, our, position)
        if (what !== undefined) say(what)
      }
      tally.read += rows.length
    })
  )
  yield* findMore(verification, name, "events", position, OldEvents.presentIds)
})
