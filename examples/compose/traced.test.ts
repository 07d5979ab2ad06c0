// A server whose spans go to a tracer of one's own, here into a list.
import { expect, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Tracer from "effect/Tracer"
import { MemoryStore } from "substra-orchestrator/memory"
import { Server } from "substra-orchestrator/server"
import { Channels, ClientIdentity, Services, Tracing } from "substra-orchestrator/services"
import { Orchestrator } from "substra-orchestrator/testing"

const spans: Array<Tracer.Span> = []

const tracer = Tracer.make({
  span: (options) => {
    const span = new Tracer.NativeSpan(options)
    spans.push(span)
    return span
  }
})

const server = Server.layer({ port: 0 }).pipe(
  Layer.provide(Services.layer()),
  Layer.provide(MemoryStore.layer),
  Layer.provide(Channels.layer(new Map([["mychannel", ["MyOrg1MSP", "MyOrg2MSP"]]]))),
  Layer.provide(ClientIdentity.layerTrusting),
  Layer.provide(Layer.succeed(Tracing, { tracer, isSampled: () => true }))
)

layer(Orchestrator.layerOn(server))("a server with a tracer", (it) => {
  it.effect("has a span for each call, with its transaction below it", () =>
    Effect.gen(function* () {
      const client = yield* Effect.flatMap(Orchestrator, (orchestrator) => orchestrator.client())
      yield* client.registerOrganization({ address: "" })
      expect(spans.map(({ name }) => name)).toEqual([
        "orchestrator.OrganizationService/RegisterOrganization",
        "transaction"
      ])
    })
  )
})
