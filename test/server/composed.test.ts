/** A server that a program composes of its parts, without a configuration. */
import { expect, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as MemoryStore from "../../src/layers/memory/MemoryStore.ts"
import * as Services from "../../src/layers/Services.ts"
import * as Server from "../../src/server/Server.ts"
import { Channels } from "../../src/services/Channels.ts"
import { ClientIdentity } from "../../src/services/ClientIdentity.ts"
import { Orchestrator } from "../../src/testing/Orchestrator.ts"
import * as build from "../blackbox/Builders.ts"

/** As a program may write it whose compiler takes options that are there and undefined. */
const undefinedOnes = (...names: ReadonlyArray<string>): object =>
  Object.fromEntries(names.map((name) => [name, undefined]))

const server = Server.layer({ port: 0, ...undefinedOnes("address", "limits", "maxResponseSize", "callTimeout") }).pipe(
  Layer.provide(Services.layer(undefinedOnes("version", "maxEventSize", "ring", "batchSize", "retryBudget"))),
  Layer.provide(MemoryStore.layer),
  Layer.provide(Channels.layer(new Map([["mychannel", ["MyOrg1MSP"]]]))),
  Layer.provide(ClientIdentity.layerTrusting)
)

layer(Orchestrator.layerOn(server))("a server whose options are there, and undefined", (it) => {
  it.effect("has what one has whose program leaves them out", () =>
    Effect.gen(function* () {
      const orchestrator = yield* Orchestrator
      expect(orchestrator.address).toMatch(/^127\.0\.0\.1:\d+$/)
      const client = yield* orchestrator.client("MyOrg1MSP")
      yield* client.registerOrganization({ address: "" })
      yield* client.registerPlan(build.newPlan())
      const metadata = new Map(Array.from({ length: 25_000 }, (_, i) => [`${i}`.padEnd(100), "x".repeat(100)]))
      const error = yield* Effect.flip(client.registerPlan(build.newPlan({ metadata })))
      expect(error).toMatchObject({ _tag: "InvalidAsset", details: expect.stringContaining("consumers take 4194304") })
    })
  )
})
