// The same client without Effect.
import { connect } from "substra-orchestrator/client/promise"

const { ADDRESS = "localhost:9000" } = process.env

const client = await connect({ address: ADDRESS, organization: "MyOrg1MSP", channel: "mychannel" })

// Registered before anybody asks: what comes after this event is news.
const since = await client.newestEvent()
const plan = await client.registerPlan({ key: crypto.randomUUID(), name: "a plan", tag: "", metadata: new Map() })

// Every plan of the channel, page after page.
let count = 0
for await (const found of client.all.queryPlans({ filter: { owner: "MyOrg1MSP" } })) if (found.key === plan.key) count++

// Events come by themselves, over connections that break.
for await (const event of client.events(since)) {
  if (event.assetKey === plan.key) break
}

try {
  await client.getPlan({ key: crypto.randomUUID() })
} catch (error) {
  console.log((error as { _tag: string })._tag, count)
}

// Or `await using client = …`, where the runtime has it.
await client.close()
