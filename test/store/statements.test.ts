/**
 * What a call costs does not grow with its channel: no statement reads a table from one end to the other, sorts more
 * than a page, or reads rows that it does not want. bench/statements looks at the same at full size.
 */
import { beforeAll, describe, expect, it } from "vitest"
import { type Ran, worst } from "../../bench/statements/Plans.ts"
import { run, runInNewChannel } from "../../bench/statements/Run.ts"

const size = { tasks: 5_000, events: 15_000 }

/** Tasks of one status, in the order of their dates: an index by status would make each change of a status cost more. */
const isByStatus = ({ text }: Ran): boolean => /FROM compute_tasks t? ?WHERE.* status = \$/.test(text)

let statements: ReadonlyArray<Ran> = []
beforeAll(async () => {
  statements = worst(await run(size, { fsync: "off" }))
}, 120_000)

const found = (matches: (ran: Ran) => boolean): ReadonlyArray<string> =>
  statements.filter(matches).map(({ pages, sorted, text, unwanted }) => `${pages} ${sorted} ${unwanted} ${text}`)

describe("the statements of all calls, on a channel with thousands of tasks", () => {
  it("are seen by this test", () => {
    const tables = ["compute_tasks", "task_parents", "compute_plans", "functions", "models", "performances", "events"]
    for (const table of tables) {
      expect(
        found(({ text }) => new RegExp(`FROM ${table}\\b`).test(text)),
        table
      ).not.toEqual([])
      expect(
        found(({ text }) => text.startsWith(`INSERT INTO ${table} `)),
        table
      ).not.toEqual([])
    }
    expect(found(isByStatus)).not.toEqual([])
    expect(statements.length).toBeGreaterThan(70)
  })

  it("read no table from one end to the other", () => {
    expect(found(({ scanned }) => scanned.length > 0)).toEqual([])
  })

  it("sort no more than a page", () => {
    expect(found(({ sorted }) => sorted > 25)).toEqual([])
  })

  it("read hardly a row that they do not want", () => {
    expect(found((ran) => ran.unwanted > 200 && !isByStatus(ran))).toEqual([])
  })

  it("look at few pages of tables and indexes", () => {
    expect(found((ran) => ran.pages > 500 && !isByStatus(ran))).toEqual([])
  })
})

it("a channel that the statistics do not know costs what its own rows do", async () => {
  const children = 300
  const ran = worst(await runInNewChannel(size, children, { fsync: "off" }))
  expect(ran.filter(({ text }) => text.includes("task_parents")).length).toBeGreaterThan(2)
  const costly = ran.filter(({ pages, unwanted }) => pages > 40 * children || unwanted > 5 * children)
  expect(costly.map(({ pages, text, unwanted }) => `${pages} ${unwanted} ${text}`)).toEqual([])
}, 120_000)
