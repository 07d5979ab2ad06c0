/**
 * The server's configuration: every variable, in one table, read from the environment. What cannot be used is reported
 * all at once, each with its variable and the way out.
 */
import * as Config from "effect/Config"
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import type { ChannelMap } from "../../services/Channels.ts"
import { connectionConfig } from "../postgres/Connection.ts"
import type { TlsFiles, TlsPaths } from "../tls/TlsFiles.ts"
import * as TlsFilesModule from "../tls/TlsFiles.ts"
import * as ChannelsFile from "./ChannelsFile.ts"
import {
  bool,
  databaseUrl,
  duration,
  durationFrom,
  httpUrl,
  integer,
  ipAddress,
  type LogLevel,
  logLevel,
  type Pairs,
  pairs,
  path,
  port,
  ratio,
  type Setting,
  secretPairs,
  setting,
  text,
  word
} from "./SettingTypes.ts"

/** The configuration cannot be used: the message lists every problem. */
export class ConfigurationError extends Data.TaggedError("ConfigurationError")<{
  readonly message: string
  /** Each with its variable before the first colon. */
  readonly problems: ReadonlyArray<string>
}> {}

const mebibyte = 1024 * 1024

/** As OpenTelemetry names them. */
const samplers = [
  "always_on",
  "always_off",
  "traceidratio",
  "parentbased_always_on",
  "parentbased_always_off",
  "parentbased_traceidratio"
] as const

/** By variable, in the order in which `--help` shows them. */
export const settings = {
  ORCHESTRATOR_DATABASE_URL: setting(
    databaseUrl,
    undefined as Redacted.Redacted | undefined,
    "an embedded PostgreSQL",
    "the database: PostgreSQL 15 or newer, its primary; libpq's sslmode, sslrootcert, sslcert and sslkey are understood"
  ),
  ORCHESTRATOR_DATABASE_WAIT: setting(
    duration,
    Duration.seconds(60),
    "60s",
    "how long a start waits for a database that is not there yet"
  ),
  ORCHESTRATOR_DATA_DIR: setting(
    path,
    undefined as string | undefined,
    "in the user's data folder",
    "where the embedded PostgreSQL keeps its data"
  ),
  ORCHESTRATOR_CHANNEL_CONFIG: setting(
    path,
    undefined as string | undefined,
    "two development channels, with the embedded database only",
    "the YAML file of channels and their organizations"
  ),
  ORCHESTRATOR_TX_RETRY_BUDGET: setting(
    duration,
    Duration.seconds(10),
    "10s",
    "how long a transaction that was lost to concurrent ones is run again"
  ),
  ORCHESTRATOR_TLS_ENABLED: setting(bool, false, "false", "TLS on the gRPC port"),
  ORCHESTRATOR_TLS_CERT_PATH: setting(path, undefined as string | undefined, "", "the server's certificate, PEM"),
  ORCHESTRATOR_TLS_KEY_PATH: setting(
    path,
    undefined as string | undefined,
    "",
    "the key of the server's certificate, PEM"
  ),
  ORCHESTRATOR_MTLS_ENABLED: setting(bool, false, "false", "clients must present a certificate; needs TLS"),
  ORCHESTRATOR_TLS_SERVER_CA_CERT: setting(
    path,
    undefined as string | undefined,
    "",
    "the server's own CA, PEM; trusted for clients too"
  ),
  ORCHESTRATOR_TLS_CLIENT_CA_CERT_DIR: setting(
    path,
    undefined as string | undefined,
    "",
    "one folder of CA certificates for each organization, named by its id"
  ),
  ORCHESTRATOR_VERIFY_CLIENT_MSP_ID: setting(
    bool,
    false,
    "false",
    "check the mspid header against the client's certificate; needs mutual TLS"
  ),
  ORCHESTRATOR_RELOAD_INTERVAL: setting(
    durationFrom(Duration.millis(10)),
    Duration.seconds(10),
    "10s",
    "how often certificates and the file of channels are read again"
  ),
  ORCHESTRATOR_REPLAY_EVENTS_BATCH_SIZE: setting(
    integer(1, 100_000),
    100,
    "100",
    "rows read at once when events are replayed"
  ),
  ORCHESTRATOR_GRPC_KEEPALIVE_POLICY_MIN_TIME: setting(
    duration,
    Duration.seconds(30),
    "30s",
    "accepted, not enforced: the gRPC library answers every keepalive ping"
  ),
  ORCHESTRATOR_GRPC_KEEPALIVE_POLICY_PERMIT_WITHOUT_STREAM: setting(
    bool,
    false,
    "false",
    "accepted, not enforced: the gRPC library answers every keepalive ping"
  ),
  LOG_LEVEL: setting(logLevel, "INFO" as LogLevel, "INFO", "DEBUG, INFO, NOTICE, WARN or ERROR"),
  LOG_SQL_VERBOSE: setting(bool, false, "false", "SQL statements at level DEBUG, without the values of parameters"),
  METRICS_ENABLED: setting(bool, false, "false", "/metrics on the HTTP port"),
  ORCHESTRATOR_GRPC_PORT: setting(port, 9000, "9000", "the gRPC port; 0 takes a free one"),
  ORCHESTRATOR_HTTP_PORT: setting(port, 8484, "8484", "the port of /healthz, /readyz and /metrics; 0 takes a free one"),
  ORCHESTRATOR_LISTEN_ADDRESS: setting(
    ipAddress,
    undefined as string | undefined,
    "0.0.0.0; 127.0.0.1 with the embedded database",
    "the address that both ports are on"
  ),
  ORCHESTRATOR_GRPC_MAX_REQUEST_SIZE: setting(
    integer(1024, 2_147_483_647),
    64 * mebibyte,
    "67108864",
    "the largest message that is received, in bytes"
  ),
  ORCHESTRATOR_GRPC_MAX_RESPONSE_SIZE: setting(
    integer(64 * 1024, 2_147_483_647),
    4 * mebibyte,
    "4194304",
    "the bound on answers, pages and events, in bytes"
  ),
  ORCHESTRATOR_GRPC_CALL_TIMEOUT: setting(
    durationFrom(Duration.millis(1)),
    Duration.seconds(60),
    "60s",
    "the longest that a unary call may take"
  ),
  ORCHESTRATOR_SLOW_CALL: setting(
    duration,
    Duration.seconds(1),
    "1s",
    "a unary call that takes longer is logged at WARN"
  ),
  ORCHESTRATOR_STALLED_SUBSCRIBER_TIMEOUT: setting(
    durationFrom(Duration.millis(1)),
    Duration.seconds(60),
    "60s",
    "how long a subscriber may take nothing while there are events for it"
  ),
  ORCHESTRATOR_EVENT_RING_SIZE: setting(
    integer(1, 10_000_000),
    10_000,
    "10000",
    "the newest events of a channel that are kept ready for subscribers"
  ),
  ORCHESTRATOR_EVENT_RING_BYTES: setting(
    integer(mebibyte, 4_294_967_296),
    16 * mebibyte,
    "16777216",
    "the bytes that these may take, for each channel with subscribers"
  ),
  ORCHESTRATOR_MAX_CALLS: setting(
    integer(1, 100_000),
    256,
    "256",
    "unary calls that run at once in this process, of all organizations"
  ),
  ORCHESTRATOR_MAX_CALLS_PER_ORGANIZATION: setting(
    integer(1, 100_000),
    32,
    "32",
    "unary calls of one organization that run at once in this process; those beyond wait"
  ),
  ORCHESTRATOR_MAX_WAITING_CALLS_PER_ORGANIZATION: setting(
    integer(0, 100_000),
    2000,
    "2000",
    "unary calls of one organization that wait until others of it end; those beyond are refused with UNAVAILABLE"
  ),
  ORCHESTRATOR_MAX_STREAMS_PER_ORGANIZATION: setting(
    integer(1, 1_000_000),
    2000,
    "2000",
    "event streams of one organization on this process; those beyond are refused with UNAVAILABLE"
  ),
  ORCHESTRATOR_MAX_EVENT_LOOP_DELAY: setting(
    durationFrom(Duration.millis(1)),
    Duration.seconds(1),
    "1s",
    "new unary calls are refused with UNAVAILABLE while the process is late by more, four times in a row"
  ),
  ORCHESTRATOR_DRAIN_TIMEOUT: setting(
    duration,
    Duration.seconds(20),
    "20s",
    "how long running calls may take to end when the server is stopped"
  ),
  ORCHESTRATOR_EARLY_LOCK_RELEASE: setting(
    bool,
    false,
    "false",
    "the next writer of a channel does not wait until the disk has the one before; answers and events still do"
  ),
  ORCHESTRATOR_WORKERS: setting(
    integer(1, 256),
    1,
    "1",
    "processes that serve on the one port, with a primary beside them where there are several; one serves from one core"
  ),
  ORCHESTRATOR_DATABASE_POOL_SIZE: setting(
    integer(3, 1000),
    undefined as number | undefined,
    "8 more than its share of the machine's cores, 16 at most",
    "the most connections to the database that each process makes"
  ),
  OTEL_EXPORTER_OTLP_ENDPOINT: setting(
    httpUrl,
    undefined as string | undefined,
    "no traces",
    "the OpenTelemetry collector that spans are sent to, over HTTP, below /v1/traces"
  ),
  OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: setting(
    httpUrl,
    undefined as string | undefined,
    "",
    "the whole address that spans are sent to, instead"
  ),
  OTEL_EXPORTER_OTLP_PROTOCOL: setting(
    word(["http/protobuf", "http/json"]),
    "http/protobuf" as "http/protobuf" | "http/json",
    "http/protobuf",
    "how spans are written: http/protobuf or http/json"
  ),
  OTEL_EXPORTER_OTLP_HEADERS: setting(
    secretPairs,
    Redacted.make([] as Pairs),
    "",
    "headers for the collector, name=value,name=value; a flag is seen by all who list processes"
  ),
  OTEL_SERVICE_NAME: setting(
    text,
    undefined as string | undefined,
    "substra-orchestrator",
    "the name of this server in traces"
  ),
  OTEL_RESOURCE_ATTRIBUTES: setting(pairs, [] as Pairs, "", "what else traces say of it, name=value,name=value"),
  OTEL_TRACES_SAMPLER: setting(
    word(samplers),
    "parentbased_always_on" as (typeof samplers)[number],
    "parentbased_always_on",
    `which calls are traced: ${samplers.join(", ")}; parentbased ones do as the caller's traceparent says`
  ),
  OTEL_TRACES_SAMPLER_ARG: setting(ratio, 1, "1", "the share of calls that a traceidratio sampler traces"),
  OTEL_SDK_DISABLED: setting(bool, false, "false", "no traces, whatever else is set")
} satisfies Record<string, Setting<unknown>>

type Settings = typeof settings

/** The value of every variable. */
export type Values = { readonly [Name in keyof Settings]: Settings[Name] extends Setting<infer A> ? A : never }

/** The values where nothing is set. */
export const standard = Object.fromEntries(Object.entries(settings).map(([name, { value }]) => [name, value])) as Values

/** The value of every variable, and what the files hold that they name. */
export type AppConfig = Values & {
  readonly channels: ChannelMap
  /** With TLS enabled. */
  readonly tls: { readonly paths: TlsPaths; readonly files: TlsFiles } | undefined
}

type ReadChannels = (values: Values) => Effect.Effect<ChannelMap, Problems>

/** Reads all variables, and the channels in this way. An empty variable is unset. */
const loadWith = Effect.fnUntraced(function* (
  readChannels: ReadChannels
): Effect.fn.Return<AppConfig, ConfigurationError> {
  const values: Record<string, unknown> = {}
  const problems: Array<string> = []
  for (const [name, { parse, value }] of Object.entries(settings) as Array<[string, Setting<unknown>]>) {
    const text = yield* Effect.orDie(Config.option(Config.String(name)))
    const parsed = Option.isNone(text) || text.value === "" ? Result.succeed(value) : parse(text.value)
    if (Result.isFailure(parsed)) problems.push(`${name}: ${parsed.failure}`)
    else values[name] = parsed.success
  }
  const read = values as Values
  const channels = yield* Effect.result(readChannels(read))
  if (Result.isFailure(channels)) problems.push(...channels.failure)
  problems.push(...portProblems(read), ...(yield* databaseProblems(read)))
  const tls = yield* Effect.result(readTls(read))
  if (Result.isFailure(tls)) problems.push(...tls.failure)
  if (Result.isSuccess(channels) && Result.isSuccess(tls) && problems.length === 0) {
    return { ...read, channels: channels.success, tls: tls.success }
  }
  return yield* new ConfigurationError({
    problems,
    message: ["the configuration cannot be used:", ...problems.map((problem) => `  ${problem}`)].join("\n")
  })
})

type Problems = ReadonlyArray<string>

/** The files that the database's URL names. */
const databaseProblems = ({ ORCHESTRATOR_DATABASE_URL: url }: Values): Effect.Effect<Problems> =>
  url === undefined
    ? Effect.succeed([])
    : Effect.match(connectionConfig({ url }), {
        onFailure: ({ reason }) => [`ORCHESTRATOR_DATABASE_URL: ${(reason.cause as Error).message}`],
        onSuccess: () => []
      })

/** Two that are 0 are two free ones. */
const portProblems = ({ ORCHESTRATOR_GRPC_PORT: grpc, ORCHESTRATOR_HTTP_PORT: http }: Values): Problems =>
  grpc === http && grpc > 0 ? [`ORCHESTRATOR_HTTP_PORT: it must be another than ORCHESTRATOR_GRPC_PORT, ${grpc}`] : []

/** What must hold between the variables of TLS. */
const tlsProblems = (values: Values): Problems => [
  ...(values.ORCHESTRATOR_TLS_ENABLED && values.ORCHESTRATOR_TLS_CERT_PATH === undefined
    ? ["ORCHESTRATOR_TLS_CERT_PATH: it must name the server's certificate, since ORCHESTRATOR_TLS_ENABLED is true"]
    : []),
  ...(values.ORCHESTRATOR_TLS_ENABLED && values.ORCHESTRATOR_TLS_KEY_PATH === undefined
    ? ["ORCHESTRATOR_TLS_KEY_PATH: it must name the key of the certificate, since ORCHESTRATOR_TLS_ENABLED is true"]
    : []),
  ...(values.ORCHESTRATOR_MTLS_ENABLED && values.ORCHESTRATOR_TLS_ENABLED === false
    ? ["ORCHESTRATOR_MTLS_ENABLED: mutual TLS needs TLS, set ORCHESTRATOR_TLS_ENABLED to true too"]
    : []),
  ...(values.ORCHESTRATOR_MTLS_ENABLED &&
  !values.ORCHESTRATOR_VERIFY_CLIENT_MSP_ID &&
  values.ORCHESTRATOR_TLS_CLIENT_CA_CERT_DIR === undefined &&
  values.ORCHESTRATOR_TLS_SERVER_CA_CERT === undefined
    ? ["ORCHESTRATOR_TLS_CLIENT_CA_CERT_DIR: it must name the folder of the CAs that clients' certificates come from"]
    : []),
  ...(values.ORCHESTRATOR_VERIFY_CLIENT_MSP_ID && values.ORCHESTRATOR_MTLS_ENABLED === false
    ? [
        "ORCHESTRATOR_VERIFY_CLIENT_MSP_ID: without client certificates there is nothing to verify, set ORCHESTRATOR_MTLS_ENABLED to true too"
      ]
    : []),
  ...(values.ORCHESTRATOR_VERIFY_CLIENT_MSP_ID && values.ORCHESTRATOR_TLS_CLIENT_CA_CERT_DIR === undefined
    ? [
        "ORCHESTRATOR_TLS_CLIENT_CA_CERT_DIR: it must name the folder of the organizations' CAs, since ORCHESTRATOR_VERIFY_CLIENT_MSP_ID is true"
      ]
    : [])
]

/** What the files of TLS hold; where some are not named, what is wrong with the others. */
const readTls = (values: Values): Effect.Effect<AppConfig["tls"], Problems> => {
  const problems = tlsProblems(values)
  const { ORCHESTRATOR_TLS_CERT_PATH: certificate, ORCHESTRATOR_TLS_KEY_PATH: key } = values
  if (values.ORCHESTRATOR_TLS_ENABLED === false) {
    return problems.length > 0 ? Effect.fail(problems) : Effect.succeed(undefined)
  }
  const others = {
    serverCa: values.ORCHESTRATOR_TLS_SERVER_CA_CERT,
    clientCaFolder: values.ORCHESTRATOR_MTLS_ENABLED ? values.ORCHESTRATOR_TLS_CLIENT_CA_CERT_DIR : undefined
  }
  if (problems.length > 0 || certificate === undefined || key === undefined) {
    return Effect.flatMap(TlsFilesModule.check({ certificate, key, ...others }), (found) =>
      Effect.fail([...problems, ...found.map(problemText)])
    )
  }
  const paths: TlsPaths = { certificate, key, ...others }
  return Effect.map(tlsFiles(paths), (files) => ({ paths, files }))
}

const problemText = ({ variable, why }: TlsFilesModule.Problem): string => `${variable}: ${why}`

/** The files of TLS, or what is wrong with them, by variable. */
export const tlsFiles = (paths: TlsPaths): Effect.Effect<TlsFiles, Problems> =>
  Effect.mapError(TlsFilesModule.read(paths), (found) => found.map(problemText))

/** The file of channels, or what is wrong with it. */
export const channelsFile = (file: string): Effect.Effect<ChannelMap, Problems> =>
  Effect.mapError(ChannelsFile.read(file), (found) => found.map((why) => `ORCHESTRATOR_CHANNEL_CONFIG: ${why}`))

/** The file of channels; without one, a server with a database of its own has the development channels. */
const readChannels: ReadChannels = (values) => {
  if (values.ORCHESTRATOR_CHANNEL_CONFIG !== undefined) return channelsFile(values.ORCHESTRATOR_CHANNEL_CONFIG)
  // A value that cannot be used is not among them.
  const isEmbedded = "ORCHESTRATOR_DATABASE_URL" in values && values.ORCHESTRATOR_DATABASE_URL === undefined
  return isEmbedded
    ? Effect.succeed(ChannelsFile.developmentChannels)
    : Effect.fail([
        "ORCHESTRATOR_CHANNEL_CONFIG: it must name the file of channels, development channels are for the embedded database only"
      ])
}

/** All of it. */
export const load: Effect.Effect<AppConfig, ConfigurationError> = loadWith(readChannels)

/** For what needs no channels: the file of them is not looked at. */
export const loadWithoutChannels: typeof load = loadWith(() => Effect.succeed(new Map()))
