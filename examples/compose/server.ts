// The whole server, of parts: any of them can be another.
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { MemoryStore } from "substra-orchestrator/memory"
import { Server } from "substra-orchestrator/server"
import { Channels, ClientIdentity, Services } from "substra-orchestrator/services"

const server = Server.layer({ port: Number(process.env.PORT ?? 9000) }).pipe(
  Layer.tap((context) => Effect.log(`listening on port ${Context.get(context, Server.Listening).port}`)),
  Layer.provide(Services.layer({ version: "mine" })),
  Layer.provide(MemoryStore.layer), // or PostgreSQL, as below
  Layer.provide(Channels.layer(new Map([["mychannel", ["MyOrg1MSP", "MyOrg2MSP"]]]))),
  Layer.provide(ClientIdentity.layerTrusting)
)

NodeRuntime.runMain(Layer.launch(server))
