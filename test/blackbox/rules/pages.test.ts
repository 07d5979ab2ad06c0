/** Pages of every query: sizes, tokens, the order, and that nothing is repeated or skipped while others write. */
import { describe, expect, it } from "vitest"
import { TaskQueryFilter } from "../../../src/layers/wire/generated/computetask.ts"
import { EventQueryFilter } from "../../../src/layers/wire/generated/event.ts"
import type { Timestamp } from "../../../src/layers/wire/generated/google/protobuf/timestamp.ts"
import * as Build from "../Builders.ts"
import type { CallError } from "../CallError.ts"
import { message } from "../Client.ts"
import * as Drive from "../Drivers.ts"
import { failure } from "../Refusals.ts"
import { startServer } from "../Server.ts"

const { one, two } = await startServer()

interface Page {
  /** Each asset as a text that tells it from any other. */
  readonly items: ReadonlyArray<string>
  /** What the order is by, first to last; ascending. */
  readonly order: ReadonlyArray<ReadonlyArray<string | bigint>>
  readonly token: string
}
interface Param {
  readonly pageToken?: string
  readonly pageSize?: number
}

const micros = (time: Timestamp | undefined) => (time?.seconds ?? 0n) * 1_000_000n + BigInt((time?.nanos ?? 0) / 1000)
interface Dated {
  readonly key: string
  readonly creationDate: Timestamp | undefined
}
const page = (assets: ReadonlyArray<Dated>, token: string): Page => ({
  items: assets.map(({ key }) => key),
  order: assets.map(({ creationDate, key }) => [micros(creationDate), key]),
  token
})
/** Descending order of keys. */
const inverted = (key: string) => key.replace(/[0-9a-f]/g, (digit) => (15 - Number.parseInt(digit, 16)).toString(16))

const events = (sort: "ASCENDING" | "DESCENDING") => async (param: Param) => {
  const answer = await one.queryEvents({ ...param, sort })
  const sign = sort === "ASCENDING" ? 1n : -1n
  return {
    items: answer.events.map(({ id }) => id),
    order: answer.events.map(({ timestamp }) => [sign * micros(timestamp)]),
    token: answer.nextPageToken
  }
}

const queries: Readonly<Record<string, (param: Param) => Promise<Page>>> = {
  QueryPlans: async (param) => {
    const answer = await one.queryPlans(param)
    return page(answer.plans, answer.nextPageToken)
  },
  QueryTasks: async (param) => {
    const answer = await one.queryTasks(param)
    return page(answer.tasks, answer.nextPageToken)
  },
  QueryFunctions: async (param) => {
    const answer = await one.queryFunctions(param)
    return page(answer.Functions, answer.nextPageToken)
  },
  QueryDataManagers: async (param) => {
    const answer = await one.queryDataManagers(param)
    return page(answer.dataManagers, answer.nextPageToken)
  },
  QueryDataSamples: async (param) => {
    const answer = await one.queryDataSamples(param)
    return page(answer.dataSamples, answer.nextPageToken)
  },
  QueryPerformances: async (param) => {
    const answer = await one.queryPerformances(param)
    return {
      items: answer.Performances.map((each) => `${each.computeTaskKey}|${each.computeTaskOutputIdentifier}`),
      order: answer.Performances.map((each) => [
        micros(each.creationDate),
        inverted(each.computeTaskKey),
        each.computeTaskOutputIdentifier
      ]),
      token: answer.nextPageToken
    }
  },
  "QueryEvents, ascending": events("ASCENDING"),
  "QueryEvents, descending": events("DESCENDING")
}
const names = Object.keys(queries)
const query = (name: string, param: Param = {}) => (queries[name] as (param: Param) => Promise<Page>)(param)
const everything = (name: string) => query(name, { pageSize: 10_000 })

/** Some of each, several of one creation date where a call makes many. */
const seed = async () => {
  const fn = await Drive.aFunction(one, { outputs: { a: Build.performance, b: Build.performance } })
  const plans = [await Drive.aPlan(one), await Drive.aPlan(two), await Drive.aPlan(one)]
  for (let n = 0; n < 6; n++) {
    await one.registerFunction(Build.newFunction())
    await Drive.aPlan(two)
    await Drive.aManager(n % 2 === 0 ? one : two)
  }
  await Drive.samplesOf(one, [], 7)
  await Drive.samplesOf(two, [], 4)
  const tasks = Array.from({ length: 6 }, () => Build.newTask(fn, plans[0] as Build.Keyed, { worker: one.id }))
  for (const { key: computeTaskKey } of await Drive.register(one, ...tasks)) {
    await Drive.act(one, computeTaskKey, "EXECUTING")
    for (const computeTaskOutputIdentifier of ["b", "a"]) {
      await one.registerPerformance({ computeTaskKey, computeTaskOutputIdentifier, performanceValue: 1 })
    }
  }
}
await seed()

const compare = (a: ReadonlyArray<string | bigint>, b: ReadonlyArray<string | bigint>): number => {
  const differing = a.findIndex((part, index) => part !== b[index])
  return differing < 0 ? 0 : (a[differing] as string) < (b[differing] as string) ? -1 : 1
}

/** Page after page; between two of them something may happen. */
const walk = async (name: string, pageSize: number, between: (token: string) => Promise<unknown> = async () => {}) => {
  const items: Array<string> = []
  for (let pageToken = "", more = true; more; more = pageToken !== "") {
    const { items: found, token } = await query(name, { pageToken, pageSize })
    expect(found.length).toBeLessThanOrEqual(pageSize)
    if (token !== "") expect(found).toHaveLength(pageSize)
    items.push(...found)
    pageToken = token
    if (token !== "") await between(token)
  }
  return items
}

/** What the server did not make. */
const expectRefused = (error: CallError) => {
  expect(error.code).toBe("INVALID_ARGUMENT")
  expect(error.details).toMatch(/^OE0003: .*page_token/)
}

describe.each(names)("%s", (name) => {
  it("is in its order", async () => {
    const { items, order } = await everything(name)
    expect(items.length).toBeGreaterThan(5)
    expect(order).toEqual(order.toSorted(compare))
  })

  it.each([1, 3, 7])("in pages of %i gives the same, and a token exactly when something follows", async (pageSize) => {
    expect(await walk(name, pageSize)).toEqual((await everything(name)).items)
  })

  it("in one page of just its size has no token, in one that is one smaller has one", async () => {
    const { items } = await everything(name)
    expect((await query(name, { pageSize: items.length })).token).toBe("")
    expect((await query(name, { pageSize: items.length - 1 })).token).not.toBe("")
  })

  it("takes a token again, and with another page size", async () => {
    const { items } = await everything(name)
    const { token } = await query(name, { pageSize: 3 })
    for (const pageSize of [2, 3, 1]) {
      expect((await query(name, { pageSize, pageToken: token })).items).toEqual(items.slice(3, 3 + pageSize))
    }
    expect((await query(name, { pageSize: 10_000, pageToken: token })).items).toEqual(items.slice(3))
  })

  it("takes the largest page size", async () => {
    expect((await query(name, { pageSize: 4294967295 })).items).toEqual((await everything(name)).items)
  })

  it("refuses tokens that the server did not make", async () => {
    const { token } = await query(name, { pageSize: 1 })
    const mirrored = [...token].reverse().join("")
    const forged = ["1", "0", "-1", "x", " ", "\u0000", "ü", `${token}x`, token.slice(1), token.slice(0, -1), mirrored]
    for (const pageToken of forged.filter((each) => each !== token)) {
      expectRefused(await failure(query(name, { pageToken, pageSize: 1 })))
    }
  })

  it("refuses a token with any one character changed, or goes on", async () => {
    const { token } = await query(name, { pageSize: 1 })
    const outcomes = await Promise.all(
      [...token].map(async (character, index) => {
        const changed = character === "A" ? "B" : "A"
        const pageToken = token.slice(0, index) + changed + token.slice(index + 1)
        return query(name, { pageToken, pageSize: 1 }).then(
          () => undefined,
          (error: CallError) => error
        )
      })
    )
    for (const error of outcomes) if (error !== undefined) expectRefused(error)
  })

  it("refuses the tokens of other queries, of the other direction too", async () => {
    for (const other of names.filter((each) => each !== name)) {
      const { token } = await query(other, { pageSize: 1 })
      expectRefused(await failure(query(name, { pageToken: token, pageSize: 1 })))
    }
  })
})

describe("a page", () => {
  it("of size 0 has 50", async () => {
    await Drive.samplesOf(one, [], 60)
    const { dataSamples, nextPageToken } = await one.queryDataSamples()
    expect(dataSamples).toHaveLength(50)
    const next = await one.queryDataSamples({ pageToken: nextPageToken, pageSize: 1 })
    expect(next.dataSamples.map(({ key }) => key)).toEqual((await everything("QueryDataSamples")).items.slice(50, 51))
  })

  it("may hold ten thousand", async () => {
    await Drive.samplesOf(one, [], 10_000)
    const { dataSamples, nextPageToken } = await one.queryDataSamples({ pageSize: 10_000 })
    expect(dataSamples).toHaveLength(10_000)
    expect(nextPageToken).not.toBe("")
  })

  it("with another filter goes on from the same place", async () => {
    const plan = await Drive.aPlan(one)
    const fn = await Drive.aFunction(one)
    const add = () => Drive.aTask(one, { fn, plan })
    const [, before, , after] = [await add(), await add(), await add(), await add()] as const
    const filter = message(TaskQueryFilter, { computePlanKey: plan.key })
    const { nextPageToken } = await one.queryTasks({ filter, pageSize: 2 })
    await Drive.act(one, before, "CANCELED")
    await Drive.act(one, after, "CANCELED")
    const canceled = { ...filter, status: "STATUS_CANCELED" } as const
    const next = await one.queryTasks({ filter: canceled, pageToken: nextPageToken })
    expect(next.tasks.map(({ key }) => key)).toEqual([after.key])
  })
})

describe("while others write, pages", () => {
  it.each(["QueryPlans", "QueryDataSamples", "QueryFunctions", "QueryDataManagers", "QueryEvents, ascending"])(
    "of %s repeat nothing, and skip nothing that was there",
    async (name) => {
      const { items } = await query(name, { pageSize: 100 })
      const pageSize = Math.max(1, Math.ceil(items.length / 4))
      let rounds = 0
      const seen = await walk(name, pageSize, async () => {
        if (rounds++ < 4) {
          await Promise.all([
            Drive.aPlan(one),
            Drive.samplesOf(two, [], 2),
            one.registerFunction(Build.newFunction()),
            Drive.aManager(two)
          ])
        }
      })
      expect(new Set(seen).size).toBe(seen.length)
      expect(seen.slice(0, items.length)).toEqual(items)
    }
  )

  it("of tasks by status skip none of those that keep it, though others leave and enter", async () => {
    const plan = await Drive.aPlan(one)
    const fn = await Drive.aFunction(one)
    const tasks = await Drive.register(
      one,
      ...Array.from({ length: 12 }, () => Build.newTask(fn, plan, { worker: one.id }))
    )
    const sorted = tasks.map(({ key }) => key).sort()
    const filter = message(TaskQueryFilter, {
      computePlanKey: plan.key,
      status: "STATUS_WAITING_FOR_EXECUTOR_SLOT"
    })
    const seen: Array<string> = []
    for (let pageToken = "", n = 0; n === 0 || pageToken !== ""; n++) {
      const answer = await one.queryTasks({ filter, pageToken, pageSize: 3 })
      seen.push(...answer.tasks.map(({ key }) => key))
      pageToken = answer.nextPageToken
      // What was seen leaves, something new comes.
      if (n < 3) await Drive.act(one, sorted[n] as string, "EXECUTING")
      if (n < 3) await Drive.aTask(one, { fn, plan })
    }
    expect(seen.slice(0, 12)).toEqual(sorted)
    expect(new Set(seen).size).toBe(seen.length)
  })

  it("of events, descending, do not see what is new", async () => {
    const filter = message(EventQueryFilter)
    const all = (await one.queryEvents({ filter, sort: "DESCENDING", pageSize: 40 })).events.map(({ id }) => id)
    const seen: Array<string> = []
    let pageToken = ""
    for (let n = 0; n < 4; n++) {
      const answer = await one.queryEvents({ filter, sort: "DESCENDING", pageSize: 10, pageToken })
      seen.push(...answer.events.map(({ id }) => id))
      pageToken = answer.nextPageToken
      await Drive.aPlan(two)
    }
    expect(seen).toEqual(all)
  })
})
