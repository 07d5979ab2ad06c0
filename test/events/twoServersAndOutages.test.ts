/** Two servers on one database: events of one at the other, with notifications and without, and a database that forgets. */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import { expect, test } from "vitest"
import { Proxy } from "../../bench/chaos/Proxy.ts"
import * as PostgresStore from "../../src/layers/postgres/PostgresStore.ts"
import type { ChannelName, Key } from "../../src/schema/Key.ts"
import { ComputePlanStore } from "../../src/services/store/ComputePlanStore.ts"
import { Database } from "../../src/services/store/Database.ts"
import { EventLog } from "../../src/services/store/EventLog.ts"
import type { Store } from "../../src/services/store/Store.ts"
import { work } from "../../src/testing/suites/support.ts"
import * as build from "../blackbox/Builders.ts"
import { startServers, targetOf, through } from "./support.ts"

const channel = "mychannel" as ChannelName

const { client, database, proxy, sql } = await startServers(2)
const here = client(0)
const there = client(1)
await here.registerOrganization()

const register = async (from = here) => {
  const plan = build.newPlan()
  await from.registerPlan(plan)
  return plan.key
}

/** Reads until the event about this asset. */
const untilKey = async (stream: ReturnType<typeof here.subscribeToEvents>, key: string) => {
  const seen = [await stream.next()]
  while (seen.at(-1)?.assetKey !== key) seen.push(await stream.next())
  return seen
}

test("a server streams what another one writes", async () => {
  await using stream = there.subscribeToEvents()
  await stream.headers
  const keys = [await register(), await register(), await register(there)]
  const seen = await untilKey(stream, keys[2] as string)
  expect(seen.map(({ assetKey }) => assetKey).filter((key) => keys.includes(key))).toEqual(keys)
})

test("a server streams what another one writes while no notification comes through", async () => {
  await using stream = there.subscribeToEvents()
  await untilKey(stream, await register())
  proxy.stall("listeners")
  try {
    const key = await register()
    expect((await stream.next()).assetKey).toBe(key)
  } finally {
    proxy.resume()
  }
})

test("a server listens again after its connection was ended, and its streams go on", async () => {
  await using stream = there.subscribeToEvents()
  await untilKey(stream, await register())
  expect(proxy.cut("listeners")).toBeGreaterThan(0)
  const first = await register()
  expect((await stream.next()).assetKey).toBe(first)
  await sql(
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'substra-orchestrator' AND datname = current_database()"
  )
  const second = await register().catch(() => register())
  expect((await stream.next()).assetKey).toBe(second)
})

test("a database that lost events ends the streams that had them, and resuming after them finds nothing", async () => {
  await using live = there.subscribeToEvents()
  await using replaying = there.subscribeToEvents()
  const kept = await register()
  const keptEvent = (await untilKey(live, kept)).at(-1)
  const lostEvent = (await untilKey(live, await register())).at(-1)
  // As a failover to a standby that had not got the last transactions; then the world goes on without them.
  await sql("DELETE FROM events WHERE position > (SELECT max(position) - 1 FROM events)")
  const again = [await register(), await register()]
  const end = await live.ended
  expect([end.code, end.details]).toEqual(["UNAVAILABLE", expect.stringContaining("the database lost events")])
  expect((await replaying.ended).code).toBe("UNAVAILABLE")
  await using lost = there.subscribeToEvents({ startEventId: lostEvent?.id ?? "" })
  expect(await lost.ended).toMatchObject({ code: "NOT_FOUND", details: expect.stringContaining("OE0002") })
  await using resumed = there.subscribeToEvents({ startEventId: keptEvent?.id ?? "" })
  expect((await resumed.take(2)).map(({ assetKey }) => assetKey)).toEqual(again)
})

test("a server that commits behind what took the lost events' places does not stream it as what follows", async () => {
  await using stream = here.subscribeToEvents()
  await untilKey(stream, await register())
  await sql("DELETE FROM events WHERE position = (SELECT max(position) FROM events)")
  await register(there)
  await register(here)
  expect(await stream.until(() => false).catch((end) => [end.code, end.details])).toEqual([
    "UNAVAILABLE",
    expect.stringContaining("the database lost events")
  ])
})

test("a database that answers nothing ends all streams within seconds, with a text that says so", async () => {
  const streams = [here.subscribeToEvents(), there.subscribeToEvents()]
  await Promise.all(streams.map((stream) => stream.next()))
  proxy.stall("all")
  try {
    for (const end of await Promise.all(streams.map((stream) => stream.ended))) {
      expect([end.code, end.details]).toEqual(["UNAVAILABLE", expect.stringContaining("the database is out of reach")])
    }
  } finally {
    proxy.resume()
  }
})

/** Runs a program with a store behind a proxy that can fall silent; it gives connections up after so many milliseconds. */
const withSilence = async <E>(
  answerTimeout: number,
  program: (silent: Proxy) => Effect.Effect<void, E, Store>
): Promise<void> => {
  const silent = await Proxy.open(() => targetOf(database.url))
  try {
    const url = Redacted.make(through(database.url, silent))
    const store = PostgresStore.layer({ url, poolSize: 4, answerTimeout: Duration.millis(answerTimeout) })
    await Effect.runPromise(Effect.provide(program(silent), store))
  } finally {
    silent.close()
  }
}

test("a read that is never answered takes another connection, and the next ones do too", async () => {
  await withSilence(300, (silent) =>
    Effect.gen(function* () {
      const log = yield* EventLog
      expect((yield* log.heads([channel])).get(channel)).toBeGreaterThan(0)
      expect(silent.stall("present")).toBeGreaterThan(0)
      expect((yield* log.heads([channel])).get(channel)).toBeGreaterThan(0)
      expect((yield* log.heads([channel])).get(channel)).toBeGreaterThan(0)
    })
  )
})

test("a transaction whose database answers nothing is given up, and the next has another connection", async () => {
  await withSilence(300, (silent) =>
    Effect.gen(function* () {
      const transactions = yield* Database
      const plans = yield* ComputePlanStore
      const read = plans.lock(channel, [build.newKey() as Key])
      const stall = Effect.sync(() => expect(silent.stall("present")).toBeGreaterThan(0))
      const stalled = work(Effect.andThen(Effect.andThen(read, stall), read))
      const error = yield* Effect.flip(transactions.run(channel, stalled))
      expect(error).toMatchObject({ _tag: "Contended", reason: "connection" })
      expect(yield* transactions.run(channel, work(read))).toEqual([])
    })
  )
})

test("a connection that answers nothing is given up though nobody waits that long for it", async () => {
  await withSilence(1000, (silent) =>
    Effect.gen(function* () {
      const log = yield* EventLog
      yield* log.heads([channel])
      expect(silent.stall("present")).toBeGreaterThan(0)
      const impatient = Effect.timeoutOption(log.heads([channel]), Duration.millis(100))
      const answered = Effect.repeat(impatient, { until: Option.isSome, times: 100 })
      expect(Option.isSome(yield* answered)).toBe(true)
    })
  )
})
