/** Plans that run by events alone: from a parent's DONE to its child's executor. */
import { Child } from "../Children.ts"
import type { FederationJob, FederationResult } from "../children/federation.ts"
import { quantile } from "../Report.ts"
import { groundOf, registerTasks, rounds } from "../Requests.ts"
import { cpuDuring, poolSize, type Scenario } from "../Scenario.ts"
import { channels } from "../World.ts"

const channel = channels[0] as string
const organizations = ["MyOrg1MSP", "MyOrg2MSP"] as const

export const federation: Scenario = {
  name: "federation",
  about: "plans of two organizations, driven by events alone: one, and twenty at once",
  run: async ({ quick, report, rounds: repeats, world, wrong }) => {
    const server = await world.server({ ORCHESTRATOR_DATABASE_POOL_SIZE: String(poolSize) })
    for (const name of organizations) await server.client(name, channel).registerOrganization()
    for (const count of [1, 20]) {
      const delays: Array<number> = []
      const rates: Array<number> = []
      const costs: Array<number> = []
      // The first round is not counted: plans of statements and the JIT are warm after it.
      for (let round = quick ? 1 : 0; round <= repeats; round++) {
        const plans: Array<string> = []
        const length = quick ? 3 : count === 1 ? 50 : 10
        for (let plan = 0; plan < count; plan++) {
          const ground = await groundOf(server.client("MyOrg1MSP", channel))
          plans.push(registerTasks(rounds(ground, organizations, length)))
        }
        const job: FederationJob = { port: server.port, channel, organizations, plans }
        const child = await Child.start<FederationResult>("federation.ts", job)
        const [result, cpu] = await cpuDuring(server.pid, () => child.go())
        await child.end()
        const expected = count * length * 3
        if (result.errors.length > 0) wrong(`${result.errors.length} errors, the first: ${result.errors[0]}`)
        if (result.done !== expected) wrong(`${result.done} tasks are done, not ${expected}`)
        const [left] = await world.query(
          "SELECT count(*)::int AS n FROM compute_tasks WHERE channel = $1 AND status <> 'STATUS_DONE'",
          [channel]
        )
        if (left?.n !== 0) wrong(`${left?.n} tasks were left waiting`)
        if (round === 0) continue
        delays.push(...result.delays)
        rates.push(result.done / result.seconds)
        costs.push(cpu / result.done)
      }
      report({
        scenario: `events drive ${count === 1 ? "a plan" : `${count} plans`}`,
        unit: "tasks",
        rate: quantile(rates, 0.5),
        p50: quantile(delays, 0.5),
        p99: quantile(delays, 0.99),
        max: quantile(delays, 1),
        serverCpu: quantile(costs, 0.5),
        goal: "p50 <= 2 ms",
        note: "from a parent's DONE answer to its child's executor knowing; below 0: it knew before"
      })
    }
    await server.stop()
  }
}
