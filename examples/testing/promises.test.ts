// The same without Effect, in any test framework.

import { Requests, startOrchestrator } from "substra-orchestrator/testing"
import { expect, it } from "vitest"

it("registers a plan", async () => {
  await using orchestrator = await startOrchestrator()
  const client = await orchestrator.client("MyOrg1MSP")
  const plan = await client.registerPlan(Requests.newPlan({ name: "mine" }))
  expect(plan).toMatchObject({ owner: "MyOrg1MSP", name: "mine" })
})
