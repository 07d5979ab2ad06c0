// A backend's tests: an orchestrator in memory for the file, real calls over gRPC.
import { expect, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { FederatedPlan, Orchestrator, Requests } from "substra-orchestrator/testing"

layer(Orchestrator.layer)("my backend", (it) => {
  it.effect("registers a data manager that the other organization may use", () =>
    Effect.gen(function* () {
      const orchestrator = yield* Orchestrator
      const client = yield* orchestrator.client("MyOrg1MSP")
      const manager = yield* client.registerDataManager(
        Requests.newDataManager({ newPermissions: Requests.only("MyOrg2MSP") })
      )
      expect(manager.permissions?.process?.authorizedIds).toEqual(["MyOrg2MSP", "MyOrg1MSP"])
    })
  )

  it.effect("sees a federated plan through", () =>
    Effect.gen(function* () {
      const orchestrator = yield* Orchestrator
      const one = yield* orchestrator.client("MyOrg1MSP")
      const two = yield* orchestrator.client("MyOrg2MSP")
      const clients = (organization: string) => (organization === one.organization ? one : two)
      const plan = FederatedPlan.make({ rounds: 2 })
      yield* FederatedPlan.register(plan, clients)
      yield* FederatedPlan.execute(plan, clients)
      expect((yield* one.waitForPlan(plan.plan.key)).outcome).toBe("DONE")
    })
  )
})
