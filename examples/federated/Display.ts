/**
 * Shows progress and results: on a terminal a small table that is drawn again at each change, elsewhere one line a
 * change; at the end the accuracies by round and organization.
 */
import type { FunctionName } from "./Plan.ts"
import type { Change, Progress } from "./Progress.ts"
import type { Scheduling, Times } from "./Scheduling.ts"

export interface Display {
  readonly show: (change: Change) => void
}

const print = (line = "") => process.stdout.write(`${line}\n`)

const seconds = (since: number) => ((performance.now() - since) / 1000).toFixed(3)

const symbols: Readonly<Record<string, string>> = {
  STATUS_WAITING_FOR_BUILDER_SLOT: "b",
  STATUS_BUILDING: "b",
  STATUS_WAITING_FOR_PARENT_TASKS: "·",
  STATUS_WAITING_FOR_EXECUTOR_SLOT: "○",
  STATUS_EXECUTING: "◐",
  STATUS_DONE: "●",
  STATUS_FAILED: "✗",
  STATUS_CANCELED: "✗"
}
const legend = "b function is built   · waits for parents   ○ may start   ◐ executing   ● done   ✗ failed"

const average = (values: ReadonlyArray<number>) => values.reduce((sum, value) => sum + value, 0) / values.length

const tableRows = ({ accuracies, plan, statuses }: Progress): ReadonlyArray<string> =>
  Array.from({ length: plan.rounds }, (_, index) => {
    const keys = (name: FunctionName) =>
      [...plan.steps].filter(([, step]) => step.round === index + 1 && step.function === name).map(([key]) => key)
    const marks = (name: FunctionName) => keys(name).map((key) => symbols[statuses.get(key) ?? ""] ?? " ")
    const found = keys("test").flatMap((key) => accuracies.get(key) ?? [])
    const accuracy = found.length === 0 ? "" : `accuracy ${average(found).toFixed(3)}`
    const cells = (["train", "aggregate", "test"] as const).map((name) => `${name} ${marks(name).join("")}`)
    return `  round ${String(index + 1).padStart(String(plan.rounds).length)}   ${cells.join("   ")}   ${accuracy}`
  })

const table = (progress: Progress): Display => {
  let drawn = 0
  return {
    show: () => {
      const lines = [...tableRows(progress), `  ${legend}`]
      // Up to the first line of what was drawn, and clear each line before it is written again.
      process.stdout.write(`${drawn > 0 ? `\x1b[${drawn}A` : ""}${lines.map((line) => `\x1b[2K${line}\n`).join("")}`)
      drawn = lines.length
    }
  }
}

const lines = ({ plan }: Progress, started: number): Display => {
  const width = Math.max(...plan.organizations.map(({ length }) => length))
  return {
    show: ({ now, organization, what }) =>
      print(`${seconds(started).padStart(8)} s  ${organization.padEnd(width)}  ${what.padEnd(18)}  ${now}`)
  }
}

/** `started`: of `performance.now()` */
export const make = (progress: Progress, started: number): Display => {
  const { columns = 0, isTTY, rows = 0 } = process.stdout
  const fits = Math.max(legend.length, 60 + 2 * progress.plan.organizations.length) < columns
  return isTTY && fits && progress.plan.rounds + 2 < rows ? table(progress) : lines(progress, started)
}

const printAccuracies = ({ accuracies, plan }: Progress) => {
  const columns = [...plan.organizations, "average"]
  const row = (first: string, cells: ReadonlyArray<string>) =>
    print(
      `  ${first.padEnd(10)}${cells.map((cell, index) => cell.padStart((columns[index]?.length ?? 0) + 3)).join("")}`
    )
  print("\nAccuracy of the shared model, tested by each organization on data of its own:\n")
  row("", columns)
  for (let round = 1; round <= plan.rounds; round++) {
    const values = plan.organizations.map((organization) => {
      const isTest = (key: string) => {
        const step = plan.steps.get(key)
        return step?.function === "test" && step.round === round && step.organization === organization
      }
      return [...accuracies].find(([key]) => isTest(key))?.[1] ?? Number.NaN
    })
    row(
      `round ${round}`,
      [...values, average(values)].map((value) => value.toFixed(3))
    )
  }
}

export const summary = (progress: Progress, scheduling: Scheduling["Service"], started: number) => {
  printAccuracies(progress)
  const { sinceAnswered, sinceSent, tasks } = scheduling.summary()
  const times = ({ max, median }: Times) => `median ${median.toFixed(1)} ms, max ${max.toFixed(1)} ms`
  print(`\n${progress.plan.tasks.length} tasks done in ${seconds(started)} s.`)
  print(`Scheduling: from the DONE of a task's last parent to the event that lets the task start, ${tasks} times:`)
  print(`  since DONE was answered  ${times(sinceAnswered)} (0: the event came before the answer)`)
  print(`  since DONE was sent      ${times(sinceSent)}`)
}
