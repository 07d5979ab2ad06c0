/**
 * The recorded conversation as something to compare with. Symbols get values as they come up: a `$name` a fresh UUID,
 * a time or an event id whatever the server says first. Recorded and answered values are brought into the same
 * form, symbols resolved and sets in the recorded order, so that any test tool can tell the difference.
 */
import { randomUUID } from "node:crypto"

export type Json = string | number | boolean | ReadonlyArray<Json> | { readonly [name: string]: Json }
export type JsonObject = { readonly [name: string]: Json }

export interface Step {
  readonly rpc: string
  readonly mspid?: string
  readonly channel?: string
  /** The headers, where they are not those of an organization on a channel. */
  readonly metadata?: ReadonlyArray<readonly [string, string]>
  readonly request: JsonObject
  readonly note?: string
  readonly status: string
  readonly details?: string
  readonly response?: JsonObject
  readonly better?: JsonObject
}

export type RecordedEvent = JsonObject & { readonly asset_key: string; readonly timestamp: string }

export interface Transcript {
  readonly steps: ReadonlyArray<Step>
  readonly events: ReadonlyArray<RecordedEvent>
}

/** How a call ended, in the transcript's words. */
export interface Outcome {
  readonly status: string
  readonly details?: string
  readonly response?: Json
}

/** What was recorded and what came, ready for an equality. */
export interface Comparison {
  readonly expected: Json
  readonly actual: Json
}

const isObject = (value: Json | undefined): value is JsonObject => typeof value === "object" && !Array.isArray(value)
const isList = (value: Json | undefined): value is ReadonlyArray<Json> => Array.isArray(value)
const mapObject = (object: JsonObject, f: (value: Json, name: string) => Json): JsonObject =>
  Object.fromEntries(Object.entries(object).map(([name, value]) => [name, f(value, name)]))

/** Lays `better` over what was recorded: objects are merged, everything else is replaced. */
export const overlay = (recorded: Json, better: Json | undefined): Json =>
  better === undefined
    ? recorded
    : isObject(recorded) && isObject(better)
      ? { ...recorded, ...mapObject(better, (value, name) => overlay(recorded[name] ?? value, value)) }
      : better

const isTime = (text: string) => /^t\d+$/.test(text)
const isEventId = (text: string) => /^\$event-\d+$/.test(text)

/** The values that symbols have got. */
export class Symbols {
  readonly #values = new Map<string, string>()

  /** A key, made when it is first asked for. */
  key(name: string): string {
    const value = this.#values.get(name) ?? randomUUID()
    this.#values.set(name, value)
    return value
  }

  /** What a time or an event id stands for: what came, at first sight, but no two events are one. */
  seen(symbol: string, came: Json | undefined): string {
    const taken = isEventId(symbol) && [...this.#values.values()].includes(came as string)
    const value = this.#values.get(symbol) ?? (typeof came === "string" && !taken ? came : `<${symbol}>`)
    this.#values.set(symbol, value)
    return value
  }

  /** A recorded value with its symbols resolved, as far as needed by what came at the same place. */
  resolve(recorded: Json, came: Json | undefined = undefined): Json {
    if (typeof recorded === "string") {
      if (isTime(recorded) || isEventId(recorded)) return this.seen(recorded, came)
      return recorded.replaceAll(/\$[a-z0-9-]+/g, (name) => this.key(name))
    }
    if (isList(recorded))
      return recorded.map((item, index) => this.resolve(item, isList(came) ? came[index] : undefined))
    return isObject(recorded)
      ? mapObject(recorded, (value, name) => this.resolve(value, isObject(came) ? came[name] : undefined))
      : recorded
  }
}

/** Where a list's order is not fixed, what came takes the recorded order; what was not recorded goes last. */
const likewise = (recorded: ReadonlyArray<Json>, came: ReadonlyArray<Json>, name: (item: Json) => Json) => {
  const place = (item: Json) => {
    const index = recorded.findIndex((other) => name(other) === name(item))
    return index < 0 ? recorded.length : index
  }
  return came.toSorted((a, b) => place(a) - place(b))
}

const field = (name: string) => (item: Json) => (isObject(item) ? (item[name] ?? "") : "")

/** Runs of items that are alike; each run of what came takes the order of its recorded one. */
const runsLikewise = (
  recorded: ReadonlyArray<Json>,
  came: ReadonlyArray<Json>,
  alike: (a: Json, b: Json) => boolean,
  name: (item: Json) => Json
): ReadonlyArray<Json> => {
  const arranged: Array<Json> = []
  for (let from = 0; from < recorded.length; ) {
    let to = from + 1
    while (to < recorded.length && alike(recorded[from] as Json, recorded[to] as Json)) to++
    arranged.push(...likewise(recorded.slice(from, to), came.slice(from, to), name))
    from = to
  }
  return [...arranged, ...came.slice(recorded.length)]
}

/** A task without data whose logs permission is the union of its parents' ones. */
const hasUnitedLogs = (message: JsonObject): boolean =>
  isList(message.inputs) &&
  message.inputs.length > 0 &&
  message.inputs.every((input) => isObject(input) && input.parent_task_output !== undefined) &&
  isObject(message.logs_permission)

const identity = (item: Json) => item

/** Tokens say only whether something follows; ids of a union have no order. */
const normalized = (recorded: Json, came: Json): Json => {
  if (isList(recorded) && isList(came)) {
    return came.map((item, index) => (recorded[index] === undefined ? item : normalized(recorded[index], item)))
  }
  if (!isObject(recorded) || !isObject(came)) return came
  const united = hasUnitedLogs(recorded)
  return mapObject(came, (value, name) => {
    const other = recorded[name]
    if (other === undefined) return value
    if (united && name === "logs_permission" && isObject(value) && isObject(other)) {
      return mapObject(value, (part, of) =>
        isList(part) && isList(other[of]) ? likewise(other[of], part, identity) : part
      )
    }
    if (name === "next_page_token" && value !== "" && other !== "") return other
    return normalized(other, value)
  })
}

const sameDate = (a: Json, b: Json) => isObject(a) && isObject(b) && a.creation_date === b.creation_date

/** Assets of one creation date are answered in the order of keys, which are not the recorded ones. */
const arrangedAnswer = (symbols: Symbols, rpc: string, recorded: Json, came: Json): Json => {
  if (!isObject(recorded) || !isObject(came) || !/\/(Query|GetDataset)/.test(rpc)) return came
  return mapObject(came, (value, name) => {
    const other = recorded[name]
    if (!isList(value) || !isList(other)) return value
    const keyed = other.map((item) => (isObject(item) ? { ...item, key: symbols.resolve(item.key ?? "") } : item))
    return name === "data_sample_keys"
      ? likewise(symbols.resolve(other) as ReadonlyArray<Json>, value, identity)
      : runsLikewise(keyed, value, sameDate, field("key"))
  })
}

/** Of an answer whose note says so, only the kind of the details counts. */
const detailsOf = (step: Step, details: Json | undefined) =>
  typeof details === "string" && step.note?.includes("only the OE code") ? details.slice(0, 6) : details

export const compareStep = (symbols: Symbols, step: Step, came: Outcome): Comparison => {
  const { details, response, status } = overlay(step as unknown as Json, step.better) as unknown as Step
  const answer =
    came.response === undefined || response === undefined
      ? came.response
      : normalized(response, arrangedAnswer(symbols, step.rpc, response, came.response))
  const side = (parts: { readonly [name: string]: Json | undefined }) =>
    Object.fromEntries(Object.entries(parts).filter(([, value]) => value !== undefined)) as JsonObject
  const actual = side({ status: came.status, details: detailsOf(step, came.details), response: answer })
  return { expected: symbols.resolve(side({ status, details: detailsOf(step, details), response }), actual), actual }
}

const assetNamed = "compute_plan"

/** The recorded events as this project sends them: improved, and with those that only it sends. */
export const expectedEvents = (events: Transcript["events"]): ReadonlyArray<JsonObject> => {
  const plans = new Map<string, JsonObject>()
  return events.map(({ added, better, ...recorded }, index) => {
    const event = overlay(recorded, better) as RecordedEvent
    const plan =
      added === undefined ? event[assetNamed] : { ...plans.get(event.asset_key), failure_date: event.timestamp }
    if (isObject(plan)) plans.set(event.asset_key, plan)
    return added === undefined ? event : { id: `$event-${events.length + index}`, ...event, [assetNamed]: plan as Json }
  })
}

/** Tasks of one creation date that one call moves follow in the order of their keys. */
const sameCascade = (a: Json, b: Json) =>
  isObject(a) &&
  isObject(b) &&
  a.timestamp === b.timestamp &&
  [a, b].every((event) => event.asset_kind === "ASSET_COMPUTE_TASK" && event.event_kind === "EVENT_ASSET_UPDATED") &&
  sameDate(a.compute_task ?? "", b.compute_task ?? "")

export const compareEvents = (
  symbols: Symbols,
  recorded: ReadonlyArray<JsonObject>,
  came: ReadonlyArray<Json>
): Comparison => {
  const keyed = recorded.map((event) => ({ ...event, asset_key: symbols.resolve(event.asset_key ?? "") }))
  const actual = normalized(recorded, runsLikewise(keyed, came, sameCascade, field("asset_key")))
  return { expected: symbols.resolve(recorded, actual), actual }
}
