/** What goes wrong, about once a second: drawn by chance, some of it while the one before still lasts. */
import { NeverReady } from "./NeverReady.ts"
import type { Postgres } from "./Postgres.ts"
import { type Random, sleep } from "./Random.ts"
import type { Server } from "./Server.ts"
import type { Subscriber } from "./Subscribers.ts"

export interface Surroundings {
  readonly postgres: Postgres
  readonly servers: ReadonlyArray<Server>
  readonly subscribers: ReadonlyArray<Subscriber>
  /** A subscriber's list before it starts over. */
  readonly check: (subscriber: Subscriber, seen: ReadonlyArray<number>) => void
  readonly wrong: (what: string) => void
  /** Whether the servers release locks early. */
  readonly early: boolean
}

type Fault = (around: Surroundings, random: Random) => Promise<string>

const server = ({ servers }: Surroundings, random: Random): readonly [Server, string] => {
  const index = random.below(servers.length)
  return [servers[index] as Server, `server ${index}`]
}

const stallFor = async (proxy: Server["database"], which: "all" | "listeners", millis: number): Promise<number> => {
  const count = proxy.stall(which)
  await sleep(millis)
  proxy.resume()
  return count
}

const restart: Fault = async ({ postgres }, random) => {
  const mode = random.pick(["fast", "immediate"] as const)
  await postgres.restart(mode)
  return `restart PostgreSQL, ${mode}`
}

const faults: ReadonlyArray<readonly [weight: number, fault: Fault]> = [
  [
    3,
    async (around, random) => {
      const [one, name] = server(around, random)
      await one.stop("SIGKILL")
      await one.start()
      return `SIGKILL ${name}`
    }
  ],
  [
    2,
    async (around, random) => {
      const [one, name] = server(around, random)
      const { code, millis } = await one.stop("SIGTERM")
      if (code !== 0 && code !== null)
        around.wrong(`${name} ended with ${code} on SIGTERM after ${millis} ms:\n${one.output}`)
      await one.start()
      return `SIGTERM ${name} (${millis} ms)`
    }
  ],
  [1, restart],
  [
    3,
    async ({ postgres }, random) => {
      const [row] = await postgres.query(
        `SELECT count(pg_terminate_backend(pid)) AS n FROM (SELECT pid FROM pg_stat_activity
          WHERE application_name = 'substra-orchestrator' ORDER BY random() LIMIT $1) p`,
        [random.between(1, 12)]
      )
      return `pg_terminate_backend of ${row?.n}`
    }
  ],
  [
    3,
    async (around, random) => {
      const [one, name] = server(around, random)
      return `cut ${one.database.cut("listeners")} listening connection of ${name}`
    }
  ],
  [
    3,
    async (around, random) => {
      const [one, name] = server(around, random)
      const millis = random.between(500, 7000)
      return `notifications to ${name} stalled for ${millis} ms (${await stallFor(one.database, "listeners", millis)} connections)`
    }
  ],
  [
    3,
    async (around, random) => {
      const [one, name] = server(around, random)
      return `cut ${one.database.cut(random.pick(["all", "some"]))} database connections of ${name}`
    }
  ],
  [
    2,
    async (around, random) => {
      const [one, name] = server(around, random)
      const millis = random.between(500, 4000)
      return `database of ${name} stalled for ${millis} ms (${await stallFor(one.database, "all", millis)} connections)`
    }
  ],
  [
    3,
    async (around, random) => {
      const [one, name] = server(around, random)
      return `cut ${one.clients.cut(random.pick(["all", "some"]))} clients of ${name}`
    }
  ],
  [
    2,
    async (around, random) => {
      const [one, name] = server(around, random)
      const millis = random.between(500, 3000)
      return `clients of ${name} stalled for ${millis} ms (${await stallFor(one.clients, "all", millis)} connections)`
    }
  ],
  [
    2,
    async ({ postgres }, random) => {
      const seconds = random.between(-3600, 3600)
      await postgres.stepClock(seconds)
      return `clock of PostgreSQL stepped to ${Math.abs(seconds)} s ${seconds < 0 ? "before" : "after"} the machine's`
    }
  ],
  [
    2,
    async (around, random) => {
      const [one, name] = server(around, random)
      one.stepClock()
      return `clock stepped of ${name}`
    }
  ],
  [
    3,
    async ({ subscribers }, random) => {
      const one = random.pick(subscribers)
      const millis = random.between(1000, 8000)
      await one.nap(millis)
      return `${one.name} reads nothing for ${millis} ms`
    }
  ],
  [
    3,
    async ({ check, subscribers }, random) => {
      const some = subscribers.filter(() => random.below(8) === 0)
      for (const one of some) check(one, one.startOver())
      return `${some.length} subscribers read from the beginning`
    }
  ]
]

/** Faults until the time is up; then all that lasts is waited for. Says how many of each there were. */
export const play = async (
  around: Surroundings,
  random: Random,
  until: number,
  say: (line: string) => void
): Promise<ReadonlyMap<string, number>> => {
  // Commits that are not durable at once are lost in crashes of the database.
  const more = around.early ? [[4, restart] as const] : []
  const weights = [...faults, ...more].flatMap(([weight, fault]) => Array<Fault>(weight).fill(fault))
  const counts = new Map<string, number>()
  const lasting = new Set<Promise<void>>()
  let restarting: Promise<void> = Promise.resolve()
  while (Date.now() < until) {
    await sleep(random.between(500, 1500))
    const fault = random.pick(weights)
    const begun = Date.now()
    const run = async () => {
      const line = await fault(around, random).catch((error) => {
        if (error instanceof NeverReady) around.wrong(error.message)
        return `a fault that could not be made: ${error}`
      })
      say(`${line}, from ${begun} to ${Date.now()}`)
      const kind = line
        .replace(/\d+/g, "n")
        .replace(/, from.*/, "")
        .replace(/of server.*|server n.*/, "server")
      counts.set(kind, (counts.get(kind) ?? 0) + 1)
    }
    // Only one thing at a time may be done to PostgreSQL's process.
    const one = fault === restart ? restarting.then(run) : run()
    if (fault === restart) restarting = one
    lasting.add(one)
    one.finally(() => lasting.delete(one))
  }
  await Promise.all(lasting)
  return counts
}
