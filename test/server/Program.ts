/**
 * The server as an operator runs it: a process of its own, what it prints and how it ends. Databases and folders for
 * it. What a test leaves running is killed when its file ends.
 */
import { type ChildProcess, spawn } from "node:child_process"
import { randomBytes } from "node:crypto"
import * as fs from "node:fs/promises"
import { tmpdir } from "node:os"
import { join, resolve } from "node:path"
import { afterAll, inject } from "vitest"
import { layout } from "../../src/layers/embedded/DataDir.ts"
import { isAlive, readPidFile } from "../../src/layers/embedded/Postmaster.ts"
import { type Client, client } from "../blackbox/Client.ts"
import { createDatabase, execute } from "../support/database.ts"

const root = resolve(import.meta.dirname, "../..")

export type Env = Readonly<Record<string, string>>

/** Nothing of what the server reads. */
const inherited = Object.fromEntries(
  Object.entries(process.env).filter(
    ([name]) => !/^(ORCHESTRATOR_|LOG_|METRICS_|OTEL_|NO_COLOR|NODE_|VITEST)/.test(name)
  )
)

export interface Program {
  readonly process: ChildProcess
  /** All that it has printed so far. */
  readonly output: () => string
  /** Resolves once the output has it; rejects when the process ends without. */
  readonly prints: (pattern: RegExp) => Promise<RegExpExecArray>
  readonly exited: Promise<Exit>
}

export interface Exit {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

/** In the order in which they end when the file does. */
const cleanups: Array<() => Promise<unknown>> = []
afterAll(async () => {
  for (const clean of cleanups.reverse()) await clean()
})

/** `node src/server/main.ts`, started. */
export const run = (env: Env = {}, ...args: ReadonlyArray<string>): Program => {
  const child = spawn(process.execPath, [join(root, "src/server/main.ts"), ...args], {
    cwd: root,
    env: { ...inherited, ...env },
    stdio: ["ignore", "pipe", "pipe"]
  })
  const printed = { stdout: "", stderr: "" }
  const all = { output: "" }
  for (const name of ["stdout", "stderr"] as const) {
    child[name].setEncoding("utf8").on("data", (text: string) => {
      printed[name] += text
      all.output += text
      child.emit("printed")
    })
  }
  const exited = new Promise<Exit>((done) => child.on("close", (code) => done({ code, ...printed })))
  cleanups.push(async () => {
    child.kill("SIGKILL")
    await exited
  })
  return {
    process: child,
    output: () => all.output,
    prints: (pattern) =>
      new Promise((found, failed) => {
        const look = () => {
          const match = pattern.exec(all.output)
          if (match === null) return
          child.off("printed", look)
          found(match)
        }
        child.on("printed", look)
        exited.then(() => failed(new Error(`it ended without printing ${pattern}:\n${all.output}`)))
        look()
      }),
    exited
  }
}

/** A server that serves. */
export interface Server extends Program {
  readonly address: string
  /** The base of its HTTP port. */
  readonly http: string
  readonly client: (mspid?: string, channel?: string) => Client
  /** Sends the signal, unless it has ended, and waits for the end. */
  readonly stop: (signal?: NodeJS.Signals) => Promise<Exit>
}

/** And no address but this machine's own. */
export const freePorts: Env = {
  ORCHESTRATOR_GRPC_PORT: "0",
  ORCHESTRATOR_HTTP_PORT: "0",
  ORCHESTRATOR_LISTEN_ADDRESS: "127.0.0.1"
}

/** A server on free ports, once it has said where it is. */
export const serve = async (env: Env): Promise<Server> => {
  const program = run({ ...freePorts, ...env })
  const [, address = "", http = ""] = await program.prints(/gRPC +(\S+)\n +HTTP +(http:\/\/[^ /]+).*Try next[^\n]*\n/s)
  const clients: Array<Client> = []
  cleanups.push(async () => {
    for (const each of clients) each.close()
  })
  return {
    ...program,
    address,
    http,
    client: (mspid = "MyOrg1MSP", channel = "mychannel") => {
      const made = client(address, { mspid, channel })
      clients.push(made)
      return made
    },
    stop: (signal = "SIGTERM") => {
      program.process.kill(signal)
      return program.exited
    }
  }
}

/** A folder that anyone may enter, as PostgreSQL's user must. */
export const folder = async (): Promise<string> => {
  const made = await fs.realpath(await fs.mkdtemp(join(tmpdir(), "orc-server-")))
  await fs.chmod(made, 0o755)
  cleanups.push(() => fs.rm(made, { recursive: true, force: true, maxRetries: 5 }))
  return made
}

/** The process of the embedded PostgreSQL that runs in this data folder. */
export const postgresOf = (dataDir: string): number | undefined => {
  const pid = readPidFile(layout(dataDir).cluster)?.pid
  return pid !== undefined && isAlive(pid) ? pid : undefined
}

export const postgresPort = (dataDir: string): number | undefined => readPidFile(layout(dataDir).cluster)?.port

/** A data folder for an embedded PostgreSQL. */
export const dataFolder = async (name = "data"): Promise<string> => {
  const made = join(await folder(), name)
  cleanups.push(async () => {
    const pid = postgresOf(made)
    if (pid !== undefined) process.kill(pid, "SIGQUIT")
  })
  return made
}

/** A file of channels, the development ones unless said otherwise. */
export const channelFile = async (
  text = "channels:\n  mychannel: [MyOrg1MSP, MyOrg2MSP]\n  yourchannel: [MyOrg1MSP, MyOrg2MSP]\n"
): Promise<string> => {
  const file = join(await folder(), "channels.yaml")
  await fs.writeFile(file, text)
  return file
}

export interface Database {
  readonly name: string
  readonly url: string
  /** The superuser's connection to the same database. */
  readonly adminUrl: string
}

const on = (url: string, database: string): string => {
  const changed = new URL(url)
  changed.pathname = `/${database}`
  return changed.href
}

/** The superuser's connection to a database that no test uses. */
export const administration = (): string => inject("postgres").adminUrl

/** An empty database, without the schema. */
export const emptyDatabase = async (): Promise<Database> => {
  const { adminUrl, url } = inject("postgres")
  const name = `server_${randomBytes(8).toString("hex")}`
  await execute(adminUrl, `CREATE DATABASE ${name} OWNER orchestrator`)
  cleanups.push(() => execute(adminUrl, `DROP DATABASE IF EXISTS ${name} WITH (FORCE)`))
  return { name, url: on(url, name), adminUrl: on(adminUrl, name) }
}

/** A database with the schema. */
export const database = async (): Promise<Database> => {
  const { drop, name, url } = await createDatabase()
  cleanups.push(drop)
  return { name, url, adminUrl: on(administration(), name) }
}

/** What a server on this database needs to be told. */
export const envOf = async (database: { readonly url: string }): Promise<Env> => ({
  ORCHESTRATOR_DATABASE_URL: database.url,
  ORCHESTRATOR_CHANNEL_CONFIG: await channelFile()
})
