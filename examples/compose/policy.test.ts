// A test of the policy: a server of one's own as the orchestrator of a test, called over gRPC.
import { expect, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { MemoryStore } from "substra-orchestrator/memory"
import { Server } from "substra-orchestrator/server"
import { Channels, ClientIdentity, Services } from "substra-orchestrator/services"
import { Orchestrator, Requests } from "substra-orchestrator/testing"
import * as OnlyPlanners from "./OnlyPlanners.ts"

const server = Server.layer({ port: 0 }).pipe(
  Layer.provide(OnlyPlanners.layer),
  Layer.provide(Services.layer()),
  Layer.provide(MemoryStore.layer),
  Layer.provide(Channels.layer(new Map([["mychannel", ["MyOrg1MSP", "MyOrg2MSP"]]]))),
  Layer.provide(ClientIdentity.layerTrusting)
)

layer(Orchestrator.layerOn(server))("a server with planners", (it) => {
  it.effect("lets them register two plans, and nobody else one", () =>
    Effect.gen(function* () {
      const orchestrator = yield* Orchestrator
      const planner = yield* orchestrator.client("MyOrg1MSP")
      yield* planner.registerPlan(Requests.newPlan())
      yield* planner.registerPlan(Requests.newPlan())
      const third = yield* Effect.flip(planner.registerPlan(Requests.newPlan()))
      expect(third).toMatchObject({ _tag: "PermissionDenied", details: "OE0102: MyOrg1MSP has two plans already" })
      const other = yield* orchestrator.client("MyOrg2MSP")
      const refused = yield* Effect.flip(other.registerPlan(Requests.newPlan()))
      expect(refused).toMatchObject({ _tag: "PermissionDenied", details: "OE0102: MyOrg2MSP may not register plans" })
    })
  )
})
