/** Actions on tasks: workers on tasks of their own, many parents of one child, one parent of many children. */

import type { NewComputeTask } from "../../../src/layers/wire/generated/computetask.ts"
import { RegisterTasksParam } from "../../../src/layers/wire/generated/computetask.ts"
import { message } from "../../../test/blackbox/Client.ts"
import { type Ground, groundOf, task } from "../Requests.ts"
import { againstStatements, type Context, poolSize, runCalls, type Scenario } from "../Scenario.ts"
import { channels, type Server } from "../World.ts"

const channel = channels[0] as string

const register = async ({ client }: Ground, tasks: ReadonlyArray<NewComputeTask>): Promise<ReadonlyArray<string>> => {
  for (let start = 0; start < tasks.length; start += 1000) {
    await client.registerTasks(message(RegisterTasksParam, { tasks: tasks.slice(start, start + 1000) }))
  }
  return tasks.map(({ key }) => key)
}

/** Tasks that wait for an executor. */
const waiting = (ground: Ground, count: number) =>
  register(
    ground,
    Array.from({ length: count }, () => task(ground))
  )

const execute = async (context: Context, server: Server, keys: ReadonlyArray<string>) => {
  await runCalls(context, server.pid, {
    kind: "executing",
    width: 16,
    count: keys.length,
    channels: [channel],
    keys,
    port: server.port
  })
}

export const actions: Scenario = {
  name: "actions",
  about: "EXECUTING and DONE by 32 workers; 500 parents of one child; one parent of 2,000 children",
  run: async (context) => {
    const { quick, world } = context
    const server = await world.server({ ORCHESTRATOR_DATABASE_POOL_SIZE: String(poolSize) })
    const client = server.client("MyOrg1MSP", channel)
    await client.registerOrganization()
    const ground = await groundOf(client)
    const base = { channels: [channel], width: 32 }
    const count = quick ? 100 : 3000
    await execute(context, server, await waiting(ground, count))
    await againstStatements(context, {
      scenario: "EXECUTING, 32 workers",
      unit: "calls",
      goal: ">= 0.45",
      server,
      job: async () => ({ ...base, kind: "executing", count, keys: await waiting(ground, count) })
    })
    const executing = async (tasks: ReadonlyArray<NewComputeTask>) => {
      const keys = await register(ground, tasks)
      await execute(context, server, keys)
      return keys
    }
    await againstStatements(context, {
      scenario: "DONE, 32 workers",
      unit: "calls",
      goal: ">= 0.45",
      server,
      job: async () => ({
        ...base,
        kind: "done",
        count,
        keys: await executing(Array.from({ length: count }, () => task(ground)))
      })
    })
    const parents = quick ? 50 : 500
    await againstStatements(context, {
      scenario: `DONE, ${parents} parents of one child`,
      unit: "calls",
      goal: ">= 0.45",
      server,
      job: async () => {
        const made = Array.from({ length: parents }, () => task(ground))
        const keys = await executing(made)
        await register(ground, [task(ground, made)])
        return { ...base, kind: "done", count: parents, keys }
      }
    })
    const children = quick ? 100 : 2000
    await againstStatements(context, {
      scenario: `DONE, one parent of ${children.toLocaleString("en")} children`,
      unit: "children",
      units: children,
      goal: ">= 0.45",
      server,
      job: async () => {
        const parent = task(ground)
        const keys = await executing([parent])
        await register(
          ground,
          Array.from({ length: children }, () => task(ground, [parent]))
        )
        return { ...base, kind: "done", count: 1, width: 1, keys }
      }
    })
    await server.stop()
  }
}
