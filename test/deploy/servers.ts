/** Servers of these tests: as processes, as an operator runs them, or in this process. */
import { type ChildProcess, spawn } from "node:child_process"
import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as References from "effect/References"
import * as Scope from "effect/Scope"
import { afterAll } from "vitest"
import * as AppConfig from "../../src/layers/config/AppConfig.ts"
import { start } from "../../src/server/App.ts"
import { CallError } from "../blackbox/CallError.ts"
import { type Client, client } from "../blackbox/Client.ts"

type Environment = Readonly<Record<string, string>>

const atEnd: Array<() => unknown> = []

/** What is to be done when the file ends, the last first; also from inside a test. */
export const finallyDo = (what: () => unknown): void => {
  atEnd.push(what)
}

afterAll(async () => {
  for (const what of atEnd.reverse()) await what()
})

/** A folder that is removed when the file ends. */
export const folder = async (): Promise<string> => {
  const made = await mkdtemp(join(tmpdir(), "orc-deploy-"))
  finallyDo(() => rm(made, { recursive: true, force: true }))
  return made
}

export interface RunningServer {
  readonly http: string
  readonly grpcPort: number
  readonly connect: (mspid: string) => Client
  /** Both organizations of the channel, registered. */
  readonly organizations: () => Promise<readonly [one: Client, two: Client]>
  readonly stop: () => Promise<void>
}

const ports = { ORCHESTRATOR_GRPC_PORT: "0", ORCHESTRATOR_HTTP_PORT: "0", ORCHESTRATOR_LISTEN_ADDRESS: "127.0.0.1" }

/** In this process; stopped at the end of the file at the latest. */
export const serve = async (env: Environment): Promise<RunningServer> => {
  const scope = Scope.makeUnsafe()
  const clients: Array<Client> = []
  const stop = async () => {
    for (const each of clients.splice(0)) each.close()
    await Effect.runPromise(Scope.close(scope, Exit.void))
  }
  finallyDo(stop)
  const { grpcPort, httpPort } = await Effect.runPromise(
    Effect.flatMap(AppConfig.load, start).pipe(
      Effect.provideService(ConfigProvider.ConfigProvider, ConfigProvider.fromEnvRecord({ ...ports, ...env })),
      Effect.provideService(References.MinimumLogLevel, "Warn"),
      Effect.provideService(Scope.Scope, scope)
    )
  )
  const connect = (mspid: string) => {
    const made = client(`127.0.0.1:${grpcPort}`, { mspid, channel: "mychannel" })
    clients.push(made)
    return made
  }
  return {
    http: `http://127.0.0.1:${httpPort}`,
    grpcPort,
    connect,
    organizations: async () => {
      const both = [connect("MyOrg1MSP"), connect("MyOrg2MSP")] as const
      for (const each of both) {
        await each.registerOrganization().catch((error: unknown) => {
          if (!(error instanceof CallError) || error.code !== "ALREADY_EXISTS") throw error
        })
      }
      return both
    },
    stop
  }
}

export interface Program {
  readonly process: ChildProcess
  readonly output: () => string
  /** Resolves with the match once the output has it; rejects when the process ends without. */
  readonly prints: (pattern: RegExp) => Promise<RegExpExecArray>
  readonly exited: Promise<number | null>
}

export interface ProgramOptions {
  readonly cwd: string
  readonly env: Environment
  readonly uid?: number
}

/** A process with this environment and no other. Ended, if need be, when the file ends. */
export const program = (command: ReadonlyArray<string>, { cwd, env, uid }: ProgramOptions): Program => {
  const [first = "", ...args] = command
  const child = spawn(first, args, {
    cwd,
    env,
    stdio: ["ignore", "pipe", "pipe"],
    ...(uid === undefined ? {} : { uid, gid: uid })
  })
  let output = ""
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (text: string) => {
      output += text
      child.emit("printed")
    })
  }
  const exited = new Promise<number | null>((done) => child.on("close", (code) => done(code)))
  finallyDo(async () => {
    child.kill("SIGKILL")
    await exited
  })
  return {
    process: child,
    output: () => output,
    exited,
    prints: (pattern) =>
      new Promise((found, failed) => {
        const look = () => {
          const match = pattern.exec(output)
          if (match !== null) found(match)
        }
        child.on("printed", look)
        exited.then(() => failed(new Error(`it ended without printing ${pattern}:\n${output}`)))
        look()
      })
  }
}
