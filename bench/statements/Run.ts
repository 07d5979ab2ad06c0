/** Every statement of the server's calls on a channel of some size, with what PostgreSQL did for it. */
import { channels, World } from "../speed/World.ts"
import { everyCall } from "./Calls.ts"
import { fill, keyOf, type Size } from "./Fill.ts"
import { logging, parse, type Ran } from "./Plans.ts"

const channel = channels[0] as string

export const run = async (size: Size, settings: Readonly<Record<string, string>> = {}): Promise<ReadonlyArray<Ran>> => {
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
    const [some] = await world.query(
      `SELECT ${keyOf("plan", 2)} AS plan, ${keyOf("task", Math.floor(size.tasks / 2) + 3)} AS task,
              (SELECT id FROM events WHERE position = $1) AS event`,
      [Math.floor(size.events / 2)]
    )
    const { event, plan, task } = some as Record<string, unknown>
    await everyCall(server.client("MyOrg1MSP", channel), {
      plan: String(plan),
      task: String(task),
      event: String(event)
    })
    await server.stop()
    return parse(await world.logSince(from))
  } finally {
    await world.close()
  }
}
