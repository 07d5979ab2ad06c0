/** Every statement of the server's calls on a channel of some size, with what PostgreSQL did for it. */
import * as Build from "../../test/blackbox/Builders.ts"
import type { Client } from "../../test/blackbox/Client.ts"
import * as Drive from "../../test/blackbox/Drivers.ts"
import { channels, World } from "../speed/World.ts"
import { everyCall } from "./Calls.ts"
import { fill, keyOf, type Size } from "./Fill.ts"
import { logging, parse, type Ran } from "./Plans.ts"

const channel = channels[0] as string

/** A filled world, and a server on it whose statements are logged from now on. */
const logged = async <A>(
  size: Size,
  settings: Readonly<Record<string, string>>,
  calls: (world: World, client: (organization: string, channel: string) => Client) => Promise<A>
): Promise<ReadonlyArray<Ran>> => {
  const world = await World.open(settings)
  try {
    const filling = await world.server()
    const before = filling.client("MyOrg1MSP", channel)
    await before.registerOrganization()
    await fill(world, before, size)
    await filling.stop()
    await world.script(logging)
    const server = await world.server()
    const from = await world.logSize()
    await calls(world, server.client)
    await server.stop()
    return parse(await world.logSince(from))
  } finally {
    await world.close()
  }
}

export const run = (size: Size, settings: Readonly<Record<string, string>> = {}): Promise<ReadonlyArray<Ran>> =>
  logged(size, settings, async (world, client) => {
    const [some] = await world.query(
      `SELECT ${keyOf("plan", 2)} AS plan, ${keyOf("task", Math.floor(size.tasks / 2) + 3)} AS task,
              (SELECT id FROM events WHERE position = $1) AS event`,
      [Math.floor(size.events / 2)]
    )
    const { event, plan, task } = some as Record<string, unknown>
    await everyCall(client("MyOrg1MSP", channel), {
      plan: String(plan),
      task: String(task),
      event: String(event)
    })
  })

/** A function gets ready and a parent DONE, for so many tasks of a channel that the statistics do not know yet. */
export const runInNewChannel = (
  size: Size,
  children: number,
  settings: Readonly<Record<string, string>> = {}
): Promise<ReadonlyArray<Ran>> =>
  logged(size, settings, async (_, client) => {
    const one = client("MyOrg1MSP", channels[1] as string)
    await one.registerOrganization()
    const fn = await one.registerFunction(Build.newFunction())
    const plan = await one.registerPlan(Build.newPlan())
    const task = (...parents: ReadonlyArray<Build.Keyed>) =>
      Build.newTask(fn, plan, { worker: one.id, inputs: parents.map((parent) => Build.from("models", parent)) })
    const parent = task()
    const made = Array.from({ length: children }, () => task(parent))
    await one.registerTasks({ tasks: [parent, ...made, task(...made)] })
    for (const move of ["BUILDING", "READY"] as const) {
      await one.applyFunctionAction({ functionKey: fn.key, action: `FUNCTION_ACTION_${move}` })
    }
    await Drive.act(one, parent, "EXECUTING", "DONE")
  })
