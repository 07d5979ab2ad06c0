/** The whole server in this process, from its configuration: store, services, gRPC and HTTP, and where they are. */
import * as Effect from "effect/Effect"
import * as PrometheusMetrics from "effect/observability/PrometheusMetrics"
import * as Ref from "effect/Ref"
import type * as Scope from "effect/Scope"
import type { AppConfig } from "../layers/config/AppConfig.ts"
import type { EmbeddedPostgresError } from "../layers/EmbeddedPostgres.ts"
import type { DatabaseUnusable } from "../layers/postgres/Migrator.ts"
import type { ChannelMap } from "../services/Channels.ts"
import { addressOf, type ChosenStore, inMemory, migrated, onDatabase } from "./ChosenStore.ts"
import { prepare } from "./ConfiguredServices.ts"
import * as HttpServer from "./HttpServer.ts"
import type { ListenError } from "./Ports.ts"

/** What a running server can tell of itself. */
export interface Running {
  /** The IP address that both ports are on. */
  readonly address: string
  readonly grpcPort: number
  readonly httpPort: number
  /** Where the assets and events are, for people to read. */
  readonly data: string
  readonly channels: ChannelMap
}

/** Why a start failed. Each message says what is wrong, and what to do. */
export type StartError = EmbeddedPostgresError | ListenError | DatabaseUnusable

/** Starts everything, in order; it all ends, in the opposite order, when the scope closes. */
export const start = (config: AppConfig): Effect.Effect<Running, StartError, Scope.Scope> =>
  Effect.flatMap(migrated(config), (database) => serve(config, onDatabase(config, database)))

/** The same server on memory, for tests: it starts at once, and what it holds is gone with its scope. */
export const startInMemory = (config: AppConfig): Effect.Effect<Running, ListenError, Scope.Scope> =>
  serve(config, inMemory)

const serve = <E>(config: AppConfig, store: ChosenStore<E>): Effect.Effect<Running, ListenError | E, Scope.Scope> =>
  Effect.gen(function* () {
    const address = addressOf(config, store)
    const draining = yield* Ref.make(false)
    const grpcPort = yield* Ref.make(0)
    const { grpc, readiness } = yield* prepare(config, store)
    const http = yield* HttpServer.serve({
      address,
      port: config.ORCHESTRATOR_HTTP_PORT,
      readiness: Effect.gen(function* () {
        if (yield* Ref.get(draining)) return "the server is shutting down"
        return (yield* Ref.get(grpcPort)) === 0 ? "the server is starting" : yield* readiness
      }),
      metrics: config.METRICS_ENABLED ? PrometheusMetrics.format() : undefined,
      grpcPort,
      wantedGrpcPort: config.ORCHESTRATOR_GRPC_PORT
    })
    const { port } = yield* grpc
    yield* Ref.set(grpcPort, port)
    // The last to be added is the first to run: /readyz fails before anything else ends.
    yield* Effect.addFinalizer(() => Ref.set(draining, true))
    return { address, grpcPort: port, httpPort: http.port, data: store.data, channels: config.channels }
  })
