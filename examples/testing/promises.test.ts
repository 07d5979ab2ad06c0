// The same without Effect, in any test framework.

import { Requests, startOrchestrator } from "substra-orchestrator/testing"
import { afterAll, expect, it } from "vitest"

const orchestrator = await startOrchestrator()
afterAll(() => orchestrator.close())

it("registers a plan", async () => {
  const client = await orchestrator.client("MyOrg1MSP")
  const plan = await client.registerPlan(Requests.newPlan({ name: "mine" }))
  expect(plan).toMatchObject({ owner: "MyOrg1MSP", name: "mine" })
})
