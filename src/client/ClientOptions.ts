/**
 * What a client is told once: where the orchestrator is, who calls, in which channel, over which TLS, and how long it
 * may take. What cannot be used is reported all at once, before any call, each with its option and the way out.
 */
import { createPrivateKey, X509Certificate } from "node:crypto"
import { readFile } from "node:fs/promises"
import { type ChannelCredentials, type ClientOptions as ConnectionOptions, credentials, Metadata } from "@grpc/grpc-js"
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"

/** The path of a PEM file, or its content: bytes, or a text that begins with `-----BEGIN`. */
export type Pem = string | Uint8Array

/** How the connection is encrypted, and who is at both of its ends. */
export interface TlsOptions {
  /** The CA of the server's certificate; left out, those that Node trusts. */
  readonly ca?: Pem
  /** For mutual TLS: the certificate of this organization. */
  readonly certificate?: Pem
  /** The key of `certificate`. */
  readonly key?: Pem
  /** The name in the server's certificate, where it is not the host of `address`. */
  readonly serverName?: string
}

/** What a client is told once. */
export interface ClientOptions {
  /** `host:port` of the orchestrator's gRPC port; `[host]:port` for an IPv6 address. */
  readonly address: string
  /** The organization that calls: its MSP id. */
  readonly organization: string
  /** The channel of every call. */
  readonly channel: string
  /** Left out, the connection is not encrypted. `{}` trusts the CAs that Node trusts. */
  readonly tls?: TlsOptions
  /** The longest that a call may take, repetitions included. Left out: 60 seconds, the server's own bound. */
  readonly timeout?: Duration.Input
  /**
   * How long a call that meets a server which is gone, or busy, is made again. Left out: 30 seconds; 0 never repeats.
   * A stream of events that stood once is opened again for ever.
   */
  readonly retryFor?: Duration.Input
  /** The largest answer that is taken, in bytes. Left out: 64 MiB. The server holds back what is larger, unwritten. */
  readonly maxResponseSize?: number
}

/** The options cannot be used. The message lists every problem. */
export class InvalidClientOptions extends Data.TaggedError("InvalidClientOptions")<{ readonly message: string }> {}

/** Options as they are used. */
export interface Settings {
  readonly address: string
  readonly organization: string
  readonly channel: string
  readonly credentials: ChannelCredentials
  readonly connection: ConnectionOptions
  /** Of every call. */
  readonly headers: Metadata
  /** In milliseconds. */
  readonly timeout: number
  readonly retryFor: number
}

const mebibyte = 1024 * 1024

/** The header says 2 GiB at most, and so does the size of a message. */
const maxMessage = 2_147_483_647

const addressForm = /^(?:\[[0-9a-fA-F:.]+\]|[^\s:/[\]]+):(\d{1,5})$/

/** A header's value: printable, and without the comma that would make it two. */
const headerForm = /^[\x21-\x2b\x2d-\x7e]+(?: [\x21-\x2b\x2d-\x7e]+)*$/

const problemsOf = (options: ClientOptions): ReadonlyArray<string> => {
  const { address, channel, maxResponseSize, organization } = options
  const port = Number(addressForm.exec(address)?.[1])
  return [
    ...(port >= 1 && port <= 65_535
      ? []
      : [`address: it must be host:port, such as localhost:9000, not ${JSON.stringify(address)}`]),
    ...[{ organization }, { channel }].flatMap((named) =>
      Object.entries(named)
        .filter(([, value]) => typeof value !== "string" || !headerForm.test(value))
        .map(([name, value]) => `${name}: it must be printable ASCII without commas, not ${JSON.stringify(value)}`)
    ),
    ...(["timeout", "retryFor"] as const).flatMap((name) => {
      const given = options[name]
      if (given === undefined) return []
      const millis = millisOf(given)
      return millis >= (name === "timeout" ? 1 : 0) ? [] : [`${name}: it must be a duration, such as "30 seconds"`]
    }),
    ...(maxResponseSize === undefined ||
    (Number.isInteger(maxResponseSize) && maxResponseSize >= 1 && maxResponseSize <= maxMessage)
      ? []
      : [`maxResponseSize: it must be a whole number of bytes from 1 to ${maxMessage}`])
  ]
}

/** NaN for what is no duration. */
export const millisOf = (input: Duration.Input): number => {
  try {
    return Duration.toMillis(Duration.fromInputUnsafe(input))
  } catch {
    return Number.NaN
  }
}

const pemOf = (name: string, pem: Pem): Effect.Effect<Buffer, string> =>
  typeof pem !== "string"
    ? Effect.succeed(Buffer.from(pem))
    : pem.trimStart().startsWith("-----BEGIN")
      ? Effect.succeed(Buffer.from(pem))
      : Effect.tryPromise({
          try: () => readFile(pem),
          catch: (cause) => `tls.${name}: the file cannot be read: ${(cause as Error).message}`
        })

const checked = <A>(name: string, read: (pem: Buffer) => A, pem: Buffer): Effect.Effect<A, string> =>
  Effect.try({
    try: () => read(pem),
    catch: () => `tls.${name}: it must be ${name === "key" ? "an unencrypted private key" : "a certificate"}, PEM`
  })

const optionalPem = <A>(name: string, pem: Pem | undefined, read: (pem: Buffer) => A) =>
  pem === undefined
    ? Effect.succeed(undefined)
    : Effect.flatMap(pemOf(name, pem), (bytes) => Effect.map(checked(name, read, bytes), (value) => ({ bytes, value })))

const failureOf = <E>(result: Result.Result<unknown, E>): ReadonlyArray<E> =>
  Result.isFailure(result) ? [result.failure] : []

/** TLS with these files or bytes, or everything that is wrong with them. */
const tlsCredentials = (tls: TlsOptions): Effect.Effect<ChannelCredentials, ReadonlyArray<string>> =>
  Effect.gen(function* () {
    const certificate = (pem: Buffer) => new X509Certificate(pem)
    const [ca, own, key] = yield* Effect.all([
      Effect.result(optionalPem("ca", tls.ca, certificate)),
      Effect.result(optionalPem("certificate", tls.certificate, certificate)),
      Effect.result(optionalPem("key", tls.key, (pem) => createPrivateKey(pem)))
    ])
    const problems: Array<string> = [...failureOf(ca), ...failureOf(own), ...failureOf(key)]
    if ((tls.certificate === undefined) !== (tls.key === undefined)) {
      problems.push("tls.certificate, tls.key: one without the other is of no use, give both")
    }
    if (Result.isFailure(ca) || Result.isFailure(own) || Result.isFailure(key) || problems.length > 0) {
      return yield* Effect.fail(problems)
    }
    if (own.success && key.success && !own.success.value.checkPrivateKey(key.success.value)) {
      return yield* Effect.fail(["tls.key: it is not the key of tls.certificate"])
    }
    return yield* Effect.try({
      try: () => credentials.createSsl(ca.success?.bytes, key.success?.bytes, own.success?.bytes),
      catch: (cause) => [
        `tls: OpenSSL does not take these certificates: ${(cause as { readonly reason?: string }).reason ?? (cause as Error).message}`
      ]
    })
  })

/** Of this machine, whatever proxies the environment names. */
const isLocal = (address: string): boolean => /^(?:localhost|127(?:\.\d+){3}|\[::1\]):/.test(address)

const connectionOptions = (options: ClientOptions): ConnectionOptions => ({
  "grpc.max_receive_message_length": options.maxResponseSize ?? 64 * mebibyte,
  "grpc.max_send_message_length": -1,
  // A connection that breaks unnoticed is told from a channel where nothing happens. Servers in Go allow 30 s.
  "grpc.keepalive_time_ms": 30_000,
  "grpc.keepalive_timeout_ms": 10_000,
  "grpc.initial_reconnect_backoff_ms": 100,
  "grpc.max_reconnect_backoff_ms": 2000,
  // What is repeated, and when, is for the client to decide; and its end ends its connections.
  "grpc.enable_retries": 0,
  "grpc.use_local_subchannel_pool": 1,
  ...(isLocal(options.address) ? { "grpc.enable_http_proxy": 0 } : {}),
  ...(options.tls?.serverName === undefined
    ? {}
    : {
        "grpc.ssl_target_name_override": options.tls.serverName,
        "grpc.default_authority": options.tls.serverName
      })
})

/** Reads and checks the options. */
export const settings = (options: ClientOptions): Effect.Effect<Settings, InvalidClientOptions> =>
  Effect.gen(function* () {
    const tls = yield* Effect.result(
      options.tls === undefined ? Effect.succeed(credentials.createInsecure()) : tlsCredentials(options.tls)
    )
    const problems: Array<string> = [...problemsOf(options), ...failureOf(tls).flat()]
    if (tls._tag === "Failure" || problems.length > 0) {
      return yield* new InvalidClientOptions({
        message: ["the client's options cannot be used:", ...problems.map((problem) => `  ${problem}`)].join("\n")
      })
    }
    const headers = new Metadata()
    headers.set("mspid", options.organization)
    headers.set("channel", options.channel)
    headers.set("max-response-size", String(options.maxResponseSize ?? 64 * mebibyte))
    return {
      address: options.address,
      organization: options.organization,
      channel: options.channel,
      credentials: tls.success,
      connection: connectionOptions(options),
      headers,
      timeout: millisOf(options.timeout ?? "60 seconds"),
      retryFor: millisOf(options.retryFor ?? "30 seconds")
    }
  })
