/** How a call ended, where that is easily mistaken: for its client, for the log and for the metrics. */
import { expect, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Metric from "effect/Metric"
import * as References from "effect/References"
import * as MemoryStore from "../../src/layers/memory/MemoryStore.ts"
import * as Services from "../../src/layers/Services.ts"
import { Conflict } from "../../src/schema/OrchestratorError.ts"
import * as Server from "../../src/server/Server.ts"
import { Channels } from "../../src/services/Channels.ts"
import { ClientIdentity } from "../../src/services/ClientIdentity.ts"
import { ComputePlans } from "../../src/services/ComputePlans.ts"
import { Transaction } from "../../src/services/Transaction.ts"
import { Orchestrator } from "../../src/testing/Orchestrator.ts"
import * as build from "../blackbox/Builders.ts"
import { client } from "../blackbox/Client.ts"
import { failure } from "../blackbox/Refusals.ts"

/** Registers a plan in a transaction whose caller has left when it comes back from its commit. */
const interrupted = Layer.effect(
  Transaction,
  Effect.map(Transaction, (transaction) =>
    Transaction.of({
      ...transaction,
      write: (body, finish) => Effect.andThen(transaction.write(body, finish), Effect.interrupt)
    })
  )
)

/** Renaming a plan has a defect that is made of an error of the contract. */
const defective = Layer.effect(
  ComputePlans,
  Effect.map(ComputePlans, (plans) =>
    ComputePlans.of({ ...plans, update: () => Effect.die(Conflict.exists("computeplan", "some")) })
  )
)

const lines: Array<string> = []
const logger = Logger.make(({ fiber, message }) => {
  lines.push(`${message} ${JSON.stringify(fiber.getRef(References.CurrentLogAnnotations))}`)
})

const server = Server.layer({ port: 0 }).pipe(
  Layer.provide(Layer.merge(interrupted, defective)),
  Layer.provide(Services.layer()),
  Layer.provide(MemoryStore.layer),
  Layer.provide(Channels.layer(new Map([["mychannel", ["MyOrg1MSP"]]]))),
  Layer.provide(ClientIdentity.layerTrusting),
  Layer.provideMerge(Logger.layer([logger]))
)

/** Transactions of an rpc by how they ended. */
const transactions = (method: string) =>
  Effect.map(Metric.snapshot, (metrics) =>
    Object.fromEntries(
      metrics.flatMap(({ attributes, id, state }) =>
        id === "orc_db_transaction_total" && attributes?.method === `/orchestrator.${method}`
          ? [[attributes.outcome, (state as { readonly count: number }).count]]
          : []
      )
    )
  )

layer(Orchestrator.layerOn(server), { excludeTestServices: true })("a call", (it) => {
  const refused = (use: (one: ReturnType<typeof client>) => Promise<unknown>) =>
    Effect.flatMap(Orchestrator, ({ address }) =>
      Effect.promise(async () => {
        const one = client(address, { mspid: "MyOrg1MSP", channel: "mychannel" })
        try {
          return await failure(use(one))
        } finally {
          one.close()
        }
      })
    )

  it.effect("whose caller leaves during its commit is counted as committed", () =>
    Effect.gen(function* () {
      const { code } = yield* refused((one) => one.registerPlan(build.newPlan()))
      expect(code).toBe("UNAVAILABLE")
      expect(yield* transactions("ComputePlanService/RegisterPlan")).toEqual({ commit: 1 })
    })
  )

  it.effect("whose defect is an error of the contract is an internal error, and its log tells of the defect", () =>
    Effect.gen(function* () {
      const error = yield* refused((one) => one.updatePlan({ key: crypto.randomUUID(), name: "name" }))
      expect(error).toMatchObject({ code: "INTERNAL", details: expect.stringContaining("OE0007") })
      expect(lines.filter((line) => line.includes("UpdatePlan"))).toEqual([
        expect.stringMatching(/defect: .*computeplan with key/)
      ])
      expect(yield* transactions("ComputePlanService/UpdatePlan")).toEqual({ rollback: 1 })
    })
  )
})
