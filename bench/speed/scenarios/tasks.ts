/** RegisterTasks: batches of all sizes, graphs of all shapes. */
import { median } from "../Report.ts"
import { type Ground, groundOf, layered, registerTasks, reversedChain, wide } from "../Requests.ts"
import { type Context, poolSize, runCalls, runStatements, type Scenario } from "../Scenario.ts"
import { peakOf, resetPeak } from "../Usage.ts"
import { channels, type Server } from "../World.ts"

const channel = channels[0] as string

const graphs = { layered, wide, "a chain, reversed": reversedChain }

const compare = async (context: Context, server: Server, ground: Ground, name: keyof typeof graphs, size: number) => {
  const { report, rounds, quick, world } = context
  const count = Math.max(1, Math.floor((quick ? 200 : 10_000) / size / (size === 1 ? 10 : 1)))
  const job = () => ({
    kind: "registerTasks" as const,
    width: 1,
    count,
    channels: [channel],
    requests: Array.from({ length: count }, () => registerTasks(graphs[name](ground, size)))
  })
  const ratios: Array<number> = []
  const subjects: Array<Awaited<ReturnType<typeof runCalls>>> = []
  resetPeak(server.pid)
  for (let round = 0; round < rounds; round++) {
    const subject = await runCalls(context, server.pid, { ...job(), port: server.port })
    const floor = await runStatements(context, { ...job(), url: world.url, poolSize })
    subjects.push(subject)
    ratios.push(floor.seconds / subject.seconds)
  }
  const each = median(subjects.map(({ seconds }) => (seconds * 1e6) / (count * size)))
  report({
    scenario: `RegisterTasks, ${size.toLocaleString("en")}, ${name}`,
    unit: "tasks",
    rate: 1e6 / each,
    p50: median(subjects.flatMap(({ millis }) => millis)),
    max: Math.max(...subjects.flatMap(({ millis }) => millis)),
    serverCpu: median(subjects.map(({ serverCpu }) => serverCpu)) / size,
    postgresCpu: median(subjects.map(({ postgresCpu }) => postgresCpu)) / size,
    peak: peakOf(server.pid),
    floor: "its statements, bare driver",
    ratio: median(ratios),
    goal: size >= 100 ? ">= 0.4" : undefined
  })
  return each
}

export const tasks: Scenario = {
  name: "tasks",
  about: "RegisterTasks in batches of 1 to 10,000; layered, wide, a chain in reverse order",
  run: async (context) => {
    const server = await context.world.server({ ORCHESTRATOR_DATABASE_POOL_SIZE: String(poolSize) })
    const client = server.client("MyOrg1MSP", channel)
    await client.registerOrganization()
    const ground = await groundOf(client)
    const warmUp = Array.from({ length: 20 }, () => registerTasks(layered(ground, 100)))
    await runCalls(context, server.pid, {
      kind: "registerTasks",
      width: 1,
      count: warmUp.length,
      channels: [channel],
      requests: warmUp,
      port: server.port
    })
    const costs: Array<number> = []
    for (const size of context.quick ? [1, 100] : [1, 100, 1000, 10_000]) {
      const cost = await compare(context, server, ground, "layered", size)
      if (size >= 100) costs.push(cost)
    }
    context.report({
      scenario: "RegisterTasks, cost a task, 100 to largest batch",
      unit: "tasks",
      floor: "the cheapest of these",
      ratio: Math.max(...costs) / Math.min(...costs),
      goal: "<= 1.25"
    })
    const size = context.quick ? 100 : 10_000
    for (const name of ["wide", "a chain, reversed"] as const) await compare(context, server, ground, name, size)
    await server.stop()
  }
}
