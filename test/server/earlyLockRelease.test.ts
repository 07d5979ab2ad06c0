/**
 * ORCHESTRATOR_EARLY_LOCK_RELEASE: writers of a channel do not wait for each other's commits to be durable; what they are
 * answered, and every event, waits for that. A standby that is not there keeps commits from being durable here.
 */
import { expect, it, vi } from "vitest"
import { layout } from "../../src/layers/embedded/DataDir.ts"
import * as Build from "../blackbox/Builders.ts"
import * as Program from "./Program.ts"
import * as Session from "./Session.ts"

/** A server with a database of its own, another server on that database, and the database's administrator. */
const prepared = async (early: "true" | "false") => {
  const dataDir = await Program.dataFolder(`data-${early}`)
  const env = { ORCHESTRATOR_EARLY_LOCK_RELEASE: early }
  const server = await Program.serve({ ...env, ORCHESTRATOR_DATA_DIR: dataDir })
  const url = (user: string) =>
    `postgresql:///orchestrator?host=${encodeURIComponent(layout(dataDir).cluster)}&user=${user}&sslmode=disable`
  const other = await Program.serve({ ...env, ...(await Program.envOf({ url: url("orchestrator") })) })
  const session = await Session.open(url("postgres"))
  const number = async (select: string) => Number((await session.query(`SELECT (${select})::int AS number`))[0]?.number)
  const standbys = async (names: string) => {
    await session.query(`ALTER SYSTEM SET synchronous_standby_names = '${names}'`)
    await session.query("SELECT pg_reload_conf()")
  }
  return {
    server,
    other,
    session,
    standbys,
    logged: () => number("SELECT count(*) FROM orchestrator.events"),
    /** Connections whose commit is not durable yet. */
    notDurable: () => number("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"),
    waitingForLock: () => number("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
  }
}

const patience = { timeout: 30_000, interval: 10 }

/** A call that is under way. */
const begin = <A>(call: Promise<A>) => {
  const state = { answered: false, call: call.finally(() => (state.answered = true)) }
  return state
}

it("lets the next writer of the channel commit, and answers and sends nothing before it is durable", async () => {
  const { logged, notDurable, other, server, session, standbys } = await prepared("true")
  await using _ = session
  const clients = [server.client(), other.client(), server.client(), other.client()] as const
  await clients[0].registerOrganization()
  const feeds = [clients[2].subscribeToEvents(), clients[3].subscribeToEvents()]
  for (const feed of feeds) expect(await feed.take(1)).toHaveLength(1)

  await standbys("nobody")
  const calls = [begin(clients[0].registerPlan(Build.newPlan()))]
  // The new setting is taken up in its time: until then calls are answered.
  while ((await notDurable()) === 0) {
    if (calls.at(-1)?.answered) calls.push(begin(clients[0].registerPlan(Build.newPlan())))
  }
  const before = calls.length
  calls.push(begin(clients[1].registerPlan(Build.newPlan())), begin(clients[0].registerPlan(Build.newPlan())))
  // All are in the log, whose lock is free, and nobody has been told.
  await vi.waitFor(async () => expect(await logged()).toBe(1 + calls.length), patience)
  const asked = begin(clients[1].queryEvents({}))
  const fresh = other.client().subscribeToEvents()
  // Three calls, the query, and the looks of both servers at the log's head.
  await vi.waitFor(async () => expect(await notDurable()).toBeGreaterThanOrEqual(5), patience)
  expect([...calls.slice(before - 1), asked].map(({ answered }) => answered)).toEqual([false, false, false, false])
  const told = before - 1
  for (const feed of feeds) expect(await feed.take(told)).toHaveLength(told)
  const next = feeds.map((feed) => begin(feed.take(3)))
  expect(next.map(({ answered }) => answered)).toEqual([false, false])

  await standbys("")
  await Promise.all(calls.map(({ call }) => call))
  const [one, two] = await Promise.all(next.map(({ call }) => call))
  expect(one).toEqual(two)
  expect((await fresh.take(1 + calls.length)).slice(-3)).toEqual(one)
  expect((await asked.call).events).toHaveLength(1 + calls.length)
})

it("is off unless asked for: the channel's next writer waits", async () => {
  const { notDurable, server, session, standbys, waitingForLock } = await prepared("false")
  await using _ = session
  const [one, two] = [server.client(), server.client()] as const
  await standbys("nobody")
  const calls = [begin(one.registerPlan(Build.newPlan()))]
  while ((await notDurable()) === 0) {
    if (calls.at(-1)?.answered) calls.push(begin(one.registerPlan(Build.newPlan())))
  }
  calls.push(begin(two.registerPlan(Build.newPlan())))
  await vi.waitFor(async () => expect(await waitingForLock()).toBe(1), patience)
  expect(await notDurable()).toBe(1)
  await standbys("")
  await Promise.all(calls.map(({ call }) => call))
})
