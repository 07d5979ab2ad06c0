/**
 * What the readme promises first: the server starts with nothing but its command, the example runs against it, and a
 * signal ends either in order. Both are processes of their own, started by the commands of package.json.
 */
import { type ChildProcess, spawn } from "node:child_process"
import { randomUUID } from "node:crypto"
import { rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { delimiter, join, resolve } from "node:path"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import packageJson from "../../package.json" with { type: "json" }

const root = resolve(import.meta.dirname, "../..")

/** A process with what it has printed so far. */
interface Running {
  readonly process: ChildProcess
  readonly output: () => string
  /** Resolves with the match once the output has it; rejects when the process ends without. */
  readonly prints: (pattern: RegExp) => Promise<RegExpExecArray>
  readonly exited: Promise<number | null>
}

const inherited = Object.entries(process.env).filter(([name]) => !name.startsWith("ORCHESTRATOR_"))

const run = (command: string, args: ReadonlyArray<string>, env: Readonly<Record<string, string>> = {}): Running => {
  const [program = "", ...first] = command.split(" ")
  const path = [join(root, "node_modules/.bin"), process.env.PATH].join(delimiter)
  const child = spawn(program, [...first, ...args], {
    cwd: root,
    env: { ...Object.fromEntries(inherited), PATH: path, ...env },
    stdio: ["ignore", "pipe", "pipe"]
  })
  let output = ""
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (text: string) => {
      output += text
      child.emit("printed")
    })
  }
  const exited = new Promise<number | null>((done) => child.on("close", (code) => done(code)))
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

/** The accuracies of a round: one for each organization, and their average. */
const accuracies = (output: string, round: number): ReadonlyArray<number> =>
  new RegExp(`^ +round ${round} +(0\\.\\d+.*)$`, "m").exec(output)?.[1]?.split(/ +/).map(Number) ?? []

describe("the example against a server of its own", () => {
  const dataDir = join(tmpdir(), `orc-example-${randomUUID()}`)
  let server: Running
  let address = ""

  const start = async (port: string) => {
    server = run(packageJson.scripts.start, [], {
      ORCHESTRATOR_DATA_DIR: dataDir,
      ORCHESTRATOR_GRPC_PORT: port,
      ORCHESTRATOR_HTTP_PORT: "0"
    })
    address = (await server.prints(/gRPC +(127\.0\.0\.1:\d+)/))[1] ?? ""
  }

  beforeAll(() => start("0"))

  afterAll(async () => {
    server.process.kill("SIGTERM")
    await server.exited
    await rm(dataDir, { recursive: true, force: true, maxRetries: 5 })
  })

  const example = (...args: ReadonlyArray<string>) => run(packageJson.scripts.example, ["--address", address, ...args])

  it.each(["first", "second"])("learns from the data of two organizations (%s run)", async () => {
    const running = example()
    expect([await running.exited, running.output()]).toEqual([0, expect.stringContaining("15 tasks done")])
    const [first, last] = [accuracies(running.output(), 1), accuracies(running.output(), 3)]
    expect(last).toHaveLength(3)
    expect(last[2]).toBeGreaterThan(first[2] ?? 1)
    expect(last[2]).toBeGreaterThan(0.8)
  })

  it("says what to do when the server does not know an organization", async () => {
    const running = example("--organizations", "3")
    expect(await running.exited).toBe(1)
    expect(running.output()).toContain("ORCHESTRATOR_CHANNEL_CONFIG")
    expect(running.output()).toContain("mychannel: [MyOrg1MSP, MyOrg2MSP, MyOrg3MSP]")
  })

  it("cancels its plan when it is stopped", async () => {
    const running = example("--rounds", "100")
    await running.prints(/round 1 train +done/)
    running.process.kill("SIGINT")
    expect(await running.exited).toBe(130)
    expect(running.output()).toContain("the plan is canceled")
  })

  it.each(["SIGKILL", "SIGTERM"] as const)(
    "goes on where it was when %s ends the server, which starts again",
    async (signal) => {
      const running = example("--rounds", "20")
      await running.prints(/round 3 test +accuracy/)
      server.process.kill(signal)
      await server.exited
      await start(address.split(":")[1] ?? "")
      expect([await running.exited, running.output()]).toEqual([0, expect.stringContaining("100 tasks done")])
    }
  )

  it("ends in order: the server exits with 0", async () => {
    server.process.kill("SIGTERM")
    expect([await server.exited, server.output()]).toEqual([0, expect.stringContaining("gRPC")])
  })

  it("says how to start a server when there is none", async () => {
    const running = example()
    expect(await running.exited).toBe(1)
    expect(running.output()).toContain("npm start")
  })
})
