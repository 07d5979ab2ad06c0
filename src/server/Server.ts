/**
 * The gRPC server as a Layer, for programs that compose their own: on whatever services, store, channels and identity
 * are provided, with services beside the contract's. `App.start` is the program that reads a configuration instead.
 */
import { ServerCredentials } from "@grpc/grpc-js"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as AppConfig from "../layers/config/AppConfig.ts"
import { withDefaults } from "../layers/config/Defaults.ts"
import * as GrpcServer from "./GrpcServer.ts"
import { contractServices } from "./handlers/index.ts"
import type { Service } from "./Rpc.ts"

/** The options of GrpcServer.ts; what is left out is what a server has whose configuration says nothing. */
export interface ServerOptions extends Partial<GrpcServer.GrpcServerOptions> {}

/** Where a server is. */
export class Listening extends Context.Service<
  Listening,
  {
    /** An IP address. */
    readonly address: string
    readonly port: number
  }
>()("orchestrator/server/Listening") {}

/** On this machine only, without TLS, on the port that clients expect. */
const standard: GrpcServer.GrpcServerOptions = {
  ...GrpcServer.optionsOf(AppConfig.standard),
  address: "127.0.0.1",
  credentials: ServerCredentials.createInsecure()
}

/** Serves the contract's services, and those of `beside`, which go through the same middleware, until its scope closes. */
export const layer = <R = never>(
  options: ServerOptions = {},
  ...beside: ReadonlyArray<Effect.Effect<Service, never, R>>
) =>
  Layer.effect(
    Listening,
    Effect.gen(function* () {
      const used = withDefaults(standard, options)
      const { port } = yield* GrpcServer.make([...(yield* contractServices), ...(yield* Effect.all(beside))], used)
      return { address: used.address, port }
    })
  )
