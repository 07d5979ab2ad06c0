/** A function that thousands of tasks wait for changes its state, and theirs with it. */
import { RegisterTasksParam } from "../../../src/layers/wire/generated/computetask.ts"
import { message } from "../../../test/blackbox/Client.ts"
import { functionAction, groundOf, task } from "../Requests.ts"
import { againstStatements, poolSize, type Scenario } from "../Scenario.ts"
import { channels } from "../World.ts"

const channel = channels[0] as string

export const functions: Scenario = {
  name: "functions",
  about: "a function with 10,000 tasks becomes BUILDING, READY, FAILED",
  run: async (context) => {
    const server = await context.world.server({ ORCHESTRATOR_DATABASE_POOL_SIZE: String(poolSize) })
    const client = server.client("MyOrg1MSP", channel)
    await client.registerOrganization()
    const size = context.quick ? 100 : 10_000
    for (const [action, before] of [
      ["BUILDING", "FUNCTION_STATUS_WAITING"],
      ["READY", "FUNCTION_STATUS_BUILDING"],
      ["FAILED", "FUNCTION_STATUS_BUILDING"]
    ] as const) {
      await againstStatements(context, {
        scenario: `function ${action}, ${size.toLocaleString("en")} tasks`,
        unit: "tasks",
        units: size,
        goal: ">= 0.4",
        server,
        job: async () => {
          const ground = await groundOf(client, before)
          for (let start = 0; start < size; start += 1000) {
            const tasks = Array.from({ length: Math.min(1000, size) }, () => task(ground))
            await client.registerTasks(message(RegisterTasksParam, { tasks }))
          }
          const requests = [functionAction(ground.fn.key, `FUNCTION_ACTION_${action}`)]
          return { kind: "functionAction", width: 1, count: 1, channels: [channel], requests }
        }
      })
    }
    await server.stop()
  }
}
