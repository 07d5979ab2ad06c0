/** Looks at everything that a server needs, and says for each what is wrong and what to do. Changes nothing. */
import type { X509Certificate } from "node:crypto"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import {
  type AppConfig,
  type ConfigurationError,
  load,
  loadWithoutChannels,
  settings
} from "../../layers/config/AppConfig.ts"
import * as Migrator from "../../layers/postgres/Migrator.ts"
import { caProblem, missingCas, nameOf, periodProblem, serverProblem } from "../../layers/tls/CertificateProblems.ts"
import type { TlsFiles } from "../../layers/tls/TlsFiles.ts"
import { addressOf, poolSize } from "../ChosenStore.ts"
import { grpcPortHeader } from "../HttpServer.ts"
import { cannotListen, hostOf, portProblem, reachable } from "../Ports.ts"
import type { Given } from "./Configuration.ts"
import * as Configuration from "./Configuration.ts"
import { count } from "./Count.ts"

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
  const problem = periodProblem(certificate, now)
  if (problem !== undefined) return finding(what, "problem", problem)
  return days < soon
    ? finding(what, "warning", `${until}, ${count(days, "day")}: renew it`)
    : finding(what, "ok", `${until}, ${count(days, "day")}`)
}

const warningOf = (what: string, problem: string | undefined): ReadonlyArray<Finding> =>
  problem === undefined ? [] : [finding(what, "warning", problem)]

const certificates = (files: TlsFiles, now: number): ReadonlyArray<Finding> => [
  certificateFinding("server certificate", files.own, now),
  ...warningOf("server certificate", serverProblem(files.own)),
  ...files.intermediates.map((certificate) =>
    certificateFinding(`server certificate chain (${nameOf(certificate)})`, certificate, now)
  ),
  ...files.serverCas.map(({ certificate, file }) => certificateFinding(`server CA (${file})`, certificate, now)),
  ...[...files.organizations].flatMap(([organization, cas]) =>
    cas.flatMap(({ certificate, file }) => {
      const what = `CA of ${organization} (${file})`
      return [certificateFinding(what, certificate, now), ...warningOf(what, caProblem(certificate))]
    })
  )
]

/** The server's clock should agree with the database's, whose time the log bears. */
const clockTolerance = 5000

const database = (config: AppConfig, isServed: boolean): Effect.Effect<ReadonlyArray<Finding>> => {
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
        ...connectionsFinding(config, state),
        schemaFinding(state, isServed),
        skew > clockTolerance
          ? finding("clock", "warning", `${Math.round(skew / 1000)} s off the database's: synchronize both`)
          : finding("clock", "ok", `agrees with the database's within ${Math.max(1, Math.round(skew))} ms`)
      ]
    }
  })
}

/** All connections of a server at once must be had. */
const connectionsFinding = (config: AppConfig, { maxConnections }: Migrator.DatabaseState): ReadonlyArray<Finding> => {
  const { ORCHESTRATOR_WORKERS: workers } = config
  const wanted = workers * poolSize(config)
  const most = `${count(wanted, "connection")} at once (ORCHESTRATOR_DATABASE_POOL_SIZE, of each worker)`
  return wanted <= maxConnections
    ? []
    : [
        finding(
          "connections",
          "warning",
          `a server may want ${most}, the database has ${maxConnections} for its role: lower the one, or raise max_connections or the CONNECTION LIMIT`
        )
      ]
}

const schemaFinding = (
  { knownSchema, mayCreate, needsNewer, role, schema }: Migrator.DatabaseState,
  isServed: boolean
): Finding => {
  if (needsNewer !== undefined) return finding("schema", "problem", needsNewer)
  if (schema === 0 && !mayCreate) {
    const wayOut = `GRANT CREATE ON DATABASE … TO ${role}, or make it the owner of the database`
    return finding("schema", "problem", `missing, and ${role} may not make it: ${wayOut}`)
  }
  if (schema >= knownSchema) return finding("schema", "ok", `${schema}`)
  if (!isServed)
    return finding("schema", "warning", `${schema} of ${knownSchema}: the server, or migrate, brings it up`)
  return schema === 0
    ? finding(
        "schema",
        "problem",
        "missing, under a server that runs: restore it from the backup, or run migrate where there is nothing to restore"
      )
    : finding("schema", "problem", `${schema} of ${knownSchema}, under a server that runs: run migrate`)
}

/** The gRPC port of the orchestrator whose HTTP port this is, if it is one's. */
const runningAt = (address: string, httpPort: number): Effect.Effect<number | undefined> => {
  const host = reachable(address)
  return Effect.tryPromise(() =>
    fetch(`http://${hostOf(host)}:${httpPort}/healthz`, {
      signal: AbortSignal.timeout(2000)
    })
  ).pipe(
    Effect.map((answer) => Number(answer.headers.get(grpcPortHeader) ?? 0) || undefined),
    Effect.orElseSucceed(() => undefined)
  )
}

const portFinding = (what: "gRPC" | "HTTP", place: string, problem: string | undefined, isServed: boolean): Finding =>
  problem === undefined
    ? finding(`${what} port`, "ok", `${place} is free`)
    : isServed
      ? finding(`${what} port`, "ok", `${place}: a substra-orchestrator serves there`)
      : finding(`${what} port`, "problem", cannotListen(place, what, problem))

interface Ports {
  readonly findings: ReadonlyArray<Finding>
  /** Whether a server of this configuration runs. */
  readonly isServed: boolean
}

/** Both ports: free, taken by a server of this configuration, or by somebody else. */
const ports = (address: string, grpcPort: number, httpPort: number): Effect.Effect<Ports> =>
  Effect.gen(function* () {
    const grpc = yield* portProblem(address, grpcPort)
    const http = yield* portProblem(address, httpPort)
    const served = http === undefined ? undefined : yield* runningAt(address, httpPort)
    const isServed = served === grpcPort
    // With a free port for gRPC, whoever serves HTTP here is this server.
    const isOwnHttp = isServed || (grpcPort === 0 && served !== undefined)
    const findings: ReadonlyArray<Finding> = [
      portFinding("gRPC", `${hostOf(address)}:${grpcPort}`, grpc, isServed),
      portFinding("HTTP", `${hostOf(address)}:${httpPort}`, http, isOwnHttp)
    ]
    return { findings, isServed }
  })

const tlsPaths = [
  "ORCHESTRATOR_TLS_CERT_PATH",
  "ORCHESTRATOR_TLS_KEY_PATH",
  "ORCHESTRATOR_TLS_SERVER_CA_CERT",
  "ORCHESTRATOR_TLS_CLIENT_CA_CERT_DIR"
] as const

const security = (config: AppConfig): ReadonlyArray<Finding> => [
  ...(config.tls === undefined
    ? [
        finding("TLS", "warning", "off: set ORCHESTRATOR_TLS_ENABLED outside of a trusted network"),
        ...tlsPaths
          .filter((name) => config[name] !== undefined)
          .map((name) => finding("TLS", "warning", `${name} is set, and not looked at while TLS is off`))
      ]
    : certificates(config.tls.files, Date.now())),
  ...(config.ORCHESTRATOR_VERIFY_CLIENT_MSP_ID
    ? missingCas(config.channels, config.tls?.files).map((missing) => finding("identity", "warning", missing))
    : [
        finding("identity", "warning", "any client may call as any organization: see ORCHESTRATOR_VERIFY_CLIENT_MSP_ID")
      ])
]

/** What cannot be looked at, because its variables cannot be used. */
interface Unknown {
  readonly channels: boolean
  readonly security: boolean
  readonly database: boolean
  readonly ports: boolean
}

const nothing: Unknown = { channels: false, security: false, database: false, ports: false }

/** Everything that is known, in the order in which a start needs it. */
const examine = (config: AppConfig, unknown: Unknown): Effect.Effect<ReadonlyArray<Finding>> =>
  Effect.gen(function* () {
    const address = addressOf(config, { isLocal: config.ORCHESTRATOR_DATABASE_URL === undefined })
    const organizations = new Set([...config.channels.values()].flat())
    const { findings, isServed } = unknown.ports
      ? { findings: [], isServed: false }
      : yield* ports(address, config.ORCHESTRATOR_GRPC_PORT, config.ORCHESTRATOR_HTTP_PORT)
    const channels = `${count(config.channels.size, "channel")}, ${count(organizations.size, "organization")}`
    return [
      ...(unknown.channels ? [] : [finding("channels", "ok", channels)]),
      ...(unknown.security ? [] : security(config)),
      ...(unknown.database ? [] : yield* database(config, isServed)),
      ...findings
    ]
  })

const isOfSecurity = (variable: string): boolean => /^ORCHESTRATOR_(TLS|MTLS|VERIFY)_/.test(variable)

/** What Kubernetes tells every pod of a Service that is called orchestrator. */
const ofKubernetes = /_SERVICE_(HOST|PORT)|_PORT_\d+_(TCP|UDP)|^ORCHESTRATOR_PORT$/

/** Variables that look like the server's, and are none: most likely a mistake, which would pass unnoticed. */
const ignored = (): ReadonlyArray<Finding> =>
  Object.keys(process.env)
    .filter((name) => name.startsWith("ORCHESTRATOR_") && !(name in settings) && !ofKubernetes.test(name))
    .map((name) => finding("configuration", "warning", `${name}: there is no such variable, it is ignored`))

/** Everything. What is wrong with some variables keeps nobody from looking at the rest. */
export const examineAll = (given: Given): Effect.Effect<ReadonlyArray<Finding>, ConfigurationError> =>
  Effect.gen(function* () {
    const loaded = yield* Effect.result(Configuration.load(given))
    if (Result.isSuccess(loaded)) {
      const all = yield* examine(loaded.success, nothing)
      return [finding("configuration", "ok", "every variable can be used"), ...ignored(), ...all]
    }
    const { problems } = loaded.failure
    const wrong = problems.map((problem) => problem.slice(0, problem.indexOf(":")))
    const ofSecurity = Object.keys(settings).filter(isOfSecurity)
    const unknown: Unknown = {
      channels: wrong.includes("ORCHESTRATOR_CHANNEL_CONFIG"),
      security: wrong.some(isOfSecurity),
      database: wrong.includes("ORCHESTRATOR_DATABASE_URL"),
      // Without an address of its own, a server's is by its database.
      ports: wrong.some((variable) => /_PORT$|_LISTEN_ADDRESS$|_DATABASE_URL$/.test(variable))
    }
    const rest = yield* Configuration.load(given, unknown.channels ? loadWithoutChannels : load, [
      ...wrong,
      ...(unknown.security ? ofSecurity : []),
      // One alone may be wrong only beside the other.
      ...(unknown.ports ? ["ORCHESTRATOR_GRPC_PORT", "ORCHESTRATOR_HTTP_PORT"] : [])
    ])
    return [
      ...problems.map((problem) => finding("configuration", "problem", problem)),
      ...ignored(),
      ...(yield* examine(rest, unknown))
    ]
  })
