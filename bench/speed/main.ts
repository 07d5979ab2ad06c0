/**
 * `npm run bench -- [scenario …] [--quick] [--json FILE]`: the server under load, over real gRPC, beside what the
 * machine can do without it. Fails on errors and wrong results, never on time. docs/performance.md tells how to read it.
 */
import * as fs from "node:fs/promises"
import * as os from "node:os"
import { parseArgs } from "node:util"
import { type Row, table } from "./Report.ts"
import type { Scenario } from "./Scenario.ts"
import { actions } from "./scenarios/actions.ts"
import { federation } from "./scenarios/federation.ts"
import { functions } from "./scenarios/functions.ts"
import { liveDelivery } from "./scenarios/live.ts"
import { plans } from "./scenarios/plans.ts"
import { memory, mixed, start } from "./scenarios/process.ts"
import { reads } from "./scenarios/reads.ts"
import { replays } from "./scenarios/replay.ts"
import { scale } from "./scenarios/scale.ts"
import { tasks } from "./scenarios/tasks.ts"
import { isMeasurable } from "./Usage.ts"
import { World } from "./World.ts"

const scenarios: ReadonlyArray<Scenario> = [
  plans,
  tasks,
  actions,
  federation,
  functions,
  reads,
  liveDelivery,
  replays,
  mixed,
  scale,
  memory,
  start
]

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: {
    quick: { type: "boolean", default: false },
    rounds: { type: "string", default: "3" },
    json: { type: "string" },
    help: { type: "boolean", default: false }
  }
})

const unknown = positionals.filter((name) => !scenarios.some((scenario) => scenario.name === name))
if (values.help || unknown.length > 0) {
  if (unknown.length > 0) console.error(`no such scenario: ${unknown.join(", ")}`)
  console.log("npm run bench -- [scenario …] [--quick] [--rounds N] [--json FILE]")
  for (const { about, name } of scenarios) console.log(`  ${name.padEnd(12)} ${about}`)
  process.exit(unknown.length > 0 ? 1 : 0)
}

const rows: Array<Row> = []
const wrong: Array<string> = []
if (!isMeasurable) console.log("CPU and memory can be measured on Linux only: those columns stay empty")
// Whoever stops the bench wants its servers gone too.
let open: World | undefined
for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.once(signal, async () => {
    await open?.close()
    process.exit(130)
  })
}
const chosen = scenarios.filter(({ name }) => positionals.length === 0 || positionals.includes(name))
for (const scenario of chosen) {
  console.log(`\n${scenario.name}: ${scenario.about}`)
  // A database of its own each: no scenario finds what another left.
  const world = await World.open()
  open = world
  try {
    await scenario.run({
      world,
      quick: values.quick,
      rounds: values.quick ? 1 : Number(values.rounds),
      report: (row) => {
        rows.push(row)
        if (!values.quick) console.log(table([row]).split("\n").at(-1))
      },
      wrong: (what) => wrong.push(`${scenario.name}: ${what}`)
    })
  } catch (error) {
    wrong.push(`${scenario.name}: ${error instanceof Error ? error.stack : error}`)
  } finally {
    await world.close()
  }
}
console.log(`\n${table(rows)}`)
if (values.json !== undefined) {
  const machine = { cpus: os.cpus().length, model: os.cpus()[0]?.model, node: process.version }
  await fs.writeFile(values.json, JSON.stringify({ at: new Date().toISOString(), machine, rows }, null, 2))
}
for (const what of wrong) console.error(`WRONG ${what}`)
process.exit(wrong.length > 0 ? 1 : 0)
