/** The HTTP port: /healthz (alive), /readyz (able to serve, or why not) and, when enabled, /metrics. */

import { createServer, type Server } from "node:http"
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServer from "effect/http/HttpServer"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import * as Ref from "effect/Ref"
import type * as Scope from "effect/Scope"
import { Database } from "../services/store/Database.ts"
import { cannotListen, hostOf, ListenError, portProblem } from "./Ports.ts"

export interface HttpServerOptions {
  readonly address: string
  /** 0 takes a free one. */
  readonly port: number
  /** Why the server is not ready; undefined when it is. */
  readonly readiness: Effect.Effect<string | undefined>
  /** As Prometheus reads them; undefined: they are not served. */
  readonly metrics: Effect.Effect<string> | undefined
  /** The port of gRPC, once there is one. */
  readonly grpcPort: Ref.Ref<number>
  /** The one that gRPC is to be on: where neither can be had, both are told. */
  readonly wantedGrpcPort: number
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

const ready = (readiness: HttpServerOptions["readiness"]) =>
  HttpRouter.add(
    "GET",
    "/readyz",
    Effect.map(readiness, (why) =>
      why === undefined ? HttpServerResponse.text("ok\n") : HttpServerResponse.text(`${why}\n`, { status: 503 })
    )
  )

const measured = (metrics: Effect.Effect<string>) =>
  HttpRouter.add(
    "GET",
    "/metrics",
    Effect.map(metrics, (text) =>
      HttpServerResponse.text(text, { contentType: "text/plain; version=0.0.4; charset=utf-8" })
    )
  )

const unmeasured = HttpRouter.add(
  "GET",
  "/metrics",
  HttpServerResponse.text("metrics are off: METRICS_ENABLED=true serves them here\n", { status: 404 })
)

/** Why the database keeps this server from its work: it does not answer, or its schema is not one that fits. */
export const databaseReadiness: Effect.Effect<string | undefined, never, Database> = Effect.gen(function* () {
  const database = yield* Database
  return yield* Effect.match(Effect.timeout(database.ping, "2 seconds"), {
    onSuccess: () => undefined,
    onFailure: (error) =>
      error._tag === "StoreUnfit" ? error.message : "the database is out of reach: it does not answer"
  })
})

/** As long as an answer may take. Who has sent half a request by then is not waited for. */
const grace = "3 seconds"

/** Ends a server: no new connections, then none. Node itself waits for ever for what has not sent its request yet. */
const end = (server: Server): Effect.Effect<void> =>
  Effect.callback<void>((resume) => {
    server.close(() => resume(Effect.void))
  }).pipe(Effect.timeoutOrElse({ duration: grace, orElse: () => Effect.sync(() => server.closeAllConnections()) }))

const layer = (server: Server, { address, grpcPort, metrics, port, readiness }: HttpServerOptions) =>
  HttpRouter.serve(
    Layer.mergeAll(alive(grpcPort), ready(readiness), metrics === undefined ? unmeasured : measured(metrics)),
    {
      disableLogger: true,
      disableListenLog: true
    }
  ).pipe(
    Layer.provideMerge(NodeHttpServer.layer(() => server, { host: address, port })),
    Layer.catchTag("ServeError", ({ cause }) =>
      Layer.effectContext(
        Effect.fail(new ListenError({ message: cannotListen(`${hostOf(address)}:${port}`, "HTTP", reasonOf(cause)) }))
      )
    )
  )

/** What the operating system says. */
const reasonOf = (cause: unknown): string => (cause instanceof Error ? cause.message : String(cause))

/** Serves until the scope closes. */
export const serve = (options: HttpServerOptions): Effect.Effect<{ readonly port: number }, ListenError, Scope.Scope> =>
  Effect.gen(function* () {
    const server = createServer()
    const context = yield* Layer.build(layer(server, options))
    // Before the library ends it, which would wait longer.
    yield* Effect.addFinalizer(() => end(server))
    const { address } = Context.get(context, HttpServer.HttpServer)
    return { port: address._tag === "UnixPathAddress" ? 0 : address.port }
  }).pipe(
    Effect.catch((error) =>
      Effect.flatMap(portProblem(options.address, options.wantedGrpcPort), (problem) =>
        Effect.fail(
          problem === undefined
            ? error
            : new ListenError({
                message: `${error.message}\n${cannotListen(`${hostOf(options.address)}:${options.wantedGrpcPort}`, "gRPC", problem)}`
              })
        )
      )
    )
  )
