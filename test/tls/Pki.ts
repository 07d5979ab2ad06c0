/**
 * A network of two organizations with a CA each, as files that a server reads, and servers with mutual TLS on them.
 * Whatever a test changes in the files, the server reads again every few milliseconds.
 */
import { EventEmitter, on } from "node:events"
import * as fs from "node:fs/promises"
import * as os from "node:os"
import * as path from "node:path"
import * as tls from "node:tls"
import { credentials } from "@grpc/grpc-js"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Logger from "effect/Logger"
import * as References from "effect/References"
import * as Scope from "effect/Scope"
import { afterAll } from "vitest"
import * as AppConfig from "../../src/layers/config/AppConfig.ts"
import { start } from "../../src/server/App.ts"
import { type Client, client } from "../blackbox/Client.ts"
import { createDatabase } from "../support/database.ts"
import { authority, type Issued, serverOf } from "./Certificates.ts"

export const one = "MyOrg1MSP"
export const two = "MyOrg2MSP"

const endings: Array<() => unknown> = []

/** Done when the test file ends, the last first; a test may ask for it too. */
export const atEnd = (ending: () => unknown): void => {
  endings.push(ending)
}

afterAll(async () => {
  for (const ending of endings.reverse()) await ending()
})

export type Env = Readonly<Record<string, string>>

export interface Pki {
  readonly serverCa: Issued
  /** The CA of each organization. */
  readonly cas: { readonly [one]: Issued; readonly [two]: Issued }
  readonly env: Env
  /** The absolute path of a file here. */
  readonly path: (...file: ReadonlyArray<string>) => string
  /** Writes a file at once: no reader sees a part of it. */
  readonly write: (file: string, content: string) => Promise<void>
  /** Certificate and key of the server. */
  readonly writeServer: (server: Issued) => Promise<void>
}

/** In a folder of its own, which goes when the test file ends. */
export const makePki = async (): Promise<Pki> => {
  const folder = await fs.mkdtemp(path.join(os.tmpdir(), "orc-tls-"))
  atEnd(() => fs.rm(folder, { recursive: true }))
  const at: Pki["path"] = (...file) => path.join(folder, ...file)
  const write: Pki["write"] = async (file, content) => {
    await fs.mkdir(path.dirname(at(file)), { recursive: true })
    // Beside the folders that the server reads.
    await fs.writeFile(at("next"), content)
    await fs.rename(at("next"), at(file))
  }
  const [serverCa, ca1, ca2] = await Promise.all([authority("server CA"), authority("CA of 1"), authority("CA of 2")])
  const writeServer: Pki["writeServer"] = async ({ certificate, key }) => {
    await write("server.pem", certificate)
    await write("server.key", key)
  }
  await writeServer(await serverOf(serverCa))
  await write("server-ca.pem", serverCa.certificate)
  await write(`cas/${one}/ca.pem`, ca1.certificate)
  await write(`cas/${two}/ca.pem`, ca2.certificate)
  await write("channels.yaml", `channels: { mychannel: [${one}, ${two}], yourchannel: [${one}, ${two}] }\n`)
  const env = {
    ORCHESTRATOR_TLS_ENABLED: "true",
    ORCHESTRATOR_TLS_CERT_PATH: at("server.pem"),
    ORCHESTRATOR_TLS_KEY_PATH: at("server.key"),
    ORCHESTRATOR_MTLS_ENABLED: "true",
    ORCHESTRATOR_TLS_SERVER_CA_CERT: at("server-ca.pem"),
    ORCHESTRATOR_TLS_CLIENT_CA_CERT_DIR: at("cas"),
    ORCHESTRATOR_VERIFY_CLIENT_MSP_ID: "true",
    ORCHESTRATOR_CHANNEL_CONFIG: at("channels.yaml"),
    ORCHESTRATOR_RELOAD_INTERVAL: "20ms"
  }
  return { serverCa, cas: { [one]: ca1, [two]: ca2 }, env, path: at, write, writeServer }
}

const configured = (env: Env) =>
  ConfigProvider.fromEnvRecord({ ORCHESTRATOR_DATABASE_URL: "postgres://nobody@localhost/no", ...env })

/** The configuration as the server would start with it; fails with its message. */
export const load = (env: Env): Promise<AppConfig.AppConfig> =>
  Effect.runPromise(
    AppConfig.load.pipe(
      Effect.mapError(({ message }) => new Error(message)),
      Effect.provideService(ConfigProvider.ConfigProvider, configured(env))
    )
  )

/** What a server has logged. */
export class Log {
  readonly lines: Array<string> = []
  readonly #changes = new EventEmitter()

  readonly layer = Logger.layer([
    Logger.make(({ logLevel, message }) => {
      this.lines.push(`${logLevel}: ${[message].flat().join(" ")}`)
      this.#changes.emit("line")
    })
  ])

  /** The first line with this text, once there is one, of those that come after a number of lines. */
  async has(text: string | RegExp, after = 0): Promise<string> {
    const look = () => this.lines.slice(after).find((line) => line.search(text) >= 0)
    await using changes = on(this.#changes, "line")
    for (let found = look(); ; found = look()) {
      if (found !== undefined) return found
      await changes.next()
    }
  }
}

export interface TlsServer {
  readonly port: number
  readonly address: string
  readonly httpPort: number
  readonly log: Log
}

/** On a database of its own, stopped when the test file ends. */
export const startServer = async (env: Env): Promise<TlsServer> => {
  const database = await createDatabase()
  const scope = Scope.makeUnsafe()
  atEnd(async () => {
    await Effect.runPromise(Scope.close(scope, Exit.void))
    await database.drop()
  })
  const log = new Log()
  const settings = {
    ORCHESTRATOR_DATABASE_URL: database.url,
    ORCHESTRATOR_GRPC_PORT: "0",
    ORCHESTRATOR_HTTP_PORT: "0",
    ORCHESTRATOR_LISTEN_ADDRESS: "127.0.0.1",
    METRICS_ENABLED: "true",
    ...env
  }
  const { grpcPort, httpPort } = await Effect.runPromise(
    Effect.flatMap(AppConfig.load, start).pipe(
      Effect.provide(log.layer),
      Effect.provideService(ConfigProvider.ConfigProvider, ConfigProvider.fromEnvRecord(settings)),
      Effect.provideService(References.MinimumLogLevel, "Info"),
      Effect.provideService(Scope.Scope, scope)
    )
  )
  return { port: grpcPort, httpPort, address: `localhost:${grpcPort}`, log }
}

/** What a client shows: a certificate with its key, and others behind it. */
export interface Shown extends Pick<Issued, "certificate" | "key"> {
  readonly behind?: ReadonlyArray<Issued>
}

const keyPair = (shown: Shown | undefined) =>
  shown === undefined
    ? {}
    : { key: shown.key, cert: [shown, ...(shown.behind ?? [])].map(({ certificate }) => certificate).join("") }

/** A client of the server, closed when the test file ends. */
export const connect = (
  { serverCa }: Pki,
  { address }: Pick<TlsServer, "address">,
  mspid: string | undefined,
  shown: Shown | undefined,
  channel = "mychannel"
): Client => {
  const context = tls.createSecureContext({ ca: serverCa.certificate, ...keyPair(shown) })
  const made = client(
    address,
    { ...(mspid === undefined ? {} : { mspid }), channel },
    credentials.createFromSecureContext(context)
  )
  atEnd(() => made.close())
  return made
}

/** The beginning of HTTP/2: the preface, and settings that change nothing. */
export const preface = Buffer.concat([
  Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
  Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0])
])

export interface Handshake {
  /** The server has spoken HTTP/2. */
  readonly accepted: boolean
  /** How the server ended the connection, when it did. */
  readonly why?: string
  /** To take up again. */
  readonly session: Buffer | undefined
  /** Of a connection that was accepted, as are the following. */
  readonly protocol?: string | null
  readonly resumed?: boolean
  /** The certificate of the server, PEM. */
  readonly server?: string | undefined
}

/** Connects, and waits until the server speaks HTTP/2 or hangs up. */
export const handshake = (
  { serverCa }: Pki,
  { port }: Pick<TlsServer, "port">,
  shown: Shown | undefined,
  options: tls.ConnectionOptions = {}
): Promise<Handshake> =>
  new Promise((resolve) => {
    let session: Buffer | undefined
    let refused = "closed"
    const socket = tls.connect({
      host: "localhost",
      port,
      ca: serverCa.certificate,
      ALPNProtocols: ["h2"],
      ...keyPair(shown),
      ...options
    })
    socket.on("session", (ticket) => {
      session = ticket
    })
    socket.on("secureConnect", () => socket.write(preface))
    socket.on("error", (error: NodeJS.ErrnoException) => {
      refused = error.code ?? error.message
    })
    socket.on("close", () => resolve({ accepted: false, why: refused, session }))
    socket.on("data", () => {
      resolve({
        accepted: true,
        session,
        server: socket.getPeerX509Certificate()?.toString(),
        protocol: socket.getProtocol(),
        resumed: socket.isSessionReused()
      })
      socket.destroy()
    })
  })
