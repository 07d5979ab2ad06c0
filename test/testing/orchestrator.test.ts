/** The orchestrator of src/testing: one line in vitest, one without Effect, and a plan that runs on it. */
import { expect, it, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import * as FederatedPlan from "../../src/testing/FederatedPlan.ts"
import { Orchestrator, startOrchestrator } from "../../src/testing/Orchestrator.ts"
import * as Requests from "../../src/testing/Requests.ts"

layer(Orchestrator.layer)("an orchestrator in memory", (it) => {
  it.effect("answers calls, also under a test's clock", () =>
    Effect.gen(function* () {
      const orchestrator = yield* Orchestrator
      const client = yield* orchestrator.client("MyOrg2MSP", "yourchannel")
      const plan = yield* client.registerPlan(Requests.newPlan())
      expect(plan.owner).toBe("MyOrg2MSP")
      expect((yield* client.getAllOrganizations()).organizations.map(({ id }) => id)).toEqual([
        "MyOrg1MSP",
        "MyOrg2MSP"
      ])
    })
  )

  it.effect("runs a federated plan to its end, and its owner hears of it", () =>
    Effect.gen(function* () {
      const orchestrator = yield* Orchestrator
      const [one, two] = yield* Effect.all([orchestrator.client("MyOrg1MSP"), orchestrator.client("MyOrg2MSP")])
      const clients = (organization: string) => (organization === "MyOrg1MSP" ? one : two)
      const federated = FederatedPlan.make({ rounds: 2 })
      yield* FederatedPlan.register(federated, clients)
      const [{ outcome }] = yield* Effect.all(
        [one.waitForPlan(federated.plan.key), FederatedPlan.execute(federated, clients)],
        { concurrency: "unbounded" }
      )
      expect(outcome).toBe("DONE")
      expect(federated.tasks.length).toBe(10)
      const tasks = yield* Stream.runCollect(one.all.queryTasks({ filter: { computePlanKey: federated.plan.key } }))
      expect(new Set(tasks.map((task) => task.status))).toEqual(new Set(["STATUS_DONE"]))
    })
  )
})

layer(Orchestrator.layerWith({ channels: new Map([["ours", ["A", "B", "C"]]]), registered: false }))(
  "an orchestrator with channels of a test",
  (it) => {
    it.effect("has those, and nobody registered", () =>
      Effect.gen(function* () {
        const client = yield* (yield* Orchestrator).client("C", "ours")
        expect((yield* client.getAllOrganizations()).organizations).toEqual([])
      })
    )
  }
)

it("starts and ends without Effect", async () => {
  await using orchestrator = await startOrchestrator()
  const client = await orchestrator.client("MyOrg2MSP")
  expect((await client.registerPlan(Requests.newPlan())).owner).toBe("MyOrg2MSP")
})
