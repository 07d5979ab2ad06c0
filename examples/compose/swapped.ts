// One service swapped: everything that asks for ComputePlans now gets this one, the rest is as it was.
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { connect } from "substra-orchestrator/client"
import { MemoryStore } from "substra-orchestrator/memory"
import { OrchestratorError } from "substra-orchestrator/schema"
import { Server } from "substra-orchestrator/server"
import { Channels, ClientIdentity, ComputePlans, Services } from "substra-orchestrator/services"

/** A server that is always busy when a plan is registered: how does a backend take that? */
const busy = Layer.effect(
  ComputePlans,
  Effect.map(ComputePlans, (plans) =>
    ComputePlans.of({
      ...plans,
      register: () => Effect.fail(new OrchestratorError.Unavailable({ message: "busy, on purpose" }))
    })
  )
)

const server = Server.layer({ port: 0 }).pipe(
  Layer.provide(busy),
  Layer.provide(Services.layer()),
  Layer.provide(MemoryStore.layer),
  Layer.provide(Channels.layer(new Map([["mychannel", ["MyOrg1MSP"]]]))),
  Layer.provide(ClientIdentity.layerTrusting)
)

const program = Effect.gen(function* () {
  const { address, port } = yield* Server.Listening
  const at = { address: `${address}:${port}`, organization: "MyOrg1MSP", channel: "mychannel", retryFor: 0 }
  const client = yield* connect(at)
  const plan = { key: crypto.randomUUID(), name: "a plan", tag: "", metadata: new Map() }
  const error = yield* Effect.flip(client.registerPlan(plan))
  console.log(error._tag, error.details)
})

await Effect.runPromise(Effect.scoped(Effect.provide(program, server)))
