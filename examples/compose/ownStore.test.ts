// Everything that every store keeps to, held against one's own; then what is its own.
import { expect, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Ref from "effect/Ref"
import type { Key } from "substra-orchestrator/schema"
import { ComputePlans, RequestContext, Services, Transaction } from "substra-orchestrator/services"
import { Store } from "substra-orchestrator/testing/suites"
import * as OwnStore from "./OwnStore.ts"

Store.suite("my store", OwnStore.layer)

const caller = RequestContext.of({
  requester: "MyOrg1MSP" as Key.OrganizationId,
  channel: "mychannel" as Key.ChannelName
})

layer(Services.layer().pipe(Layer.provideMerge(OwnStore.layer)))("my store", (it) => {
  it.effect("counts what is committed, and nothing else", () =>
    Effect.gen(function* () {
      const plans = yield* ComputePlans
      const transaction = yield* Transaction
      const register = (name: string) =>
        transaction.write(plans.register({ key: crypto.randomUUID(), name, tag: "", metadata: new Map() }))
      yield* register("a plan")
      yield* Effect.flip(register(""))
      expect(yield* Ref.get(yield* OwnStore.Commits)).toBe(1)
    }).pipe(Effect.provideService(RequestContext, caller))
  )
})
