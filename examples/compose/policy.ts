// A server with the policy: whoever may not, is told so.
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { connect } from "substra-orchestrator/client"
import { MemoryStore } from "substra-orchestrator/memory"
import { Server } from "substra-orchestrator/server"
import { Channels, ClientIdentity, Services } from "substra-orchestrator/services"
import * as OnlyPlanners from "./OnlyPlanners.ts"

const server = Server.layer({ port: 0 }).pipe(
  Layer.provide(OnlyPlanners.layer),
  Layer.provide(Services.layer()),
  Layer.provide(MemoryStore.layer),
  Layer.provide(Channels.layer(new Map([["mychannel", ["MyOrg1MSP", "MyOrg2MSP"]]]))),
  Layer.provide(ClientIdentity.layerTrusting)
)

const program = Effect.gen(function* () {
  const { address, port } = yield* Server.Listening
  for (const organization of ["MyOrg1MSP", "MyOrg2MSP"]) {
    const client = yield* connect({ address: `${address}:${port}`, organization, channel: "mychannel" })
    const plan = { key: crypto.randomUUID(), name: "a plan", tag: "", metadata: new Map() }
    const answer = yield* Effect.match(client.registerPlan(plan), {
      onSuccess: ({ owner }) => `a plan of ${owner}`,
      onFailure: ({ details }) => details
    })
    console.log(answer)
  }
})

await Effect.runPromise(Effect.scoped(Effect.provide(program, server)))
