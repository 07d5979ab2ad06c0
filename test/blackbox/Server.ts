/**
 * A server for a test file: the real one, in this process, on a fresh database and free ports, stopped when the file
 * ends. With `ADDR=host:port` in the environment, the server that runs there.
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
import { type Running, start } from "../../src/server/App.ts"
import { createDatabase } from "../support/database.ts"
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
}

export interface ServerOptions {
  /** Whether the organizations are registered on both channels. */
  readonly organizations?: boolean
  readonly env?: Readonly<Record<string, string>>
}

/** The development default, which a server with a database of its own does not have. */
const channels = `channels:
  mychannel: [MyOrg1MSP, MyOrg2MSP]
  yourchannel: [MyOrg1MSP, MyOrg2MSP]
`

const startOwn = async (env: ServerOptions["env"]): Promise<Running> => {
  const database = await createDatabase()
  const folder = await fs.mkdtemp(path.join(os.tmpdir(), "orc-blackbox-"))
  const channelFile = path.join(folder, "channels.yaml")
  await fs.writeFile(channelFile, channels)
  const scope = Scope.makeUnsafe()
  afterAll(async () => {
    await Effect.runPromise(Scope.close(scope, Exit.void))
    await database.drop()
    await fs.rm(folder, { recursive: true })
  })
  const settings = {
    ORCHESTRATOR_DATABASE_URL: database.url,
    ORCHESTRATOR_CHANNEL_CONFIG: channelFile,
    ORCHESTRATOR_GRPC_PORT: "0",
    ORCHESTRATOR_HTTP_PORT: "0",
    ORCHESTRATOR_LISTEN_ADDRESS: "127.0.0.1",
    ...env
  }
  return Effect.runPromise(
    Effect.flatMap(AppConfig.load, start).pipe(
      Effect.provideService(ConfigProvider.ConfigProvider, ConfigProvider.fromEnvRecord(settings)),
      Effect.provideService(References.MinimumLogLevel, "Error"),
      Effect.provideService(Scope.Scope, scope)
    )
  )
}

const ensureRegistered = async (organization: Client): Promise<void> => {
  try {
    await organization.registerOrganization()
  } catch (error) {
    if (!(error instanceof CallError) || error.code !== "ALREADY_EXISTS") throw error
  }
}

/** At the top of a test file. */
export const startServer = async ({ env = {}, organizations = true }: ServerOptions = {}): Promise<TestServer> => {
  const clients: Array<Client> = []
  const foreign = process.env.ADDR
  const address = foreign ?? `127.0.0.1:${(await startOwn(env)).grpcPort}`
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
  if (organizations) {
    await Promise.all([one, two, elsewhere, connect("MyOrg2MSP", "yourchannel")].map(ensureRegistered))
  }
  return { address, foreign: foreign !== undefined, client: connect, one, two, elsewhere }
}
