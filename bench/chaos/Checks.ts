/** What must hold at the end of a run, whatever happened in it. */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as EventCodecLayer from "../../src/layers/wire/EventCodec.ts"
import { Event } from "../../src/layers/wire/generated/event.ts"
import type { Timestamp } from "../../src/schema/Timestamp.ts"
import { EventCodec } from "../../src/services/store/EventCodec.ts"
import type { Entry } from "../../test/concurrency/Log.ts"
import { violations } from "../../test/concurrency/LogRules.ts"
import { type Call, marksOf } from "./Calls.ts"
import type { Postgres } from "./Postgres.ts"
import type { Ids } from "./Subscribers.ts"

const codec = Context.get(Effect.runSync(Effect.scoped(Layer.build(EventCodecLayer.layer))), EventCodec)

/** A channel's log, read from the table. */
export const readLog = async (postgres: Postgres, channel: string): Promise<ReadonlyArray<Entry>> => {
  const entries: Array<Entry> = []
  while (true) {
    const rows = await postgres.query(
      `SELECT position, id, (extract(epoch FROM "timestamp") * 1000000)::bigint AS time, message
         FROM events WHERE channel = $1 AND position > $2 ORDER BY position LIMIT 5000`,
      [channel, entries.at(-1)?.position ?? 0]
    )
    if (rows.length === 0) return entries
    for (const row of rows) {
      const timestamp = Number(row.time)
      const event = Event.decode(codec.complete(row.message as Uint8Array, timestamp as Timestamp))
      if (event.asset === undefined || event.id !== String(row.id)) throw new Error(`no event at ${row.position}`)
      entries.push({
        position: Number(row.position),
        timestamp,
        event,
        asset: event.asset,
        reason: event.metadata.get("reason")
      })
    }
  }
}

/** Where a subscriber's list is not the log. */
export const compare = (seen: ReadonlyArray<number>, log: ReadonlyArray<number>, ids: Ids): string | undefined => {
  for (const [index, id] of seen.entries()) {
    if (log[index] === id) continue
    const expected = log[index] === undefined ? "nothing" : ids.textOf(log[index])
    return `event ${index + 1} of ${seen.length} is ${ids.textOf(id)}, at ${log.indexOf(id) + 1} of the log, expected ${expected}`
  }
  return undefined
}

/** The calls of a channel against its log. */
export const checkCalls = (calls: ReadonlyArray<Call>, log: ReadonlyArray<Entry>): ReadonlyArray<string> => {
  const marks = new Set(log.flatMap(({ event }) => marksOf(event)))
  const wrong: Array<string> = []
  for (const { isOnly, marks: own, outcome, rpc } of calls) {
    const there = own.filter((mark) => marks.has(mark)).length
    const what = `${rpc} (${own[0]}) was ${outcome}: ${there} of its ${own.length} events are in the log`
    if (outcome === "acknowledged" && there !== own.length) wrong.push(what)
    if (outcome === "refused" && isOnly && there !== 0) wrong.push(what)
    if (outcome === "in doubt" && there !== 0 && there !== own.length) wrong.push(what)
  }
  return wrong
}

const tables = [
  ["function", "functions", "key", "status"],
  ["computeTask", "compute_tasks", "key", "status"],
  ["computePlan", "compute_plans", "key", "name"],
  ["dataManager", "data_managers", "key", "name"],
  ["dataSample", "data_samples", "key", "checksum"],
  ["model", "models", "key", "owner"],
  ["performance", "performances", "compute_task_key", "output_identifier"],
  ["failureReport", "failure_reports", "asset_key", "error_type"],
  ["organization", "organizations", "id", "address"],
  ["profilingStep", "profiling_steps", "step", "duration"]
] as const

const fieldOf = (asset: object, column: string): unknown => {
  const camel = column.replace(/_(\w)/g, (_, letter: string) => letter.toUpperCase())
  const value = asset as Record<string, unknown>
  return value[camel === "outputIdentifier" ? "computeTaskOutputIdentifier" : camel]
}

/** The tables hold exactly what the log's events say, as the last one of each asset says it. */
export const checkTables = async (
  postgres: Postgres,
  channel: string,
  log: ReadonlyArray<Entry>
): Promise<ReadonlyArray<string>> => {
  const wrong: Array<string> = []
  for (const [kind, table, key, column] of tables) {
    const last = new Map<string, unknown>()
    for (const { asset } of log) {
      if (asset.$case === kind) last.set(String(fieldOf(asset.value, key)), fieldOf(asset.value, column))
    }
    const rows = await postgres.query(`SELECT ${key} AS key, ${column} AS value FROM ${table} WHERE channel = $1`, [
      channel
    ])
    for (const row of rows) {
      const id = String(row.key)
      if (!last.has(id)) wrong.push(`${table} has ${id}, the log does not`)
      else if (String(last.get(id)) !== String(row.value))
        wrong.push(`${table} has ${id} as ${row.value}, the log as ${last.get(id)}`)
      last.delete(id)
    }
    for (const id of last.keys()) wrong.push(`the log has ${id}, ${table} does not`)
  }
  return wrong
}

export const checkLog = (log: ReadonlyArray<Entry>): ReadonlyArray<string> => [
  ...log.flatMap(({ position }, index) =>
    position === index + 1 ? [] : [`position ${position} is the ${index + 1}th`]
  ),
  ...violations(log)
]
