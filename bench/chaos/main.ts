/**
 * Chaos: three servers on one PostgreSQL, writers of every kind of call, subscribers that resume, and a fault about
 * every second; then everything that was promised is checked. `npm run chaos -- --seconds 60 --seed 7`.
 */
import * as fs from "node:fs/promises"
import * as os from "node:os"
import * as path from "node:path"
import { parseArgs } from "node:util"
import { checkCalls, checkLog, checkTables, compare, readLog } from "./Checks.ts"
import { play } from "./Faults.ts"
import { Postgres } from "./Postgres.ts"
import { Random, sleep } from "./Random.ts"
import { channelFile, Server } from "./Server.ts"
import { Ids, Subscriber } from "./Subscribers.ts"
import { channels, Writers } from "./Writers.ts"

const { values } = parseArgs({
  options: {
    seconds: { type: "string", default: "60" },
    seed: { type: "string", default: String(Date.now() % 2 ** 31) },
    writers: { type: "string", default: "32" },
    /** The mean time between two calls of a writer, in milliseconds. */
    pause: { type: "string", default: "20" },
    /** With ORCHESTRATOR_EARLY_LOCK_RELEASE, and more crashes of the database. */
    early: { type: "boolean", default: false },
    quiet: { type: "boolean", default: false }
  }
})
const seconds = Number(values.seconds)
const seed = Number(values.seed)

const begun = Date.now()
const wrong: Array<string> = []
const history: Array<string> = []
const say = (line: string) => {
  const timed = `${((Date.now() - begun) / 1000).toFixed(1).padStart(6)} ${line}`
  history.push(timed)
  if (!values.quiet) console.log(timed)
}

const sum = (maps: ReadonlyArray<ReadonlyMap<string, number>>): Record<string, number> => {
  const total: Record<string, number> = {}
  for (const map of maps) for (const [name, count] of map) total[name] = (total[name] ?? 0) + count
  return Object.fromEntries(Object.entries(total).sort(([, a], [, b]) => b - a))
}

/** Subscribers of this many connections: two thirds on the first channel, spread over the servers. */
const subscriberCount = 60
/** How long everybody may take to read up, once nothing is in the way any more. */
const patience = 60_000
/** How long all that is no fault may take: a run that does not end says where it hangs. */
const limit = 300_000

const check = async (postgres: Postgres, writers: Writers, subscribers: ReadonlyArray<Subscriber>, ids: Ids) => {
  const lists = await Promise.all(channels.map((channel) => readLog(postgres, channel)))
  for (const [index, channel] of channels.entries()) {
    const log = lists[index] ?? []
    const numbers = log.map(({ event }) => ids.numberOf(event.id))
    const note = (found: ReadonlyArray<string>) =>
      wrong.push(...found.slice(0, 20).map((what) => `${channel}: ${what}`))
    for (const { list, name } of early.filter((one) => one.channel === channel)) {
      const difference = compare(list, numbers, ids)
      if (difference !== undefined) note([`${name}, before it started over: ${difference}`])
    }
    for (const subscriber of subscribers.filter((one) => one.channel === channel)) {
      const { name, seen } = subscriber
      const difference = compare(seen, numbers, ids)
      if (difference !== undefined) note([`${name}: ${difference}`])
      if (seen.length !== log.length) note([`${name} has ${seen.length} events of ${log.length}`])
    }
    note(checkLog(log))
    note(
      checkCalls(
        writers.calls.filter((call) => call.channel === channel),
        log
      )
    )
    note(await checkTables(postgres, channel, log))
  }
  return lists.map((log) => log.length)
}

/** Lists of subscribers that started over. */
const early: Array<{ readonly name: string; readonly channel: string; readonly list: ReadonlyArray<number> }> = []

const run = async (postgres: Postgres, servers: Array<Server>, folder: string): Promise<void> => {
  const members = "[MyOrg1MSP, MyOrg2MSP]"
  await fs.writeFile(
    path.join(folder, channelFile),
    `channels:\n${channels.map((name) => `  ${name}: ${members}\n`).join("")}`
  )
  for (let index = 0; index < 3; index++) {
    const server = await Server.open(postgres, folder, values.early)
    servers.push(server)
    await server.start()
    say(`server ${index} is ready`)
  }
  const random = new Random(seed)
  const writers = new Writers(
    servers.map(({ address }) => address),
    new Random(seed + 1)
  )
  await writers.registerOrganizations()
  say("the organizations are registered")
  const ids = new Ids()
  const subscribers = Array.from({ length: subscriberCount }, (_, index) => {
    const { address } = servers[index % 3] as Server
    return new Subscriber(`subscriber ${index}`, address, channels[index % 9 < 6 ? 0 : 1], ids)
  })
  const reading = subscribers.map((subscriber) => subscriber.run())
  const writing = Array.from({ length: Number(values.writers) }, () => writers.run(Number(values.pause)))
  say("ready, the faults begin")

  const faults = await play(
    {
      postgres,
      servers,
      subscribers,
      check: ({ channel, name }, list) => early.push({ name, channel, list }),
      wrong: (what) => wrong.push(what),
      early: values.early
    },
    random,
    Date.now() + seconds * 1000,
    say
  )
  say("no more faults")
  writers.end()
  await Promise.all(writing)
  say("no more calls")
  await Promise.all(servers.map((server) => server.start()))
  say("everybody reads up")

  const until = Date.now() + patience
  const heads = new Map<string, number>()
  for (const channel of channels) {
    const [row] = await postgres.query("SELECT count(*) AS n FROM events WHERE channel = $1", [channel])
    heads.set(channel, Number(row?.n))
  }
  const isBehind = ({ channel, seen }: Subscriber) => seen.length < (heads.get(channel) ?? 0)
  while (subscribers.some(isBehind) && Date.now() < until) await sleep(50)
  // What comes twice would come now.
  await sleep(1500)
  const metrics = await Promise.all(servers.map((server) => server.metrics()))
  for (const subscriber of subscribers) subscriber.end()
  await Promise.all(reading)
  say("everybody has left")
  writers.close()
  for (const subscriber of subscribers) wrong.push(...subscriber.wrong)

  const events = await check(postgres, writers, subscribers, ids)
  const outcomes: Record<string, number> = {}
  for (const { outcome } of writers.calls) outcomes[outcome] = (outcomes[outcome] ?? 0) + 1
  console.log({
    seed,
    seconds,
    deliveries: subscribers.reduce((count, { deliveries }) => count + deliveries, 0),
    events: Object.fromEntries(channels.map((channel, index) => [channel, events[index]])),
    calls: outcomes,
    kinds: new Set(writers.calls.map(({ rpc }) => rpc)).size,
    faults: [...faults.values()].reduce((count, one) => count + one, 0),
    serverStarts: servers.reduce((count, { starts }) => count + starts, 0)
  })
  console.log("faults", sum([faults]))
  console.log("ends of streams", sum(subscribers.map(({ ends }) => ends)))
  console.log("calls in doubt", sum([writers.troubles]))
  console.log("the hubs' metrics since their last start", sum(metrics))
}

const conclude = (servers: ReadonlyArray<Server>): void => {
  if (wrong.length > 0) {
    console.error(`WRONG, ${wrong.length} things:\n${wrong.slice(0, 60).join("\n")}`)
    if (values.quiet) console.error(`what happened:\n${history.join("\n")}`)
    for (const [index, { output }] of servers.entries())
      console.error(`server ${index} said last:\n${output.slice(-4000)}`)
    console.error(
      `again: npm run chaos --${values.early ? " --early" : ""} --seconds ${seconds} --seed ${seed} --writers ${values.writers} --pause ${values.pause}`
    )
  } else console.log("all promises were kept")
  process.exit(wrong.length > 0 ? 1 : 0)
}

const folder = await fs.mkdtemp(path.join(os.tmpdir(), "orc-chaos-files-"))
const servers: Array<Server> = []
console.log(`seed ${seed}, ${seconds} s`)
const postgres = await Postgres.open()
setTimeout(
  () => {
    for (const server of servers) server.kill()
    postgres.kill()
    wrong.push("the run did not end")
    conclude(servers)
  },
  seconds * 1000 + limit
).unref()
try {
  await run(postgres, servers, folder)
} catch (error) {
  wrong.push(`the run broke: ${error instanceof Error ? error.stack : error}`)
} finally {
  await Promise.all(servers.map((server) => server.close()))
  await postgres.close()
  await fs.rm(folder, { recursive: true })
}
conclude(servers)
