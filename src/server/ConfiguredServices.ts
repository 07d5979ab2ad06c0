/** The services on a store, with what the configuration says of channels, certificates, identity, limits and traces. */
import { ServerCredentials } from "@grpc/grpc-js"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as SubscriptionRef from "effect/SubscriptionRef"
import { type AppConfig, channelsFile, tlsFiles } from "../layers/config/AppConfig.ts"
import { reloading } from "../layers/config/Reload.ts"
import * as ServiceLayers from "../layers/Services.ts"
import * as Tracing from "../layers/Tracing.ts"
import * as CertificateIdentity from "../layers/tls/CertificateIdentity.ts"
import { certificateProblems, missingCas } from "../layers/tls/CertificateProblems.ts"
import type { TlsFiles } from "../layers/tls/TlsFiles.ts"
import { type ChannelMap, Channels } from "../services/Channels.ts"
import { ClientIdentity } from "../services/ClientIdentity.ts"
import { addressOf, type ChosenStore } from "./ChosenStore.ts"
import * as GrpcServer from "./GrpcServer.ts"
import * as HttpServer from "./HttpServer.ts"
import { contractServices } from "./handlers/index.ts"
import type { ListenError } from "./Ports.ts"
import * as ProcessMetrics from "./ProcessMetrics.ts"
import { TlsCredentials } from "./TlsCredentials.ts"
import { version } from "./Version.ts"

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

/** What is wrong with certificates or missing among them is told when it begins: at the start, or with a new content. */
const tellProblems = (
  config: AppConfig,
  files: SubscriptionRef.SubscriptionRef<TlsFiles>,
  channels: SubscriptionRef.SubscriptionRef<ChannelMap>
): Effect.Effect<void, never, Scope.Scope> =>
  Effect.gen(function* () {
    let told: ReadonlySet<string> = new Set()
    const look = Effect.gen(function* () {
      const current = yield* SubscriptionRef.get(files)
      const found = [
        ...certificateProblems(current, yield* Clock.currentTimeMillis),
        ...(config.ORCHESTRATOR_VERIFY_CLIENT_MSP_ID ? missingCas(yield* SubscriptionRef.get(channels), current) : [])
      ]
      for (const problem of found) if (!told.has(problem)) yield* Effect.logWarning(problem)
      told = new Set(found)
    })
    yield* look
    const changes = Stream.merge(SubscriptionRef.changes(files), SubscriptionRef.changes(channels))
    yield* Effect.forkScoped(Stream.runForEach(changes, () => look))
  })

/** How connections are secured and clients are known; certificates change with their files. */
const security = (
  config: AppConfig,
  channels: SubscriptionRef.SubscriptionRef<ChannelMap>
): Effect.Effect<Security, never, Scope.Scope> =>
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
    yield* tellProblems(config, files, channels)
    if (!config.ORCHESTRATOR_VERIFY_CLIENT_MSP_ID) return { credentials, identity: ClientIdentity.layerTrusting }
    return { credentials, identity: CertificateIdentity.layer(files) }
  })

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
    const channels = yield* reloadingChannels(config)
    const { credentials, identity } = yield* security(config, channels)
    const services = yield* Layer.build(
      ServiceLayers.layer({ version, ...ServiceLayers.optionsOf(config) }).pipe(
        Layer.provideMerge(store.layer),
        Layer.provideMerge(Channels.layerFrom(channels)),
        Layer.provideMerge(identity),
        Layer.provideMerge(Tracing.layer(config, version))
      )
    )
    if (config.METRICS_ENABLED) yield* Layer.build(ProcessMetrics.layer(version))
    const grpc = Effect.flatMap(contractServices, (all) =>
      GrpcServer.make(all, { ...GrpcServer.optionsOf(config), address: addressOf(config, store), credentials })
    )
    return {
      readiness: Effect.provide(HttpServer.databaseReadiness, services),
      grpc: Effect.provide(grpc, services)
    }
  })
