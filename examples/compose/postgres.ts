// The whole server on PostgreSQL, here on the one that comes with the package.
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { EmbeddedPostgres, Migrator, PostgresStore } from "substra-orchestrator/postgres"
import { Server } from "substra-orchestrator/server"
import { Channels, ClientIdentity, Services } from "substra-orchestrator/services"

const store = Layer.unwrap(
  Effect.gen(function* () {
    // For a database of yours: `const url = Redacted.make("postgresql://…")`, so that no log can show its password.
    const { url } = yield* EmbeddedPostgres.start({ dataDir: process.env.DATA_DIR })
    yield* Migrator.migrate({ url })
    return PostgresStore.layer({ url, poolSize: 10 })
  })
)

const server = Server.layer({ port: Number(process.env.PORT ?? 9000) }).pipe(
  Layer.tap((context) => Effect.log(`listening on port ${Context.get(context, Server.Listening).port}`)),
  Layer.provide(Services.layer({ version: "mine" })),
  Layer.provide(store),
  Layer.provide(Channels.layer(new Map([["mychannel", ["MyOrg1MSP", "MyOrg2MSP"]]]))),
  Layer.provide(ClientIdentity.layerTrusting)
)

NodeRuntime.runMain(Layer.launch(server))
