/** Reads: one task by many clients, pages of tasks, calls that need no database on new connections. */
import { QueryPlansParam, QueryPlansResponse } from "../../../src/layers/wire/generated/computeplan.ts"
import {
  QueryTasksParam,
  QueryTasksResponse,
  RegisterTasksParam
} from "../../../src/layers/wire/generated/computetask.ts"
import { message, paths } from "../../../test/blackbox/Client.ts"
import { Child } from "../Children.ts"
import { timeBare } from "../Pages.ts"
import { median, quantile } from "../Report.ts"
import { groundOf, layered } from "../Requests.ts"
import { type Context, poolSize, runCalls, type Scenario } from "../Scenario.ts"
import { channels, type Server } from "../World.ts"

const channel = channels[0] as string

interface Compared {
  readonly scenario: string
  readonly kind: "getTask" | "queryVersion" | "health"
  readonly goal: string
  readonly width: number
  readonly connect?: boolean
  readonly keys?: ReadonlyArray<string>
}

/** Calls of the server against empty calls of bare grpc-js, alternating. */
const againstEmpty = async (context: Context, server: Server, compared: Compared) => {
  const { connect = false, goal, kind, scenario, width } = compared
  const count = context.quick ? 200 : connect ? 1500 : 10_000
  const bare = await Child.start("bareServer.ts", {})
  const job = { width, count, channels: [channel], connect, ...(compared.keys ? { keys: compared.keys } : {}) }
  const ratios: Array<number> = []
  const subjects: Array<Awaited<ReturnType<typeof runCalls>>> = []
  for (let round = 0; round < context.rounds; round++) {
    const empty = await runCalls(context, bare.pid, { ...job, kind: "empty", port: bare.ready as number })
    const subject = await runCalls(context, server.pid, { ...job, kind, port: server.port })
    subjects.push(subject)
    ratios.push(empty.seconds / subject.seconds)
  }
  await bare.end()
  const millis = subjects.flatMap((subject) => subject.millis)
  context.report({
    scenario,
    unit: "calls",
    rate: median(subjects.map(({ seconds }) => count / seconds)),
    p50: quantile(millis, 0.5),
    p99: quantile(millis, 0.99),
    max: quantile(millis, 1),
    serverCpu: median(subjects.map(({ serverCpu }) => serverCpu)),
    postgresCpu: median(subjects.map(({ postgresCpu }) => postgresCpu)),
    floor: "empty grpc-js calls",
    ratio: median(ratios),
    goal
  })
}

/** Time of each page of a walk over all tasks, in milliseconds. */
const walk = async (server: Server, expected: number, wrong: Context["wrong"]) => {
  const client = server.client("MyOrg1MSP", channel)
  const millis: Array<number> = []
  let pageToken = ""
  let seen = 0
  do {
    const begun = performance.now()
    const page = await client.queryTasks(message(QueryTasksParam, { pageSize: 500, pageToken }))
    millis.push(performance.now() - begun)
    seen += page.tasks.length
    pageToken = page.nextPageToken
  } while (pageToken !== "")
  if (seen !== expected) wrong(`a walk over ${expected} tasks found ${seen}`)
  return millis
}

/** First pages of the server against their statements and the encoding of the same answers, alternating. */
const againstStatement = async (context: Context, server: Server, kind: "tasks" | "plans", of: number) => {
  const client = server.client("MyOrg1MSP", channel)
  const size = 500
  // Bytes: what a client does with them is its own.
  const [path, request] =
    kind === "tasks"
      ? [paths.queryTasks, QueryTasksParam.encode(message(QueryTasksParam, { pageSize: size })).finish()]
      : [paths.queryPlans, QueryPlansParam.encode(message(QueryPlansParam, { pageSize: size })).finish()]
  const ask = async (): Promise<Buffer> => (await client.bytes(path, request)).message
  const encoderOf = (bytes: Buffer): (() => void) => {
    if (kind === "plans") {
      const answer = QueryPlansResponse.decode(bytes)
      return () => QueryPlansResponse.encode(answer).finish()
    }
    const answer = QueryTasksResponse.decode(bytes)
    return () => QueryTasksResponse.encode(answer).finish()
  }
  const times = context.quick ? 5 : 60
  const pages: Array<number> = []
  const ratios: Array<number> = []
  for (let round = 0; round <= context.rounds; round++) {
    const encode = encoderOf(await ask())
    const bare = median(await timeBare(context.world.url, kind, channel, size, encode, times))
    const millis: Array<number> = []
    for (let time = 0; time < times; time++) {
      const begun = performance.now()
      await ask()
      millis.push(performance.now() - begun)
    }
    // The first round is not counted: the JIT is warm after it.
    if (round === 0 && !context.quick) continue
    pages.push(...millis)
    ratios.push(bare / median(millis))
  }
  context.report({
    scenario: `a page of 500 ${kind} of ${of.toLocaleString("en")}`,
    unit: "pages",
    rate: 1000 / median(pages),
    p50: quantile(pages, 0.5),
    p99: quantile(pages, 0.99),
    max: quantile(pages, 1),
    floor: "its statement, and the encoding",
    ratio: median(ratios),
    goal: ">= 0.6"
  })
}

/** How often the server has gone to the database so far. */
const databaseUses = async (server: Server): Promise<number> => {
  const text = await fetch(`http://127.0.0.1:${server.httpPort}/metrics`).then((answer) => answer.text())
  const counts = [...text.matchAll(/^orc_db_pool_wait_seconds_count\{.*\} (\d+)/gm)]
  return counts.reduce((sum, [, count]) => sum + Number(count), 0)
}

export const reads: Scenario = {
  name: "reads",
  about:
    "GetTask by 32 clients; a walk over 50,000 tasks, pages of them and of 20,000 plans; QueryVersion and health on new connections",
  run: async (context) => {
    const { quick, report, world, wrong } = context
    const server = await world.server({ ORCHESTRATOR_DATABASE_POOL_SIZE: String(poolSize) })
    const client = server.client("MyOrg1MSP", channel)
    await client.registerOrganization()
    const ground = await groundOf(client)
    const total = quick ? 1000 : 50_000
    const keys: Array<string> = []
    for (let start = 0; start < total; start += 1000) {
      const tasks = layered(ground, 1000)
      await client.registerTasks(message(RegisterTasksParam, { tasks: [...tasks] }))
      if (keys.length < 1000) keys.push(...tasks.map(({ key }) => key))
    }
    await world.query("VACUUM (ANALYZE)")
    await againstEmpty(context, server, {
      scenario: "GetTask, 32 clients",
      kind: "getTask",
      goal: ">= 0.45",
      width: 32,
      keys
    })

    await walk(server, total, wrong)
    const walks: Array<ReadonlyArray<number>> = []
    for (let round = 0; round < context.rounds; round++) walks.push(await walk(server, total, wrong))
    const all = walks.flat()
    const part = Math.max(1, Math.floor((walks[0]?.length ?? 1) / 10))
    report({
      scenario: `QueryTasks, walk over ${total.toLocaleString("en")} in pages of 500`,
      unit: "tasks",
      rate: (total * walks.length * 1000) / all.reduce((sum, one) => sum + one, 0),
      p50: quantile(all, 0.5),
      p99: quantile(all, 0.99),
      max: quantile(all, 1),
      floor: "the first tenth of the pages",
      ratio: median(walks.flatMap((one) => one.slice(-part))) / median(walks.flatMap((one) => one.slice(0, part))),
      goal: "<= 1.2"
    })

    await againstStatement(context, server, "tasks", total)
    const plans = quick ? 600 : 20_000
    await runCalls(context, server.pid, {
      ...{ kind: "registerPlan", width: 32, count: plans - 1, channels: [channel], port: server.port }
    })
    await world.query("VACUUM (ANALYZE)")
    await againstStatement(context, server, "plans", plans)

    for (const [kind, name] of [
      ["queryVersion", "QueryVersion"],
      ["health", "health check"]
    ] as const) {
      const [before, begun] = [await databaseUses(server), performance.now()]
      await againstEmpty(context, server, {
        scenario: `${name}, a new connection each`,
        kind,
        goal: ">= 0.8",
        width: 4,
        connect: true
      })
      // The looks at the log and at the statistics are all there may be: fewer than three a second.
      const uses = (await databaseUses(server)) - before
      const most = 10 + (3 * (performance.now() - begun)) / 1000
      if (uses > most) wrong(`${name} went to the database: ${uses} uses, not ${Math.round(most)} at most`)
    }
    await server.stop()
  }
}
