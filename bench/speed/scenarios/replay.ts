/** Replay of a long log, from its beginning, by one subscriber and by ten at once. */
import { Child } from "../Children.ts"
import type { SubscribersJob, SubscribersResult } from "../children/subscribers.ts"
import { median } from "../Report.ts"
import { type Context, cpuDuring, poolSize, type Scenario } from "../Scenario.ts"
import { memoryOf, peakOf, resetPeak } from "../Usage.ts"
import { channels, type World } from "../World.ts"

const channel = "channel-63"

/** A log of plans, each the last real one under another key: what the id and the key are told by stays in place. */
const fill = async (world: World, count: number) => {
  await world.query(
    `INSERT INTO events (channel, position, id, "timestamp", asset_key, asset_kind, event_kind, metadata, message)
     SELECT e.channel, e.position + n, k.id, e."timestamp", e.asset_key, e.asset_kind, e.event_kind, e.metadata,
            overlay(e.message PLACING convert_to(k.id::text, 'UTF8') FROM 3)
       FROM (SELECT * FROM events WHERE channel = $1 ORDER BY position DESC LIMIT 1) e,
            generate_series(1, $2::int) n, LATERAL (SELECT gen_random_uuid() AS id WHERE n > 0) k`,
    [channel, count]
  )
  await world.query("VACUUM (ANALYZE) events")
}

const read = async (port: number, count: number, total: number, path?: string) => {
  const job: SubscribersJob = {
    port,
    count,
    connections: count,
    channel,
    startEventId: "",
    until: count * total,
    keepTimes: false,
    ...(path === undefined ? {} : { path })
  }
  return Child.start<SubscribersResult>("subscribers.ts", job)
}

/** Messages a second of one stream from a bare server. */
const bare = async (message: string, total: number, glued: boolean) => {
  const server = await Child.start("bareServer.ts", { messages: [message], repeat: total, glued })
  const readers = await read(server.ready as number, 1, total, "/bench.Empty/Stream")
  const begun = performance.now()
  await Promise.all([server.go(), readers.go()])
  const seconds = (performance.now() - begun) / 1000
  await readers.end()
  await server.end()
  return total / seconds
}

const replay = async (context: Context, pid: number, port: number, count: number, total: number) => {
  const readers = await read(port, count, total)
  const [result, cpu] = await cpuDuring(pid, () => readers.go())
  await readers.end()
  if (result.messages !== count * total) context.wrong(`${result.messages} events replayed, not ${count * total}`)
  return { rate: (count * total) / result.seconds, cpu: cpu / (count * total) }
}

export const replays: Scenario = {
  name: "replay",
  about: "1,000,000 events from the beginning, by one subscriber and by ten",
  run: async (context) => {
    const { quick, report, rounds, world } = context
    const server = await world.server({ ORCHESTRATOR_DATABASE_POOL_SIZE: String(poolSize) })
    const client = server.client("MyOrg1MSP", channel)
    await client.registerOrganization().catch(() => {})
    await client.registerPlan({ key: crypto.randomUUID(), name: "plan", tag: "", metadata: new Map() })
    const count = quick ? 5000 : 1_000_000
    await fill(world, count)
    const [head] = await world.query("SELECT max(position) AS n FROM events WHERE channel = $1", [channel])
    const [row] = await world.query("SELECT message FROM events WHERE channel = $1 ORDER BY position DESC LIMIT 1", [
      channel
    ])
    const total = Number(head?.n)
    const message = Buffer.concat([row?.message as Uint8Array, Buffer.alloc(14)]).toString("base64")
    const idle = memoryOf(server.pid)
    for (const subscribers of [1, 10]) {
      const written: Array<number> = []
      const glued: Array<number> = []
      const rates: Array<number> = []
      const cpus: Array<number> = []
      resetPeak(server.pid)
      for (let round = 0; round < rounds; round++) {
        const { cpu, rate } = await replay(context, server.pid, server.port, subscribers, total)
        rates.push(rate)
        cpus.push(cpu)
        written.push(rate / (await bare(message, Math.min(total, 300_000), false)))
        glued.push(rate / (await bare(message, total, true)))
      }
      const row = { unit: "events", rate: median(rates), serverCpu: median(cpus), peak: peakOf(server.pid) }
      const scenario = `replay of ${total.toLocaleString("en")}, ${subscribers} at once`
      const note = `idle ${idle.toFixed(0)} MiB`
      report({ ...row, scenario, floor: "call.write, one bare stream", ratio: median(written), goal: ">= 2.5", note })
      report({ scenario, unit: "events", floor: "glued frames, one bare stream", ratio: median(glued), goal: ">= 0.4" })
    }
    await server.stop()
  }
}

/** Of all channels the last, so that no other scenario reads this log. */
if (channels.at(-1) !== channel) throw new Error("the channel of the replay is not the last one")
