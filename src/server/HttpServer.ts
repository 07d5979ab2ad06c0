/** The HTTP port: /healthz (alive), /readyz (able to serve, or why not) and, when enabled, /metrics. */

import { createServer } from "node:http"
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServer from "effect/http/HttpServer"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import * as PrometheusMetrics from "effect/observability/PrometheusMetrics"
import * as Ref from "effect/Ref"
import { Database } from "../services/store/Database.ts"
import { ListenError, listenAdvice } from "./GrpcServer.ts"

export interface HttpServerOptions {
  readonly address: string
  readonly port: number
  readonly metrics: boolean
  /** Set once the server drains. */
  readonly draining: Ref.Ref<boolean>
  /** The port of gRPC, once there is one. */
  readonly grpcPort: Ref.Ref<number>
}

/** Says to `doctor`, and whoever asks, that it is this program which answers, and where its gRPC is. */
export const grpcPortHeader = "x-substra-orchestrator-grpc-port"

const alive = (grpcPort: Ref.Ref<number>) =>
  HttpRouter.add(
    "GET",
    "/healthz",
    Effect.map(Ref.get(grpcPort), (port) =>
      HttpServerResponse.text("ok\n", { headers: { [grpcPortHeader]: String(port) } })
    )
  )

/** Ready when the database answers, its schema is one that this server works with, and the server is not on its way out. */
const ready = (draining: Ref.Ref<boolean>) =>
  HttpRouter.add(
    "GET",
    "/readyz",
    Effect.gen(function* () {
      if (yield* Ref.get(draining)) return unavailable("the server is shutting down")
      const database = yield* Database
      return yield* Effect.match(Effect.timeout(database.ping, "2 seconds"), {
        onSuccess: () => HttpServerResponse.text("ok\n"),
        onFailure: (error) => unavailable(error._tag === "StoreUnfit" ? error.message : "the database is out of reach")
      })
    })
  )

const unavailable = (why: string) => HttpServerResponse.text(`${why}\n`, { status: 503 })

/** Serves until its scope closes. */
export const layer = ({ address, draining, grpcPort, metrics, port }: HttpServerOptions) =>
  HttpRouter.serve(
    Layer.mergeAll(alive(grpcPort), ready(draining), metrics ? PrometheusMetrics.layerHttp() : Layer.empty),
    {
      disableLogger: true,
      disableListenLog: true
    }
  ).pipe(
    Layer.provideMerge(NodeHttpServer.layer(createServer, { host: address, port })),
    Layer.catchCause((cause) =>
      Layer.effectContext(
        Effect.fail(
          new ListenError({
            message: `cannot listen on ${address}:${port} for HTTP: ${reasonOf(cause)}. ${listenAdvice(reasonOf(cause), "ORCHESTRATOR_HTTP_PORT")}`
          })
        )
      )
    )
  )

/** What the operating system says. */
const reasonOf = (cause: Cause.Cause<unknown>): string => {
  const error = Cause.squash(cause)
  const inner = error instanceof Error && error.cause instanceof Error ? error.cause : error
  return inner instanceof Error ? inner.message : String(inner)
}

/** The port that the server is on. */
export const boundPort: Effect.Effect<number, never, HttpServer.HttpServer> = Effect.map(
  HttpServer.HttpServer,
  ({ address }) => (address._tag === "UnixPathAddress" ? 0 : address.port)
)
