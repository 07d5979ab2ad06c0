/** What all scenarios share: alternating a subject with its floor, and what is made of the rounds. */
import { Child } from "./Children.ts"
import type { CallsJob, CallsResult } from "./children/calls.ts"
import type { StatementsJob, StatementsResult } from "./children/statements.ts"
import { median, quantile, type Row } from "./Report.ts"
import { cpuOf, peakOf, resetPeak } from "./Usage.ts"
import { measured, type Server, type World } from "./World.ts"

export interface Context {
  readonly world: World
  /** A short run, which finds errors and no figures. */
  readonly quick: boolean
  readonly rounds: number
  readonly report: (row: Row) => void
  /** What must not happen, whatever the figures: the run fails. */
  readonly wrong: (what: string) => void
}

export interface Scenario {
  readonly name: string
  readonly about: string
  readonly run: (context: Context) => Promise<void>
}

/** Connections of the server in all scenarios, and so of the floors. */
export const poolSize = 10

/** Calls of one process, measured from outside. */
export const runCalls = async ({ world, wrong }: Context, pid: number, job: CallsJob) => {
  const child = await Child.start<CallsResult>("calls.ts", job)
  const { postgresCpu, result, serverCpu } = await measured(world, pid, () => child.go())
  await child.end()
  if (result.errors.length > 0) wrong(`${job.kind}: ${result.errors.length} errors, the first: ${result.errors[0]}`)
  return { ...result, count: job.count, serverCpu: serverCpu / job.count, postgresCpu: postgresCpu / job.count }
}

export const runStatements = async ({ wrong }: Context, job: StatementsJob) => {
  const child = await Child.start<StatementsResult>("statements.ts", job)
  const result = await child.go()
  await child.end()
  if (result.errors.length > 0) wrong(`${job.kind}, statements: ${result.errors[0]}`)
  return { ...result, count: job.count }
}

export interface Versus {
  readonly scenario: string
  readonly unit: string
  /** Units of one call. */
  readonly units?: number
  readonly goal: string
  readonly server: Server
  /** Makes the job of a round: fresh for each, for subject and floor alike. */
  readonly job: () => Promise<Omit<CallsJob, "port"> & Pick<StatementsJob, "kind">>
}

/** The server's calls against their statements from a bare driver, alternating. */
export const againstStatements = async (context: Context, versus: Versus): Promise<void> => {
  const { job, server, units = 1 } = versus
  const ratios: Array<number> = []
  const rounds: Array<Awaited<ReturnType<typeof runCalls>>> = []
  resetPeak(server.pid)
  for (let round = 0; round < context.rounds; round++) {
    const subject = await runCalls(context, server.pid, { ...(await job()), port: server.port })
    const floor = await runStatements(context, { ...(await job()), url: context.world.url, poolSize })
    rounds.push(subject)
    ratios.push(subject.count / subject.seconds / (floor.count / floor.seconds))
  }
  const millis = rounds.flatMap((round) => round.millis)
  context.report({
    scenario: versus.scenario,
    unit: versus.unit,
    rate: median(rounds.map(({ count, seconds }) => (count * units) / seconds)),
    p50: quantile(millis, 0.5),
    p99: quantile(millis, 0.99),
    max: quantile(millis, 1),
    serverCpu: median(rounds.map(({ serverCpu }) => serverCpu)) / units,
    postgresCpu: median(rounds.map(({ postgresCpu }) => postgresCpu)) / units,
    peak: peakOf(server.pid),
    floor: "its statements, bare driver",
    ratio: median(ratios),
    goal: versus.goal
  })
}

/** The CPU that a process uses during `run`, in microseconds. */
export const cpuDuring = async <A>(pid: number, run: () => Promise<A>): Promise<readonly [A, number]> => {
  const before = cpuOf(pid)
  const result = await run()
  return [result, cpuOf(pid) - before]
}
