/**
 * `npm run program -- bench/flood.ts [seconds]`
 *
 * What one organization that floods the server does to another. The other's calls are measured alone and beside the
 * flood, on a server with its limits and on one without, all in one run. The flood comes from a process of its own:
 * hundreds of calls at once, each repeated as soon as it ends.
 */
import { type ChildProcess, fork } from "node:child_process"
import { once } from "node:events"
import { client } from "../test/blackbox/Client.ts"
import * as Drive from "../test/blackbox/Drivers.ts"
import { quantile } from "./speed/Report.ts"
import { channels, type Server, World } from "./speed/World.ts"

const flooding = 700
const workers = 4
const channel = channels[0] as string

/** The flood: counts how its calls end, and tells when asked. */
const flood = async (port: number): Promise<void> => {
  const one = client(`127.0.0.1:${port}`, { mspid: "MyOrg1MSP", channel })
  const ends = new Map<string, number>()
  const ended = (how: string) => ends.set(how, (ends.get(how) ?? 0) + 1)
  process.on("message", () => process.send?.(Object.fromEntries(ends), () => process.exit(0)))
  const call = async (): Promise<never> => {
    for (;;) {
      await Drive.aPlan(one).then(
        () => ended("OK"),
        (error) => ended(error.code ?? String(error))
      )
    }
  }
  await Promise.all(Array.from({ length: flooding }, call))
}

const startFlood = (server: Server): ChildProcess => fork(import.meta.filename, ["--flood", String(server.port)])

const endFlood = async (child: ChildProcess): Promise<string> => {
  const told = once(child, "message")
  child.send("end")
  const [ends] = await told
  return Object.entries(ends as Record<string, number>)
    .map(([how, count]) => `${count} ${how}`)
    .join(", ")
}

interface Measured {
  readonly calls: number
  readonly p50: number
  readonly p99: number
}

/** The other organization's day: it registers plans and reads them. */
const measure = async (server: Server, seconds: number): Promise<Measured> => {
  const two = server.client("MyOrg2MSP")
  const millis: Array<number> = []
  const end = performance.now() + seconds * 1000
  const timed = async <A>(call: () => Promise<A>): Promise<A> => {
    const begun = performance.now()
    const answer = await call()
    millis.push(performance.now() - begun)
    return answer
  }
  const work = async () => {
    while (performance.now() < end) {
      const { key } = await timed(() => Drive.aPlan(two))
      await timed(() => two.getPlan({ key }))
    }
  }
  await Promise.all(Array.from({ length: workers }, work))
  return { calls: millis.length, p50: quantile(millis, 0.5), p99: quantile(millis, 0.99) }
}

const line = (what: string, { calls, p50, p99 }: Measured): string =>
  `${what.padEnd(28)} ${String(calls).padStart(7)} calls  p50 ${p50.toFixed(1).padStart(8)} ms  p99 ${p99.toFixed(1).padStart(8)} ms`

const unlimited = {
  ORCHESTRATOR_MAX_CALLS: "100000",
  ORCHESTRATOR_MAX_CALLS_PER_ORGANIZATION: "100000",
  ORCHESTRATOR_MAX_EVENT_LOOP_DELAY: "1h"
}

const compare = async (world: World, name: string, env: Readonly<Record<string, string>>, seconds: number) => {
  const server = await world.server(env)
  for (const organization of ["MyOrg1MSP", "MyOrg2MSP"]) {
    await server
      .client(organization)
      .registerOrganization()
      .catch(() => {})
  }
  await measure(server, Math.min(3, seconds)) // warm
  const alone = await measure(server, seconds)
  console.log(line(`${name}, alone`, alone))
  const flooder = startFlood(server)
  await measure(server, 2) // until the flood is there
  const beside = await measure(server, seconds)
  console.log(line(`${name}, beside a flood`, beside))
  console.log(`  the flood: ${await endFlood(flooder)}`)
  console.log(`  p99 beside the flood / alone: ${(beside.p99 / alone.p99).toFixed(1)}`)
  await server.stop()
}

if (process.argv[2] === "--flood") await flood(Number(process.argv[3]))
else {
  const seconds = Number(process.argv[2] ?? 20)
  const world = await World.open()
  try {
    await compare(world, "limits as they come", {}, seconds)
    await compare(world, "without limits", unlimited, seconds)
  } finally {
    await world.close()
  }
}
