/**
 * What calls answered, so that it can be compared between stores: dates become their rank among all of the transcript,
 * ids of events are left out, and maps, which have no order, are sorted.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"

/** Microseconds, to be replaced by their rank. */
class Time {
  readonly micros: number
  constructor(micros: number) {
    this.micros = micros
  }
}

const dates = ["creationDate", "cancelationDate", "failureDate", "timestamp"]

const toTime = (value: unknown): unknown => {
  if (typeof value === "number") return new Time(value)
  if (typeof value !== "object" || value === null) return value
  const { nanos, seconds } = value as { readonly nanos: number; readonly seconds: bigint }
  return new Time(Number(seconds) * 1_000_000 + nanos / 1000)
}

/** Plain values of plain values, in one order of keys. */
export const normalize = (value: unknown): unknown => {
  if (value instanceof Time) return value
  if (Array.isArray(value)) return value.map(normalize)
  if (value instanceof Map) {
    return Object.fromEntries(
      [...value].sort(([a], [b]) => (a < b ? -1 : 1)).map(([key, one]) => [key, normalize(one)])
    )
  }
  if (typeof value !== "object" || value === null) return value
  return Object.fromEntries(
    Object.entries(value)
      .filter(([, one]) => one !== undefined)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, one]) => [key, dates.includes(key) ? toTime(one) : normalize(one)])
  )
}

const collect = (value: unknown, into: Set<number>): void => {
  if (value instanceof Time) into.add(value.micros)
  else if (typeof value === "object" && value !== null) for (const one of Object.values(value)) collect(one, into)
}

const replace = (value: unknown, ranks: ReadonlyMap<number, number>): unknown => {
  if (value instanceof Time) return `time ${ranks.get(value.micros)}`
  if (Array.isArray(value)) return value.map((one) => replace(one, ranks))
  if (typeof value !== "object" || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, replace(one, ranks)]))
}

/** The values with ranks for dates: equal for two stores that did the same, whenever they did it. */
export const ranked = (values: unknown): unknown => {
  const seen = new Set<number>()
  collect(values, seen)
  const ranks = new Map([...seen].sort((a, b) => a - b).map((micros, rank) => [micros, rank]))
  return replace(values, ranks)
}

/** What became of a call: its answer, or its error as a client learns it. */
export const outcomeOf = <A, E, R>(call: Effect.Effect<A, E, R>): Effect.Effect<object, never, R> =>
  Effect.map(Effect.exit(call), (exit) => {
    if (Exit.isSuccess(exit)) return { ok: normalize(exit.value) }
    if (Cause.hasDies(exit.cause) || Cause.hasInterrupts(exit.cause)) return { defect: Cause.pretty(exit.cause) }
    const error = Cause.squash(exit.cause) as {
      readonly _tag: string
      readonly message: string
      readonly violations?: unknown
    }
    return { error: error._tag, message: error.message, violations: normalize(error.violations) }
  })
