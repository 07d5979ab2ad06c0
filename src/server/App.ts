/** The whole server, from its configuration: database, services, gRPC and HTTP, and where they can be reached. */
import { readFileSync } from "node:fs"
import { availableParallelism } from "node:os"
import { ServerCredentials } from "@grpc/grpc-js"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as PrometheusMetrics from "effect/observability/PrometheusMetrics"
import type * as Redacted from "effect/Redacted"
import * as Ref from "effect/Ref"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as SubscriptionRef from "effect/SubscriptionRef"
import { type AppConfig, channelsFile, missingCas, tlsFiles } from "../layers/config/AppConfig.ts"
import { reloading } from "../layers/config/Reload.ts"
import * as EmbeddedPostgres from "../layers/EmbeddedPostgres.ts"
import * as MemoryStore from "../layers/memory/MemoryStore.ts"
import * as Migrator from "../layers/postgres/Migrator.ts"
import * as PostgresStore from "../layers/postgres/PostgresStore.ts"
import * as ServiceLayers from "../layers/Services.ts"
import * as Tracing from "../layers/Tracing.ts"
import * as CertificateIdentity from "../layers/tls/CertificateIdentity.ts"
import { type ChannelMap, Channels } from "../services/Channels.ts"
import { ClientIdentity } from "../services/ClientIdentity.ts"
import type { Store } from "../services/store/Store.ts"
import * as GrpcServer from "./GrpcServer.ts"
import * as HttpServer from "./HttpServer.ts"
import { handlers } from "./handlers/index.ts"
import type { ListenError } from "./Ports.ts"
import * as ProcessMetrics from "./ProcessMetrics.ts"
import { TlsCredentials } from "./TlsCredentials.ts"

/** The version of this package. */
export const version: string = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8")).version

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

/** A PostgreSQL database, and where it is kept when it is the embedded one. */
export interface Database {
  readonly url: Redacted.Redacted
  readonly dataDir: string | undefined
}

/** The operator's database, or the embedded one, started for as long as the scope is open. */
export const chooseDatabase = (
  config: AppConfig
): Effect.Effect<Database, EmbeddedPostgres.EmbeddedPostgresError, Scope.Scope> =>
  config.ORCHESTRATOR_DATABASE_URL !== undefined
    ? Effect.succeed({ url: config.ORCHESTRATOR_DATABASE_URL, dataDir: undefined })
    : Effect.map(
        EmbeddedPostgres.start(
          config.ORCHESTRATOR_DATA_DIR === undefined ? {} : { dataDir: config.ORCHESTRATOR_DATA_DIR }
        ),
        ({ dataDir, url }) => ({ url, dataDir })
      )

/** Why a start failed. Each message says what is wrong, and what to do. */
export type StartError = EmbeddedPostgres.EmbeddedPostgresError | ListenError | Migrator.DatabaseUnusable

/** The channels; those of a file change with it. */
const reloadingChannels = (config: AppConfig) => {
  const { ORCHESTRATOR_CHANNEL_CONFIG: file, channels } = config
  return file === undefined
    ? SubscriptionRef.make(channels)
    : reloading({
        what: "channels",
        initial: channels,
        read: channelsFile(file),
        fingerprint: (content) => JSON.stringify([...content]),
        interval: config.ORCHESTRATOR_RELOAD_INTERVAL
      })
}

interface Security {
  readonly credentials: ServerCredentials
  readonly identity: Layer.Layer<ClientIdentity>
}

/** How connections are secured and clients are known; certificates change with their files. */
const security = (config: AppConfig): Effect.Effect<Security, never, Scope.Scope> =>
  Effect.gen(function* () {
    const { tls } = config
    if (tls === undefined) {
      return { credentials: ServerCredentials.createInsecure(), identity: ClientIdentity.layerTrusting }
    }
    const files = yield* reloading({
      what: "certificates",
      initial: tls.files,
      read: tlsFiles(tls.paths),
      fingerprint: (content) => content.fingerprint,
      interval: config.ORCHESTRATOR_RELOAD_INTERVAL
    })
    const credentials = new TlsCredentials(tls.files, config.ORCHESTRATOR_MTLS_ENABLED)
    yield* Effect.forkScoped(
      Stream.runForEach(SubscriptionRef.changes(files), (current) => Effect.sync(() => credentials.update(current)))
    )
    if (!config.ORCHESTRATOR_VERIFY_CLIENT_MSP_ID) return { credentials, identity: ClientIdentity.layerTrusting }
    for (const missing of missingCas(config)) yield* Effect.logWarning(missing)
    return { credentials, identity: CertificateIdentity.layer(files) }
  })

/** What a server keeps its assets and events in. */
export interface ChosenStore<E> {
  readonly layer: Layer.Layer<Store, E>
  readonly data: string
  /** Whether it is for development only: such a server is not for the network. */
  readonly isLocal: boolean
}

/** The database, with this server's schema. */
export const migrated = (config: AppConfig): Effect.Effect<Database, StartError, Scope.Scope> =>
  Effect.tap(chooseDatabase(config), (database) =>
    Migrator.waiting(Migrator.migrate(database), config.ORCHESTRATOR_DATABASE_WAIT)
  )

/** Workers have a share of the cores each. */
const standardPoolSize = (workers: number): number => Math.ceil(availableParallelism() / workers) + 8

export const onDatabase = (config: AppConfig, { dataDir, url }: Database): ChosenStore<Migrator.DatabaseUnusable> => ({
  layer: PostgresStore.layer({
    url,
    poolSize: config.ORCHESTRATOR_DATABASE_POOL_SIZE ?? standardPoolSize(config.ORCHESTRATOR_WORKERS),
    logStatements: config.LOG_SQL_VERBOSE,
    earlyLockRelease: config.ORCHESTRATOR_EARLY_LOCK_RELEASE
  }),
  data: dataDir ?? "in the database of ORCHESTRATOR_DATABASE_URL",
  isLocal: dataDir !== undefined
})

const memory: ChosenStore<never> = {
  layer: MemoryStore.layer,
  data: "in memory: nothing is kept, it is gone when the server ends",
  isLocal: true
}

/** The address that both ports are on. */
export const addressOf = (config: AppConfig, { isLocal }: { readonly isLocal: boolean }): string =>
  config.ORCHESTRATOR_LISTEN_ADDRESS ?? (isLocal ? "127.0.0.1" : "0.0.0.0")

/** Starts everything, in order; it all ends, in the opposite order, when the scope closes. It is all in this process. */
export const start = (config: AppConfig): Effect.Effect<Running, StartError, Scope.Scope> =>
  Effect.flatMap(migrated(config), (database) => serve(config, onDatabase(config, database)))

/** The same server on memory, for tests: it starts at once, and what it holds is gone with its scope. */
export const startInMemory = (config: AppConfig): Effect.Effect<Running, ListenError, Scope.Scope> =>
  serve(config, memory)

/** The services, started. */
export interface Prepared {
  /** Why the store keeps them from their work; undefined when it does not. */
  readonly readiness: Effect.Effect<string | undefined>
  /** Serves them until the scope closes. */
  readonly grpc: Effect.Effect<GrpcServer.GrpcServer, ListenError, Scope.Scope>
}

/** The services on a store, with what the configuration says of channels, identity and traces. */
export const prepare = <E>(config: AppConfig, store: ChosenStore<E>): Effect.Effect<Prepared, E, Scope.Scope> =>
  Effect.gen(function* () {
    const { credentials, identity } = yield* security(config)
    const services = yield* Layer.build(
      ServiceLayers.layer({
        version,
        retryBudget: config.ORCHESTRATOR_TX_RETRY_BUDGET,
        maxEventSize: config.ORCHESTRATOR_GRPC_MAX_RESPONSE_SIZE,
        batchSize: config.ORCHESTRATOR_REPLAY_EVENTS_BATCH_SIZE,
        ring: { maxEvents: config.ORCHESTRATOR_EVENT_RING_SIZE, maxBytes: config.ORCHESTRATOR_EVENT_RING_BYTES }
      }).pipe(
        Layer.provideMerge(store.layer),
        Layer.provideMerge(Channels.layerFrom(yield* reloadingChannels(config))),
        Layer.provideMerge(identity),
        Layer.provideMerge(Tracing.layer(config, version))
      )
    )
    if (config.METRICS_ENABLED) yield* Layer.build(ProcessMetrics.layer(version))
    const grpc = Effect.flatMap(handlers, (all) =>
      GrpcServer.make(all, {
        address: addressOf(config, store),
        port: config.ORCHESTRATOR_GRPC_PORT,
        credentials,
        maxRequestSize: config.ORCHESTRATOR_GRPC_MAX_REQUEST_SIZE,
        maxResponseSize: config.ORCHESTRATOR_GRPC_MAX_RESPONSE_SIZE,
        callTimeout: config.ORCHESTRATOR_GRPC_CALL_TIMEOUT,
        slowCall: config.ORCHESTRATOR_SLOW_CALL,
        stalledSubscriberTimeout: config.ORCHESTRATOR_STALLED_SUBSCRIBER_TIMEOUT,
        drainTimeout: config.ORCHESTRATOR_DRAIN_TIMEOUT,
        limits: {
          calls: config.ORCHESTRATOR_MAX_CALLS,
          callsPerOrganization: config.ORCHESTRATOR_MAX_CALLS_PER_ORGANIZATION,
          waitingPerOrganization: config.ORCHESTRATOR_MAX_WAITING_CALLS_PER_ORGANIZATION,
          streamsPerOrganization: config.ORCHESTRATOR_MAX_STREAMS_PER_ORGANIZATION
        },
        maxEventLoopDelay: config.ORCHESTRATOR_MAX_EVENT_LOOP_DELAY
      })
    )
    return {
      readiness: Effect.provide(HttpServer.databaseReadiness, services),
      grpc: Effect.provide(grpc, services)
    }
  })

const serve = <E>(config: AppConfig, store: ChosenStore<E>): Effect.Effect<Running, ListenError | E, Scope.Scope> =>
  Effect.gen(function* () {
    const address = addressOf(config, store)
    const draining = yield* Ref.make(false)
    const grpcPort = yield* Ref.make(0)
    const { grpc, readiness } = yield* prepare(config, store)
    const http = yield* HttpServer.serve({
      address,
      port: config.ORCHESTRATOR_HTTP_PORT,
      readiness: Effect.flatMap(Ref.get(draining), (drains) =>
        drains ? Effect.succeed("the server is shutting down") : readiness
      ),
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
