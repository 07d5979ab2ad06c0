/** Live delivery: subscribers of one channel, while four writers register plans. */
import { Child } from "../Children.ts"
import type { SubscribersJob, SubscribersResult } from "../children/subscribers.ts"
import { median, quantile } from "../Report.ts"
import { type Context, cpuDuring, poolSize, runCalls, type Scenario } from "../Scenario.ts"
import { peakOf, resetPeak } from "../Usage.ts"
import { channels, type Server } from "../World.ts"

const channel = channels[0] as string

/** Writes a second: what leaves the machine idle, most of it, with 500 subscribers on two cores. */
const pace = 100

const subscribe = (port: number, count: number, until: number, more: Partial<SubscribersJob>) =>
  Child.start<SubscribersResult>("subscribers.ts", {
    port,
    count,
    connections: Math.min(count, 10),
    channel,
    startEventId: "",
    until,
    keepTimes: false,
    ...more
  } satisfies SubscribersJob)

/** One round at the server: what its deliveries cost, and how long after the writer's answer they came. */
const live = async (context: Context, server: Server, subscribers: number, events: number) => {
  const { world, wrong } = context
  const [last] = await world.query(
    "SELECT id, position FROM events WHERE channel = $1 ORDER BY position DESC LIMIT 1",
    [channel]
  )
  const readers = await subscribe(server.port, subscribers, subscribers * events, {
    keepTimes: true,
    startEventId: String(last?.id)
  })
  const waiting = readers.go()
  const writes = {
    kind: "registerPlan" as const,
    width: 4,
    count: events,
    channels: [channel],
    pace,
    port: server.port
  }
  const [[written, seen], cpu] = await cpuDuring(server.pid, () =>
    Promise.all([runCalls(context, server.pid, writes), waiting])
  )
  await readers.end()
  const answered = new Map(written.answers)
  const delays = seen.times.flatMap(([key, times]) => times.map((time) => time - (answered.get(key) ?? Number.NaN)))
  if (seen.messages !== subscribers * events) wrong(`${seen.messages} deliveries, not ${subscribers * events}`)
  if (seen.times.some(([, times]) => times.length !== subscribers)) wrong("an event did not come once to everybody")
  if (seen.ended > 0) wrong(`${seen.ended} streams ended`)
  return { cpu, delays, written }
}

/** The same number of messages of the same size, at the same pace, by `call.write`. */
const bare = async (subscribers: number, events: number, message: string) => {
  const server = await Child.start("bareServer.ts", { messages: [message], repeat: events, pace })
  const readers = await subscribe(server.ready as number, subscribers, subscribers * events, {
    path: "/bench.Empty/Stream"
  })
  const [, cpu] = await cpuDuring(server.pid, () => Promise.all([server.go(), readers.go()]))
  await readers.end()
  await server.end()
  return cpu
}

export const liveDelivery: Scenario = {
  name: "live",
  about: "10, 100 and 500 live subscribers at 100 writes a second by four writers",
  run: async (context) => {
    const { quick, report, rounds, world, wrong } = context
    const server = await world.server({ ORCHESTRATOR_DATABASE_POOL_SIZE: String(poolSize) })
    await server
      .client("MyOrg1MSP", channel)
      .registerOrganization()
      .catch(() => {})
    const events = quick ? 50 : 1000
    const write = { kind: "registerPlan" as const, width: 4, count: events, channels: [channel], port: server.port }
    await runCalls(context, server.pid, write)
    const [row] = await world.query("SELECT message FROM events WHERE channel = $1 ORDER BY position DESC LIMIT 1", [
      channel
    ])
    const message = Buffer.from(row?.message as Uint8Array).toString("base64")
    for (const subscribers of quick ? [10] : [10, 100, 500]) {
      const ratios: Array<number> = []
      const costs: Array<number> = []
      const delays: Array<number> = []
      const slower: Array<number> = []
      resetPeak(server.pid)
      for (let round = 0; round < rounds; round++) {
        // What the writes alone cost is taken off: the rest is the deliveries'.
        const alone = await runCalls(context, server.pid, { ...write, pace })
        const round = await live(context, server, subscribers, events)
        const cost = (round.cpu - alone.serverCpu * events) / (subscribers * events)
        costs.push(cost)
        ratios.push(cost / ((await bare(subscribers, events, message)) / (subscribers * events)))
        for (const delay of round.delays) delays.push(delay)
        slower.push(quantile(round.written.millis, 0.5) / quantile(alone.millis, 0.5))
      }
      const [connections] = await world.query(
        "SELECT count(*) AS n FROM pg_stat_activity WHERE application_name = 'substra-orchestrator'"
      )
      if (Number(connections?.n) > poolSize) wrong(`${connections?.n} database connections, not ${poolSize}`)
      report({
        scenario: `live, ${subscribers} subscribers`,
        unit: "deliveries",
        rate: subscribers * pace,
        p50: quantile(delays, 0.5),
        p99: quantile(delays, 0.99),
        max: quantile(delays, 1),
        serverCpu: median(costs),
        peak: peakOf(server.pid),
        floor: "CPU of call.write, bare stream",
        ratio: median(ratios),
        goal: "<= 1",
        note: `delays after the writer's answer; ${connections?.n} database connections; a write takes ${median(slower).toFixed(2)} of its time alone`
      })
    }
    await server.stop()
  }
}
