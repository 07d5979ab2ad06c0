/** Progress is told every two seconds: rows, share, rate and time left. */
import { expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as TestClock from "effect/testing/TestClock"
import * as Progress from "../../src/layers/adoption/Progress.ts"
import type { Table } from "../../src/schema/Adoption.ts"

const counts = new Map([
  [
    "mychannel",
    new Map<Table, number>([
      ["compute_tasks", 1000],
      ["events", 8000]
    ])
  ]
])

it.effect("says how many rows, at what rate, and how long the rest takes", () =>
  Effect.gen(function* () {
    const lines: Array<string> = []
    const say = (line: string) => Effect.sync(() => void lines.push(line))
    const twice = (table: Table) => (table === "compute_tasks" ? 2 : 1)
    const progress = yield* Progress.make(counts, ["mychannel"], ["compute_tasks", "events"], twice, say)

    yield* TestClock.adjust("2 seconds")
    expect(lines).toEqual([])
    progress.tally("mychannel", "compute_tasks").read = 50
    yield* TestClock.adjust("2 seconds")
    progress.tally("mychannel", "compute_tasks").read = 2000
    progress.tally("mychannel", "events").read = 1000
    yield* TestClock.adjust("2 seconds")
    progress.tally("mychannel", "events").read = 8000
    yield* TestClock.adjust("2 seconds")
    expect(lines).toEqual([
      "mychannel compute_tasks: 50 of 10,000 rows (0 %), 13 rows/s",
      "mychannel events: 3,000 of 10,000 rows (30 %), 500 rows/s, 14 s left"
    ])
  })
)
