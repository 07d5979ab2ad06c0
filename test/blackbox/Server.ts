/**
 * A server for a test file: the real one, in this process, on a fresh database and free ports, stopped when the file
 * ends. With `ADDR=host:port` in the environment, the server that runs there: then the files must run one after
 * the other (`--no-file-parallelism`), since their events are told apart by time.
 */
import * as fs from "node:fs/promises"
import * as os from "node:os"
import * as path from "node:path"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as References from "effect/References"
import * as Scope from "effect/Scope"
import { afterAll } from "vitest"
import * as AppConfig from "../../src/layers/config/AppConfig.ts"
import { start } from "../../src/server/App.ts"
import { createDatabase, type TestDatabase } from "../support/database.ts"
import { CallError } from "./CallError.ts"
import { type Client, client } from "./Client.ts"

export interface TestServer {
  readonly address: string
  /** It runs already, with settings of its own, and may have assets. */
  readonly foreign: boolean
  readonly client: (mspid?: string, channel?: string) => Client
  /** The two organizations of the channel that most tests use, and the first on the other channel. */
  readonly one: Client
  readonly two: Client
  readonly elsewhere: Client
  /** Ends a server of this file before the file ends. */
  readonly stop: () => Promise<void>
}

export interface ServerOptions {
  /** Whether the organizations are registered on both channels. */
  readonly organizations?: boolean
  /** A fresh one, if left out. Several servers may share one. */
  readonly database?: TestDatabase
  readonly env?: Readonly<Record<string, string>>
}

/** The development default, which a server with a database of its own does not have. */
const channels = `channels:
  mychannel: [MyOrg1MSP, MyOrg2MSP]
  yourchannel: [MyOrg1MSP, MyOrg2MSP]
`

/** Dropped when the file ends, after its servers. */
export const freshDatabase = async (): Promise<TestDatabase> => {
  const database = await createDatabase()
  afterAll(() => database.drop())
  return database
}

interface Started {
  readonly address: string
  readonly stop: () => Promise<void>
}

const startOwn = async ({ database, env }: ServerOptions): Promise<Started> => {
  const { url } = database ?? (await freshDatabase())
  const folder = await fs.mkdtemp(path.join(os.tmpdir(), "orc-blackbox-"))
  const channelFile = path.join(folder, "channels.yaml")
  await fs.writeFile(channelFile, channels)
  const scope = Scope.makeUnsafe()
  const stop = () => Effect.runPromise(Scope.close(scope, Exit.void))
  afterAll(async () => {
    await stop()
    await fs.rm(folder, { recursive: true })
  })
  const settings = {
    ORCHESTRATOR_DATABASE_URL: url,
    ORCHESTRATOR_CHANNEL_CONFIG: channelFile,
    ORCHESTRATOR_GRPC_PORT: "0",
    ORCHESTRATOR_HTTP_PORT: "0",
    ORCHESTRATOR_LISTEN_ADDRESS: "127.0.0.1",
    ...env
  }
  const { grpcPort } = await Effect.runPromise(
    Effect.flatMap(AppConfig.load, start).pipe(
      Effect.provideService(ConfigProvider.ConfigProvider, ConfigProvider.fromEnvRecord(settings)),
      Effect.provideService(References.MinimumLogLevel, "Error"),
      Effect.provideService(Scope.Scope, scope)
    )
  )
  return { address: `127.0.0.1:${grpcPort}`, stop }
}

const ensureRegistered = async (organization: Client): Promise<void> => {
  try {
    await organization.registerOrganization()
  } catch (error) {
    if (!(error instanceof CallError) || error.code !== "ALREADY_EXISTS") throw error
  }
}

/** At the top of a test file. */
export const startServer = async (options: ServerOptions = {}): Promise<TestServer> => {
  const running = process.env.ADDR
  const { address, stop } =
    running === undefined ? await startOwn(options) : { address: running, stop: () => Promise.resolve() }
  const clients: Array<Client> = []
  const connect = (mspid?: string, channel?: string): Client => {
    const made = client(address, { ...(mspid && { mspid }), ...(channel && { channel }) })
    clients.push(made)
    return made
  }
  afterAll(() => {
    for (const each of clients) each.close()
  })
  const one = connect("MyOrg1MSP", "mychannel")
  const two = connect("MyOrg2MSP", "mychannel")
  const elsewhere = connect("MyOrg1MSP", "yourchannel")
  if (options.organizations !== false) {
    await Promise.all([one, two, elsewhere, connect("MyOrg2MSP", "yourchannel")].map(ensureRegistered))
  }
  return { address, foreign: running !== undefined, client: connect, one, two, elsewhere, stop }
}
