/** Looks at everything that a server needs, and says for each what is wrong and what to do. Changes nothing. */
import { X509Certificate } from "node:crypto"
import { createServer } from "node:net"
import * as Effect from "effect/Effect"
import type { AppConfig } from "../../layers/config/AppConfig.ts"
import * as Migrator from "../../layers/postgres/Migrator.ts"
import type { TlsFiles } from "../../layers/tls/TlsFiles.ts"
import { grpcPortHeader } from "../HttpServer.ts"

/** One thing that was looked at. */
export interface Finding {
  readonly what: string
  readonly level: "ok" | "warning" | "problem"
  readonly text: string
}

const finding = (what: string, level: Finding["level"], text: string): Finding => ({ what, level, text })

const daysLeft = (certificate: X509Certificate, now: number): number =>
  Math.floor((certificate.validToDate.getTime() - now) / 86_400_000)

/** A certificate that ends within a month is a warning. */
const soon = 30

const certificateFinding = (what: string, certificate: X509Certificate, now: number): Finding => {
  const days = daysLeft(certificate, now)
  const until = `valid until ${certificate.validTo}`
  if (certificate.validFromDate.getTime() > now)
    return finding(what, "problem", `not valid before ${certificate.validFrom}`)
  if (days < 0) return finding(what, "problem", `expired on ${certificate.validTo}: put a new one in its place`)
  return days < soon
    ? finding(what, "warning", `${until}, ${days} days: renew it`)
    : finding(what, "ok", `${until}, ${days} days`)
}

const certificates = (files: TlsFiles, now: number): ReadonlyArray<Finding> => [
  certificateFinding("server certificate", new X509Certificate(files.certificate), now),
  ...[...files.organizations].flatMap(([organization, cas]) =>
    cas.map((ca) => certificateFinding(`CA of ${organization} (${ca.file})`, ca.certificate, now))
  )
]

/** The server's clock should agree with the database's, whose time the log bears. */
const clockTolerance = 5000

const database = (config: AppConfig): Effect.Effect<ReadonlyArray<Finding>> => {
  if (config.ORCHESTRATOR_DATABASE_URL === undefined) {
    return Effect.succeed([finding("database", "ok", "embedded PostgreSQL, started with the server")])
  }
  return Effect.match(Migrator.inspect({ url: config.ORCHESTRATOR_DATABASE_URL }), {
    onFailure: ({ message }) => [finding("database", "problem", message)],
    onSuccess: (state) => {
      const skew = Math.abs(Date.now() - state.time)
      return [
        finding("database", "ok", `PostgreSQL ${state.version}, role ${state.role}`),
        ...(state.isSuperuser
          ? [finding("role", "warning", `${state.role} is a superuser: a role that owns the database is enough`)]
          : []),
        state.schema < state.knownSchema
          ? finding(
              "schema",
              "warning",
              `${state.schema} of ${state.knownSchema}: the server, or migrate, brings it up`
            )
          : finding("schema", "ok", `${state.schema}`),
        skew > clockTolerance
          ? finding("clock", "warning", `${Math.round(skew / 1000)} s off the database's: synchronize both`)
          : finding("clock", "ok", `agrees with the database's within ${Math.max(1, Math.round(skew))} ms`)
      ]
    }
  })
}

/** Why a port cannot be listened on; nothing when it can. */
const portProblem = (address: string, number: number): Effect.Effect<string | undefined> =>
  Effect.callback((resume) => {
    const probe = createServer()
    probe.once("error", (error) => resume(Effect.succeed(error.message)))
    probe.listen(number, address, () => probe.close(() => resume(Effect.succeed(undefined))))
  })

/** The gRPC port of the orchestrator whose HTTP port this is, if it is one's. */
const runningAt = (address: string, httpPort: number): Effect.Effect<number | undefined> => {
  const host = address === "0.0.0.0" ? "127.0.0.1" : address === "::" ? "::1" : address
  return Effect.tryPromise(() =>
    fetch(`http://${host.includes(":") ? `[${host}]` : host}:${httpPort}/healthz`, {
      signal: AbortSignal.timeout(2000)
    })
  ).pipe(
    Effect.map((answer) => Number(answer.headers.get(grpcPortHeader) ?? 0) || undefined),
    Effect.orElseSucceed(() => undefined)
  )
}

const portFinding = (
  what: string,
  variable: string,
  place: string,
  problem: string | undefined,
  isServed: boolean
): Finding =>
  problem === undefined
    ? finding(what, "ok", `${place} is free`)
    : isServed
      ? finding(what, "ok", `${place}: a substra-orchestrator serves there`)
      : finding(what, "problem", `${place} cannot be listened on: ${problem}. Set ${variable} to another`)

/** Both ports: free, taken by a server of this configuration, or by somebody else. */
const ports = (address: string, grpcPort: number, httpPort: number): Effect.Effect<ReadonlyArray<Finding>> =>
  Effect.gen(function* () {
    const grpc = yield* portProblem(address, grpcPort)
    const http = yield* portProblem(address, httpPort)
    const served = http === undefined ? undefined : yield* runningAt(address, httpPort)
    return [
      portFinding("gRPC port", "ORCHESTRATOR_GRPC_PORT", `${address}:${grpcPort}`, grpc, served === grpcPort),
      portFinding("HTTP port", "ORCHESTRATOR_HTTP_PORT", `${address}:${httpPort}`, http, served !== undefined)
    ]
  })

/** Everything, in the order in which a start needs it. */
export const examine = (config: AppConfig): Effect.Effect<ReadonlyArray<Finding>> =>
  Effect.gen(function* () {
    const address =
      config.ORCHESTRATOR_LISTEN_ADDRESS ?? (config.ORCHESTRATOR_DATABASE_URL === undefined ? "127.0.0.1" : "0.0.0.0")
    const organizations = new Set([...config.channels.values()].flat())
    return [
      finding("configuration", "ok", "every variable can be used"),
      finding("channels", "ok", `${config.channels.size} channels, ${organizations.size} organizations`),
      ...(config.tls === undefined
        ? [finding("TLS", "warning", "off: set ORCHESTRATOR_TLS_ENABLED outside of a trusted network")]
        : certificates(config.tls.files, Date.now())),
      ...(config.ORCHESTRATOR_VERIFY_CLIENT_MSP_ID
        ? []
        : [
            finding(
              "identity",
              "warning",
              "any client may call as any organization: see ORCHESTRATOR_VERIFY_CLIENT_MSP_ID"
            )
          ]),
      ...(yield* database(config)),
      ...(yield* ports(address, config.ORCHESTRATOR_GRPC_PORT, config.ORCHESTRATOR_HTTP_PORT))
    ]
  })
