/** The comparer of the transcript, held against answers that are faithful, and against the same with a change in them. */
import { describe, expect, it } from "vitest"
import * as Transcript from "./Transcript.ts"
import recording from "./transcript.json" with { type: "json" }

type Json = Transcript.Json

const transcript = recording as unknown as Transcript.Transcript
const expectedEvents = Transcript.expectedEvents(transcript.events)

/** What a faithful server says: the recorded value, with times and event ids of its own and the client's keys. */
const faithful = <T extends Json>(symbols: Transcript.Symbols, recorded: T): T =>
  JSON.parse(
    JSON.stringify(recorded)
      .replaceAll(/"t(\d+)"/g, '"1790000$1.000000000"')
      .replaceAll(/\$event-(\d+)/g, "the event $1")
      .replaceAll(/\$[a-z0-9-]+/g, (name) => symbols.key(name))
  )

const outcomeOf = (symbols: Transcript.Symbols, step: Transcript.Step): Transcript.Outcome => {
  const { details, response, status } = Transcript.overlay(
    step as unknown as Json,
    step.better
  ) as unknown as Transcript.Step
  return faithful(symbols, { status, ...(details && { details }), ...(response && { response }) }) as never
}

const differs = ({ actual, expected }: Transcript.Comparison): boolean =>
  JSON.stringify(sorted(actual)) !== JSON.stringify(sorted(expected))

const sorted = (value: Json): Json =>
  Array.isArray(value)
    ? value.map(sorted)
    : typeof value === "object"
      ? Object.fromEntries(
          Object.entries(value)
            .sort(([a], [b]) => (a < b ? -1 : 1))
            .map(([name, part]) => [name, sorted(part)])
        )
      : value

/** Every value that is one change away: a leaf is another one, a field or an item is missing or too many. */
function* changes(value: Json): Generator<Json> {
  if (typeof value === "string") yield `${value}x`
  else if (typeof value === "number") yield value + 1
  else if (typeof value === "boolean") yield !value
  else if (Array.isArray(value)) {
    yield [...value, "one more"]
    for (const [index, item] of value.entries()) {
      yield value.toSpliced(index, 1)
      for (const changed of changes(item)) yield value.with(index, changed)
    }
  } else {
    yield { ...value, unexpected: "" }
    for (const [name, part] of Object.entries(value)) {
      const { [name]: _, ...rest } = value as Transcript.JsonObject
      yield rest
      for (const changed of changes(part)) yield { ...rest, [name]: changed }
    }
  }
}

/** Symbols after the whole conversation, so that each has its value. */
const informed = (): Transcript.Symbols => {
  const symbols = new Transcript.Symbols()
  for (const step of transcript.steps) Transcript.compareStep(symbols, step, outcomeOf(symbols, step))
  Transcript.compareEvents(symbols, expectedEvents, faithful(symbols, expectedEvents))
  return symbols
}

/** Tokens and the text of one answer are not fixed. */
const free = (step: Transcript.Step, changed: Json): boolean => {
  const { details, response } = changed as { details?: string; response?: { next_page_token?: string } }
  const recorded = step.response?.next_page_token
  return (
    (recorded !== undefined && recorded !== "" && (response?.next_page_token ?? recorded) !== recorded) ||
    (step.note?.includes("only the OE code") === true && details !== undefined && details !== step.details)
  )
}

describe("the comparer of the transcript", () => {
  it("takes faithful answers and events", () => {
    const symbols = new Transcript.Symbols()
    for (const step of transcript.steps) {
      const { actual, expected } = Transcript.compareStep(symbols, step, outcomeOf(symbols, step))
      expect(actual).toEqual(expected)
    }
    const events = Transcript.compareEvents(symbols, expectedEvents, faithful(symbols, expectedEvents))
    expect(events.actual).toEqual(events.expected)
  })

  it("refuses every answer that is one change away", () => {
    const symbols = informed()
    const overlooked = transcript.steps.flatMap((step, index) =>
      [...changes(outcomeOf(symbols, step) as unknown as Json)]
        .filter((changed) => !("unexpected" in (changed as object)) && !free(step, changed))
        .filter((changed) => !differs(Transcript.compareStep(symbols, step, changed as unknown as Transcript.Outcome)))
        .map((changed) => ({ index, changed }))
    )
    expect(overlooked).toEqual([])
  })

  it("refuses every event that is one change away", () => {
    const symbols = informed()
    const overlooked = expectedEvents.flatMap((event) =>
      [...changes(faithful(symbols, event))].filter(
        (changed) => !differs(Transcript.compareEvents(symbols, [event], [changed]))
      )
    )
    expect(overlooked).toEqual([])
  })

  it("refuses events that are missing, doubled, or in another order", () => {
    const symbols = informed()
    const came = faithful(symbols, expectedEvents)
    const [first, second] = came as unknown as readonly [Transcript.JsonObject, Transcript.JsonObject]
    const changed = [came.slice(1), came.slice(0, -1), [first, ...came], came.with(0, second).with(1, first)]
    expect(changed.map((events) => differs(Transcript.compareEvents(symbols, expectedEvents, events)))).toEqual(
      changed.map(() => true)
    )
  })

  it("refuses one value for two events, and two values for one time", () => {
    const symbols = new Transcript.Symbols()
    const [first, second] = expectedEvents as readonly [Transcript.JsonObject, Transcript.JsonObject]
    const twice = faithful(symbols, [first, { ...second, id: first.id ?? "" }])
    expect(differs(Transcript.compareEvents(symbols, [first, second], twice))).toBe(true)
    const dates = [{ creation_date: "t1" }, { creation_date: "t1" }]
    const two = [{ creation_date: "1.000000000" }, { creation_date: "1.000000001" }]
    expect(differs(Transcript.compareEvents(new Transcript.Symbols(), dates, two))).toBe(true)
  })

  it("takes sets in any order: the tasks of a cascade, ids of a union", () => {
    const symbols = informed()
    const came = faithful(symbols, expectedEvents)
    const cascade = came.findIndex(({ asset_key }, index) => asset_key === symbols.key("$train-two") && index > 20)
    const swapped = came.with(cascade, came[cascade + 1] as never).with(cascade + 1, came[cascade] as never)
    expect(differs(Transcript.compareEvents(symbols, expectedEvents, swapped))).toBe(false)
    const united = came.findIndex(({ asset_key }) => asset_key === symbols.key("$aggregate-1"))
    const task = came[united]?.compute_task as Transcript.JsonObject
    const reversed = { ...task, logs_permission: { public: false, authorized_ids: ["MyOrg2MSP", "MyOrg1MSP"] } }
    const other = came.with(united, { ...came[united], compute_task: reversed } as never)
    expect(differs(Transcript.compareEvents(symbols, expectedEvents, other))).toBe(false)
  })
})
