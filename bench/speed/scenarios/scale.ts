/** More than one process on one database, and the channel's lock released early. */
import { Child } from "../Children.ts"
import type { CallsResult } from "../children/calls.ts"
import type { SubscribersResult } from "../children/subscribers.ts"
import { median, quantile } from "../Report.ts"
import { type Context, poolSize, type Scenario } from "../Scenario.ts"
import { channels, type Server } from "../World.ts"

const writers = 33

interface Wrote {
  readonly rate: number
  readonly millis: ReadonlyArray<number>
}

/** Writers, as many at each server, over these channels. */
const write = async (
  { wrong }: Context,
  servers: ReadonlyArray<Server>,
  count: number,
  over: number,
  width = writers
): Promise<Wrote> => {
  const children = await Promise.all(
    servers.map(({ port }) =>
      Child.start<CallsResult>("calls.ts", {
        kind: "registerPlan",
        width: Math.ceil(width / servers.length),
        count: Math.ceil(count / servers.length),
        channels: channels.slice(0, over),
        port
      })
    )
  )
  const begun = performance.now()
  const results = await Promise.all(children.map((child) => child.go()))
  const seconds = (performance.now() - begun) / 1000
  for (const child of children) await child.end()
  const errors = results.flatMap((result) => result.errors)
  if (errors.length > 0) wrong(`${errors.length} errors, the first: ${errors[0]}`)
  return { rate: count / seconds, millis: results.flatMap((result) => result.millis) }
}

const pool = { ORCHESTRATOR_DATABASE_POOL_SIZE: String(poolSize) }

/** Two sets of servers, alternating. */
const against = async (
  context: Context,
  scenario: { readonly name: string; readonly floor: string; readonly over: number; readonly width?: number },
  subject: ReadonlyArray<Server>,
  floor: ReadonlyArray<Server>
) => {
  const count = context.quick ? 198 : 3960
  const ratios: Array<number> = []
  const found: Array<Wrote> = []
  for (let round = 0; round < context.rounds; round++) {
    const one = await write(context, floor, count, scenario.over, scenario.width)
    const other = await write(context, subject, count, scenario.over, scenario.width)
    found.push(other)
    ratios.push(other.rate / one.rate)
  }
  const millis = found.flatMap((wrote) => wrote.millis)
  context.report({
    scenario: `RegisterPlan, ${scenario.name}`,
    unit: "calls",
    rate: median(found.map(({ rate }) => rate)),
    p50: quantile(millis, 0.5),
    p99: quantile(millis, 0.99),
    max: quantile(millis, 1),
    floor: scenario.floor,
    ratio: median(ratios)
  })
}

/** Every server sends every event once, in one order, whoever wrote it. */
const checkOrder = async (context: Context, servers: ReadonlyArray<Server>) => {
  const { world, wrong } = context
  const channel = channels[0] as string
  const [row] = await world.query("SELECT count(*)::int AS n FROM events WHERE channel = $1", [channel])
  const before = Number(row?.n)
  const count = 99
  const readers = await Promise.all(
    servers.map(({ port }) =>
      Child.start<SubscribersResult>("subscribers.ts", {
        ...{ port, count: 1, connections: 1, channel, startEventId: "", keepTimes: true },
        until: before + count
      })
    )
  )
  const reading = readers.map((reader) => reader.go())
  await write(context, servers, count, 1)
  const seen = await Promise.all(reading)
  for (const reader of readers) await reader.end()
  const orders = seen.map(({ times }) => times.map(([key]) => key).join())
  if (new Set(orders).size !== 1) wrong("the servers sent the events of one channel in different orders")
  if (seen.some(({ messages }) => messages !== before + count)) wrong("an event did not come once from each server")
}

export const scale: Scenario = {
  name: "scale",
  about: "33 writers at one server, at three on one database, at one of two workers; early release of locks",
  run: async (context) => {
    const { world } = context
    const one = await world.server(pool)
    for (const channel of channels) await one.client("MyOrg1MSP", channel).registerOrganization()
    const others = [await world.server(pool), await world.server(pool)]
    const three = [one, ...others]
    await write(context, three, context.quick ? 99 : 3960, 2)
    await against(context, { name: "three servers, 64 channels", floor: "one server", over: 64 }, three, [one])
    await checkOrder(context, three)
    for (const other of others) await other.stop()
    const workers = await world.server({ ...pool, ORCHESTRATOR_WORKERS: "2" })
    await write(context, [workers], context.quick ? 99 : 3960, 2)
    await against(context, { name: "two workers, 64 channels", floor: "one process", over: 64 }, [workers], [one])
    await workers.stop()
    const early = await world.server({ ...pool, ORCHESTRATOR_EARLY_LOCK_RELEASE: "true" })
    await write(context, [early], context.quick ? 99 : 3960, 2)
    for (const millis of [0, 2]) {
      // A disk that takes so much longer to have a commit: PostgreSQL waits before it writes.
      await world.query(`ALTER SYSTEM SET commit_delay = ${millis * 1000}`)
      await world.query("ALTER SYSTEM SET commit_siblings = 0")
      await world.query("SELECT pg_reload_conf()")
      for (const width of [8, 32]) {
        const name = `locks released early, ${width} on 1${millis === 0 ? "" : `, a disk ${millis} ms slower`}`
        await against(context, { name, floor: "not early", over: 1, width }, [early], [one])
      }
    }
    await early.stop()
    await one.stop()
  }
}
