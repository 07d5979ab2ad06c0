/**
 * A complete orchestrator for tests, over gRPC on a free port of this machine, on memory: it starts in milliseconds, and
 * is gone with its scope. It lives by the real clock, also where a test has Effect's TestClock.
 */
import * as Clock from "effect/Clock"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as References from "effect/References"
import type * as Scope from "effect/Scope"
import * as Client from "../client/Client.ts"
import type { ClientOptions } from "../client/ClientOptions.ts"
import { connect, opened, type PromiseClient } from "../client/PromiseClient.ts"
import * as AppConfig from "../layers/config/AppConfig.ts"
import { startInMemory } from "../server/App.ts"
import { hostOf } from "../server/Ports.ts"
import { Listening } from "../server/Server.ts"
import type { ChannelMap } from "../services/Channels.ts"

/** What an orchestrator for tests begins with. */
export interface OrchestratorOptions {
  /** Left out: `mychannel` and `yourchannel`, each with `MyOrg1MSP` and `MyOrg2MSP`. */
  readonly channels?: ChannelMap
  /** Whether all organizations are registered in all of their channels. Left out: they are. */
  readonly registered?: boolean
}

/** What a client of a test may be told besides. */
type Behaviour = Pick<ClientOptions, "timeout" | "retryFor" | "maxResponseSize">

interface Running {
  /** `host:port`, for any client. */
  readonly address: string
}

const settings = ConfigProvider.fromEnvRecord({
  ORCHESTRATOR_GRPC_PORT: "0",
  ORCHESTRATOR_HTTP_PORT: "0",
  ORCHESTRATOR_LISTEN_ADDRESS: "127.0.0.1",
  ORCHESTRATOR_DRAIN_TIMEOUT: "0s"
})

const registerAll = (address: string, channels: ChannelMap) =>
  Effect.forEach(
    [...channels].flatMap(([channel, organizations]) =>
      organizations.map((organization) => ({ address, channel, organization }))
    ),
    (options) =>
      Effect.scoped(Effect.flatMap(Client.connect(options), (client) => client.registerOrganization({ address: "" }))),
    { concurrency: "unbounded", discard: true }
  )

/** Its log is quiet, and its clock is the real one. */
const asServer = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  effect.pipe(
    Effect.provideService(References.MinimumLogLevel, "Error"),
    Effect.provideService(Clock.Clock, Clock.Clock.defaultValue())
  )

const start = ({ channels, registered = true }: OrchestratorOptions): Effect.Effect<Running, never, Scope.Scope> =>
  Effect.gen(function* () {
    const standard = yield* Effect.provideService(AppConfig.load, ConfigProvider.ConfigProvider, settings)
    const config = channels === undefined ? standard : { ...standard, channels }
    const { grpcPort } = yield* startInMemory(config)
    const address = `127.0.0.1:${grpcPort}`
    if (registered) yield* registerAll(address, config.channels)
    return { address }
    // Nothing of this can fail but by a defect: the settings are these, the ports are free.
  }).pipe(asServer, Effect.orDie)

/** An orchestrator that a test may call: `layer(Orchestrator.layer)("…", (it) => …)`. */
export class Orchestrator extends Context.Service<
  Orchestrator,
  Running & {
    /**
     * A client of an organization in a channel: `MyOrg1MSP` and `mychannel` when left out, also where the channels are a
     * test's own. Ends with the scope.
     */
    readonly client: (
      organization?: string,
      channel?: string,
      behaviour?: Behaviour
    ) => Effect.Effect<Client.OrchestratorClient, never, Scope.Scope>
  }
>()("orchestrator/testing/Orchestrator") {
  /** With channels of a test, or with nobody registered. */
  static readonly layerWith = (options: OrchestratorOptions): Layer.Layer<Orchestrator> =>
    Layer.effect(
      Orchestrator,
      Effect.map(start(options), ({ address }) => Orchestrator.at(address))
    )

  /** A server of your own, of `Server.layer`: its clients, its log kept quiet. Nobody is registered on it. */
  static readonly layerOn = <E, R>(server: Layer.Layer<Listening, E, R>): Layer.Layer<Orchestrator, E, R> =>
    Layer.effect(
      Orchestrator,
      Effect.map(asServer(Layer.build(server)), (context) => {
        const { address, port } = Context.get(context, Listening)
        return Orchestrator.at(`${hostOf(address)}:${port}`)
      })
    )

  private static readonly at = (address: string): Orchestrator["Service"] => ({
    address,
    client: (organization = "MyOrg1MSP", channel = "mychannel", behaviour = {}) =>
      Effect.orDie(Client.connect({ address, organization, channel, ...behaviour }))
  })

  /** The development channels, with all of their organizations registered. */
  static readonly layer: Layer.Layer<Orchestrator> = Orchestrator.layerWith({})
}

/** The same without Effect. */
export interface StartedOrchestrator extends Running, AsyncDisposable {
  /** A client of an organization, `MyOrg1MSP` in `mychannel` when left out. Closed with the orchestrator. */
  readonly client: (organization?: string, channel?: string, behaviour?: Behaviour) => Promise<PromiseClient>
  /** Ends it, and its clients. */
  readonly close: () => Promise<void>
}

/** `await using orchestrator = await startOrchestrator()`, in any framework. */
export const startOrchestrator = async (options: OrchestratorOptions = {}): Promise<StartedOrchestrator> => {
  const { close: end, made } = await opened(start(options))
  const { address } = made
  const clients: Array<PromiseClient> = []
  const close = async () => {
    await Promise.all(clients.map((client) => client.close()))
    await end()
  }
  return {
    address,
    client: async (organization = "MyOrg1MSP", channel = "mychannel", behaviour = {}) => {
      const client = await connect({ address, organization, channel, ...behaviour })
      clients.push(client)
      return client
    },
    close,
    [Symbol.asyncDispose]: close
  }
}
