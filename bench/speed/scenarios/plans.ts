/** RegisterPlan: the smallest write, by ever more writers. */
import { Child } from "../Children.ts"
import { median } from "../Report.ts"
import { againstStatements, poolSize, runCalls, type Scenario } from "../Scenario.ts"
import { channels } from "../World.ts"

const shapes = [
  [1, 1],
  [8, 1],
  [32, 1],
  [32, 2],
  [32, 64]
] as const

export const plans: Scenario = {
  name: "plans",
  about: "RegisterPlan by 1, 8 and 32 writers on one channel, by 32 on two and on 64",
  run: async (context) => {
    const { quick, report, rounds, world } = context
    const server = await world.server({ ORCHESTRATOR_DATABASE_POOL_SIZE: String(poolSize) })
    for (const channel of channels) await server.client("MyOrg1MSP", channel).registerOrganization()
    const jobOf = (width: number, over: number, count: number) => ({
      kind: "registerPlan" as const,
      width,
      count,
      channels: channels.slice(0, over)
    })
    // Plans and the JIT are warm before what counts.
    await runCalls(context, server.pid, { ...jobOf(32, 2, quick ? 200 : 4000), port: server.port })
    for (const [width, over] of shapes) {
      await againstStatements(context, {
        scenario: `RegisterPlan, ${width} on ${over}`,
        unit: "calls",
        goal: ">= 0.45",
        server,
        job: async () => jobOf(width, over, quick ? 100 : width === 1 ? 1000 : 4000)
      })
    }
    const bare = await Child.start("bareServer.ts", {})
    const empty = { kind: "empty" as const, width: 32, count: quick ? 200 : 20_000, channels: channels.slice(0, 1) }
    const ratios: Array<number> = []
    for (let round = 0; round < rounds; round++) {
      const calls = await runCalls(context, bare.pid, { ...empty, port: bare.ready as number })
      const plan = await runCalls(context, server.pid, { ...jobOf(32, 1, quick ? 100 : 4000), port: server.port })
      ratios.push(plan.serverCpu / calls.serverCpu)
    }
    await bare.end()
    report({
      scenario: "RegisterPlan, server CPU",
      unit: "calls",
      floor: "an empty grpc-js call",
      ratio: median(ratios),
      goal: "<= 2.5"
    })
    await server.stop()
  }
}
