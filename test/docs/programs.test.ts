/** The programs of the documentation, run as their readers run them: each on its own, with the package by its name. */
import { type ChildProcess, execFile, spawn } from "node:child_process"
import { mkdtemp, readFile, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join, resolve } from "node:path"
import { promisify } from "node:util"
import * as Effect from "effect/Effect"
import { afterAll, describe, expect, it } from "vitest"
import { make } from "../../src/client/Client.ts"
import * as FederatedPlan from "../../src/testing/FederatedPlan.ts"
import { startOrchestrator } from "../../src/testing/Orchestrator.ts"

const root = resolve(import.meta.dirname, "../..")
const orchestrator = await startOrchestrator()
const folder = await mkdtemp(join(tmpdir(), "orc-docs-"))
afterAll(async () => {
  await orchestrator.close()
  await rm(folder, { recursive: true })
})

const env = { ...process.env, ADDRESS: orchestrator.address, STATE: join(folder, "state"), PORT: "0" }
const args = (program: string) => ["--conditions=orchestrator-source", join(root, "examples", program)]

/** What it prints, beside its log. */
const output = async (program: string): Promise<ReadonlyArray<string>> => {
  const { stderr, stdout } = await promisify(execFile)(process.execPath, args(program), { cwd: root, env })
  expect(stderr).toBe("")
  return stdout.split("\n").filter((line) => line !== "" && !/^(\[\d\d:| {2}|\})/.test(line))
}

/** A program that runs on, once it has printed this. */
const running = async (program: string, pattern: RegExp, given = env): Promise<ChildProcess> => {
  const child = spawn(process.execPath, args(program), { cwd: root, env: given, stdio: ["ignore", "pipe", "inherit"] })
  let printed = ""
  await new Promise<void>((done, failed) => {
    child.on("exit", () => failed(new Error(`${program} ended: ${printed}`)))
    child.stdout.on("data", (text: Buffer) => {
      printed += text
      if (pattern.test(printed)) done()
    })
  })
  return child
}

const stopped = (child: ChildProcess): Promise<number | null> => {
  child.removeAllListeners("exit")
  const code = new Promise<number | null>((done) => child.on("exit", done))
  child.kill("SIGTERM")
  return code
}

/** A backend with a place of its own, so that it is told of everything from the beginning. */
const backend = (state: string, pattern: RegExp) =>
  running("client/backend.ts", pattern, { ...env, STATE: join(folder, state) })

describe.concurrent("a program of the documentation", () => {
  it("serves in fifteen lines", async () => {
    const source = await readFile(join(root, "examples/compose/server.ts"), "utf8")
    expect(source.split("\n").filter((line) => !/^(import |\/\/|$)/.test(line)).length).toBeLessThanOrEqual(15)
    const child = await running("compose/server.ts", /listening on port \d+/)
    expect(await stopped(child)).not.toBe(1)
  })

  it.each([
    ["compose/inProcess.ts", ["a plan true"]],
    ["compose/swapped.ts", ["Unavailable busy, on purpose"]],
    ["compose/policy.ts", ["a plan of MyOrg1MSP", "OE0102: MyOrg2MSP may not register plans"]],
    ["compose/beside.ts", ["0 plans", 'OE0102: organization "NobodyMSP" is unknown']],
    ["client/promises.ts", ["NotFound 1"]],
    ["client/live.ts", [expect.stringMatching(/^live after \d+ events$/)]]
  ])("prints what it says: %s", async (program, lines) => {
    expect(await output(program)).toEqual(lines)
  })

  it("registers a plan, which a backend does", async () => {
    const doing = await backend("registered", /after the beginning/)
    expect(await output("client/register.ts")).toEqual(["the plan is DONE"])
    await stopped(doing)
  })

  it("is a backend that does the tasks of a plan, and goes on where it was when it starts again", async () => {
    const federated = FederatedPlan.make({ organizations: ["MyOrg1MSP"], rounds: 2 })
    const first = await running("client/backend.ts", /after the beginning/)
    await Effect.runPromise(
      Effect.scoped(
        Effect.gen(function* () {
          const options = { address: orchestrator.address, organization: "MyOrg1MSP", channel: "mychannel" }
          const client = yield* make(options)
          yield* FederatedPlan.register(federated, () => client)
          expect((yield* client.waitForPlan(federated.plan.key)).outcome).toBe("DONE")
        })
      )
    )
    await stopped(first)
    const again = await running("client/backend.ts", /after [0-9a-f-]{36}/)
    await stopped(again)
  })
})
