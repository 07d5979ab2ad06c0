/** The server as a process: how long it takes to start, what memory it needs, how long it holds its event loop. */
import * as path from "node:path"
import { Child } from "../Children.ts"
import type { CallsResult } from "../children/calls.ts"
import type { SubscribersResult } from "../children/subscribers.ts"
import { quantile } from "../Report.ts"
import { groundOf, layered, registerTasks } from "../Requests.ts"
import { poolSize, runCalls, type Scenario } from "../Scenario.ts"
import { memoryOf, peakOf, resetPeak } from "../Usage.ts"
import { channels, type Server } from "../World.ts"

const channel = channels[0] as string

const settled = () => new Promise((resolve) => setTimeout(resolve, 3000))

export const memory: Scenario = {
  name: "memory",
  about: "resident memory: idle, with 500 subscribers, after a batch of 10,000 tasks",
  run: async ({ quick, report, world, wrong }) => {
    const server = await world.server({ ORCHESTRATOR_DATABASE_POOL_SIZE: String(poolSize) })
    const client = server.client("MyOrg1MSP", channel)
    await settled()
    const idle = memoryOf(server.pid)
    report({ scenario: "memory, idle", unit: "MiB", peak: idle, goal: "<= 140 MiB" })
    await client.registerOrganization()
    const ground = await groundOf(client)
    const subscribers = quick ? 50 : 500
    const readers = await Child.start<SubscribersResult>("subscribers.ts", {
      port: server.port,
      count: subscribers,
      connections: 10,
      channel,
      startEventId: "",
      until: subscribers * 4,
      keepTimes: false
    })
    const { messages } = await readers.go()
    if (messages < subscribers * 4) wrong(`${messages} deliveries, not ${subscribers * 4}`)
    await settled()
    report({
      scenario: `memory, ${subscribers} subscribers`,
      unit: "MiB",
      peak: memoryOf(server.pid),
      goal: "<= 240 MiB"
    })
    await readers.end()
    resetPeak(server.pid)
    await client.registerTasks(
      { tasks: [...layered(ground, quick ? 500 : 10_000)] },
      { headers: [["max-response-size", "1000000000"]] }
    )
    const peak = peakOf(server.pid)
    await settled()
    report({
      scenario: "memory, after a batch of 10,000 tasks",
      unit: "MiB",
      peak: memoryOf(server.pid),
      goal: "< 260 MiB",
      note: `${peak.toFixed(0)} MiB at the most during it`
    })
    await server.stop()
  }
}

/** The longest that the event loop was late while `run` ran, in milliseconds, as the server says every ten seconds. */
const longestHold = async <A>(server: Server, run: () => Promise<A>): Promise<readonly [A, number]> => {
  const interval = 11_000
  const look = async () => {
    const text = await fetch(`http://127.0.0.1:${server.httpPort}/metrics`).then((answer) => answer.text())
    return Number(/^nodejs_eventloop_lag_max_seconds (\S+)/m.exec(text)?.[1]) * 1000
  }
  let longest = 0
  let isOver = false
  // What was before this is not of the next figure.
  await new Promise((resolve) => setTimeout(resolve, interval))
  const looking = (async () => {
    for (let end = Number.POSITIVE_INFINITY; performance.now() < end; ) {
      await new Promise((resolve) => setTimeout(resolve, 1000))
      longest = Math.max(longest, await look())
      if (isOver) end = Math.min(end, performance.now() + interval)
    }
  })()
  const result = await run()
  isOver = true
  await looking
  return [result, longest]
}

export const mixed: Scenario = {
  name: "mixed",
  about: "plans of 16 writers while a batch of 10,000 tasks is registered",
  run: async (context) => {
    const { quick, report, world } = context
    const server = await world.server({ ORCHESTRATOR_DATABASE_POOL_SIZE: String(poolSize) })
    const client = server.client("MyOrg1MSP", channel)
    await client.registerOrganization()
    await server.client("MyOrg1MSP", channels[1]).registerOrganization()
    const ground = await groundOf(client)
    const seconds = quick ? 1 : 8
    const pace = 200
    const job = {
      kind: "registerPlan" as const,
      width: 16,
      count: seconds * pace,
      pace,
      channels: channels.slice(0, 2),
      port: server.port
    }
    await runCalls(context, server.pid, job)
    const alone = await runCalls(context, server.pid, job)
    const batches = quick ? 1 : 3
    const batch = await Child.start<CallsResult>("calls.ts", {
      kind: "registerTasks",
      width: 1,
      count: batches,
      channels: [channel],
      requests: Array.from({ length: batches }, () => registerTasks(layered(ground, quick ? 500 : 10_000))),
      port: server.port
    })
    const both = () => Promise.all([runCalls(context, server.pid, job), batch.go()])
    const [[beside], held] = quick ? [await both(), undefined] : await longestHold(server, both)
    await batch.end()
    report({
      scenario: "RegisterPlan beside batches of 10,000 tasks",
      unit: "calls",
      rate: pace,
      p50: quantile(beside.millis, 0.5),
      p99: quantile(beside.millis, 0.99),
      max: quantile(beside.millis, 1),
      floor: "p99 without the batches",
      ratio: quantile(beside.millis, 0.99) / quantile(alone.millis, 0.99),
      goal: "<= 4"
    })
    report({ scenario: "event loop held, batches of 10,000", unit: "ms", max: held, goal: "<= 30 ms" })
    await server.stop()
  }
}

export const start: Scenario = {
  name: "start",
  about: "from the command to ready: on a database that is there, on an embedded one, the first time and the next",
  run: async ({ report, rounds, world }) => {
    const timed = async (env: Readonly<Record<string, string>>) => {
      const begun = performance.now()
      const server = await world.server(env)
      const millis = performance.now() - begun
      await server.stop()
      return millis
    }
    await timed({})
    const there: Array<number> = []
    for (let round = 0; round < rounds; round++) there.push(await timed({}))
    report({ scenario: "start, database there", unit: "", p50: quantile(there, 0.5), goal: "<= 1000 ms" })
    const embedded = {
      ORCHESTRATOR_DATABASE_URL: "",
      ORCHESTRATOR_DATA_DIR: path.join(world.folder, "embedded")
    }
    report({
      scenario: "start, embedded database, the first",
      unit: "",
      p50: await timed(embedded),
      goal: "<= 5000 ms"
    })
    report({ scenario: "start, embedded database, the next", unit: "", p50: await timed(embedded), goal: "<= 2000 ms" })
  }
}
