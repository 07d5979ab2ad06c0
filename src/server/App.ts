/** The whole server, from its configuration: database, services, gRPC and HTTP, and where they can be reached. */
import { readFileSync } from "node:fs"
import { availableParallelism } from "node:os"
import { ServerCredentials } from "@grpc/grpc-js"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Redacted from "effect/Redacted"
import * as Ref from "effect/Ref"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as SubscriptionRef from "effect/SubscriptionRef"
import { type AppConfig, channelsFile, tlsFiles } from "../layers/config/AppConfig.ts"
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

interface ChosenDatabase {
  readonly url: Redacted.Redacted
  readonly dataDir: string | undefined
}

/** The operator's database, or the embedded one, started for as long as the scope is open. */
export const chooseDatabase = (
  config: AppConfig
): Effect.Effect<ChosenDatabase, EmbeddedPostgres.EmbeddedPostgresError, Scope.Scope> =>
  config.ORCHESTRATOR_DATABASE_URL !== undefined
    ? Effect.succeed({ url: config.ORCHESTRATOR_DATABASE_URL, dataDir: undefined })
    : Effect.map(
        EmbeddedPostgres.start(
          config.ORCHESTRATOR_DATA_DIR === undefined ? {} : { dataDir: config.ORCHESTRATOR_DATA_DIR }
        ),
        ({ dataDir, url }) => ({ url, dataDir })
      )

/** Why a start failed. Each message says what is wrong, and what to do. */
export type StartError = EmbeddedPostgres.EmbeddedPostgresError | GrpcServer.ListenError | Migrator.DatabaseUnusable

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
    const { channels, tls } = config
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
    for (const organization of new Set([...channels.values()].flat())) {
      if (tls.files.organizations.has(organization)) continue
      yield* Effect.logWarning(
        `organization "${organization}" has no folder in ORCHESTRATOR_TLS_CLIENT_CA_CERT_DIR: its calls are refused until it has one`
      )
    }
    return { credentials, identity: CertificateIdentity.layer(files) }
  })

/** What a server keeps its assets and events in. */
interface ChosenStore<E> {
  readonly layer: Layer.Layer<Store, E>
  readonly data: string
  /** Whether it is for development only: such a server is not for the network. */
  readonly isLocal: boolean
}

/** PostgreSQL, with this server's schema. */
const postgres = (config: AppConfig) =>
  Effect.gen(function* () {
    const database = yield* chooseDatabase(config)
    yield* Migrator.waiting(Migrator.migrate(database), config.ORCHESTRATOR_DATABASE_WAIT)
    const store: ChosenStore<Migrator.DatabaseUnusable> = {
      layer: PostgresStore.layer({
        url: database.url,
        poolSize: config.ORCHESTRATOR_DATABASE_POOL_SIZE ?? availableParallelism() + 8,
        logStatements: config.LOG_SQL_VERBOSE
      }),
      data: database.dataDir ?? "in the database of ORCHESTRATOR_DATABASE_URL",
      isLocal: database.dataDir !== undefined
    }
    return store
  })

const memory: ChosenStore<never> = {
  layer: MemoryStore.layer,
  data: "in memory: nothing is kept, it is gone when the server ends",
  isLocal: true
}

/** Starts everything, in order; it all ends, in the opposite order, when the scope closes. */
export const start = (config: AppConfig): Effect.Effect<Running, StartError, Scope.Scope> =>
  Effect.flatMap(postgres(config), (store) => serve(config, store))

/** The same server on memory, for tests: it starts at once, and what it holds is gone with its scope. */
export const startInMemory = (config: AppConfig): Effect.Effect<Running, GrpcServer.ListenError, Scope.Scope> =>
  serve(config, memory)

const serve = <E>(
  config: AppConfig,
  store: ChosenStore<E>
): Effect.Effect<Running, GrpcServer.ListenError | E, Scope.Scope> =>
  Effect.gen(function* () {
    const address = config.ORCHESTRATOR_LISTEN_ADDRESS ?? (store.isLocal ? "127.0.0.1" : "0.0.0.0")
    const draining = yield* Ref.make(false)
    const grpcPort = yield* Ref.make(0)
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
    const http = yield* Layer.build(
      HttpServer.layer({
        address,
        port: config.ORCHESTRATOR_HTTP_PORT,
        metrics: config.METRICS_ENABLED,
        draining,
        grpcPort
      }).pipe(Layer.provide(Layer.succeedContext(services)))
    )
    const grpc = yield* Effect.provide(
      Effect.flatMap(handlers, (all) =>
        GrpcServer.make(all, {
          address,
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
      ),
      services
    )
    yield* Ref.set(grpcPort, grpc.port)
    // The last to be added is the first to run: /readyz fails before anything else ends.
    yield* Effect.addFinalizer(() => Ref.set(draining, true))
    return {
      address,
      grpcPort: grpc.port,
      httpPort: yield* Effect.provide(HttpServer.boundPort, http),
      data: store.data,
      channels: config.channels
    }
  })
