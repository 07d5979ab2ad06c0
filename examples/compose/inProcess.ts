// The services without gRPC: who calls is a service like any other, and a transaction makes it all or nothing.
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import { MemoryStore } from "substra-orchestrator/memory"
import type { Key } from "substra-orchestrator/schema"
import { ComputePlans, RequestContext, Services, Transaction } from "substra-orchestrator/services"

const caller = RequestContext.of({
  requester: "MyOrg1MSP" as Key.OrganizationId,
  channel: "mychannel" as Key.ChannelName
})

const program = Effect.gen(function* () {
  const plans = yield* ComputePlans
  const transaction = yield* Transaction
  const registration = plans.register({ key: crypto.randomUUID(), name: "a plan", tag: "", metadata: new Map() })
  // A second argument would make the answer of what the service gave, before the commit.
  const plan = yield* transaction.write(registration)
  const page = yield* transaction.read(plans.query({ owner: "MyOrg1MSP" }, { cursor: Option.none(), limit: 10 }))
  console.log(page.items.map(({ key, name }) => `${name} ${key === plan.key}`).join())
}).pipe(Effect.provideService(RequestContext, caller))

await Effect.runPromise(Effect.provide(program, Services.layer().pipe(Layer.provide(MemoryStore.layer))))
