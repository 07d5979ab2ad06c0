/** Servers of one database for the tests of events, reached or reaching it through proxies. */
import * as fs from "node:fs/promises"
import * as os from "node:os"
import * as path from "node:path"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as References from "effect/References"
import * as Scope from "effect/Scope"
import { afterAll } from "vitest"
import { Proxy } from "../../bench/chaos/Proxy.ts"
import * as AppConfig from "../../src/layers/config/AppConfig.ts"
import { type Running, start } from "../../src/server/App.ts"
import { type Client, client } from "../blackbox/Client.ts"
import { createDatabase, execute, type TestDatabase } from "../support/database.ts"

export interface TestServers {
  readonly database: TestDatabase
  /** Between the servers and the database. */
  readonly proxy: Proxy
  readonly servers: ReadonlyArray<Running>
  readonly client: (server: number, mspid?: string, channel?: string) => Client
  readonly sql: (...statements: ReadonlyArray<string>) => Promise<void>
}

/** Where a URL's database listens. */
export const targetOf = (url: string): { readonly path: string } | { readonly port: number } => {
  const parsed = new URL(url)
  const folder = parsed.searchParams.get("host")
  const port = parsed.searchParams.get("port") ?? parsed.port
  return folder === null ? { port: Number(port) } : { path: path.join(folder, `.s.PGSQL.${port}`) }
}

/** The same database through a proxy. */
export const through = (url: string, proxy: Proxy): string => {
  const parsed = new URL(url)
  const user = parsed.searchParams.get("user") ?? parsed.username
  const password = parsed.password === "" ? "" : `:${parsed.password}`
  return `postgresql://${user}${password}@127.0.0.1:${proxy.port}${parsed.pathname}?sslmode=disable`
}

/** At the top of a test file. */
export const startServers = async (count: number, env: Readonly<Record<string, string>> = {}): Promise<TestServers> => {
  const database = await createDatabase()
  const proxy = await Proxy.open(() => targetOf(database.url))
  const folder = await fs.mkdtemp(path.join(os.tmpdir(), "orc-events-"))
  const channelFile = path.join(folder, "channels.yaml")
  await fs.writeFile(channelFile, "channels:\n  mychannel: [MyOrg1MSP, MyOrg2MSP]\n  yourchannel: [MyOrg1MSP]\n")
  const scope = Scope.makeUnsafe()
  const clients: Array<Client> = []
  afterAll(async () => {
    proxy.resume()
    for (const each of clients) each.close()
    await Effect.runPromise(Scope.close(scope, Exit.void))
    proxy.close()
    await database.drop()
    await fs.rm(folder, { recursive: true })
  })
  const settings = {
    ORCHESTRATOR_DATABASE_URL: through(database.url, proxy),
    ORCHESTRATOR_CHANNEL_CONFIG: channelFile,
    ORCHESTRATOR_GRPC_PORT: "0",
    ORCHESTRATOR_HTTP_PORT: "0",
    ORCHESTRATOR_LISTEN_ADDRESS: "127.0.0.1",
    ...env
  }
  const servers: Array<Running> = []
  for (let index = 0; index < count; index++) {
    servers.push(
      await Effect.runPromise(
        Effect.flatMap(AppConfig.load, start).pipe(
          Effect.provideService(ConfigProvider.ConfigProvider, ConfigProvider.fromEnvRecord(settings)),
          Effect.provideService(References.MinimumLogLevel, "Error"),
          Effect.provideService(Scope.Scope, scope)
        )
      )
    )
  }
  const connect: TestServers["client"] = (server, mspid = "MyOrg1MSP", channel = "mychannel") => {
    const made = client(`127.0.0.1:${servers[server]?.grpcPort}`, { mspid, channel })
    clients.push(made)
    return made
  }
  return {
    database,
    proxy,
    servers,
    client: connect,
    sql: (...statements) => execute(database.url, "SET search_path = orchestrator", ...statements)
  }
}
