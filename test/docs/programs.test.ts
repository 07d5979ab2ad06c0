/** The programs of the documentation, run as their readers run them: each on its own, with the package by its name. */
import { type ChildProcess, execFile, spawn } from "node:child_process"
import { mkdtemp, readFile, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join, resolve } from "node:path"
import { promisify } from "node:util"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as References from "effect/References"
import * as Stream from "effect/Stream"
import { afterAll, describe, expect, it } from "vitest"
import { connect } from "../../src/client/Client.ts"
import * as MemoryStore from "../../src/layers/memory/MemoryStore.ts"
import * as Services from "../../src/layers/Services.ts"
import * as Server from "../../src/server/Server.ts"
import { Channels } from "../../src/services/Channels.ts"
import { ClientIdentity } from "../../src/services/ClientIdentity.ts"
import { ComputeTasks } from "../../src/services/ComputeTasks.ts"
import { Models } from "../../src/services/Models.ts"
import { Performances } from "../../src/services/Performances.ts"
import * as FederatedPlan from "../../src/testing/FederatedPlan.ts"
import { startOrchestrator } from "../../src/testing/Orchestrator.ts"
import * as Requests from "../../src/testing/Requests.ts"

const root = resolve(import.meta.dirname, "../..")
const orchestrator = await startOrchestrator()
const folder = await mkdtemp(join(tmpdir(), "orc-docs-"))
afterAll(async () => {
  await orchestrator.close()
  await rm(folder, { recursive: true })
})

const env = { ...process.env, ADDRESS: orchestrator.address, STATE: join(folder, "state"), PORT: "0" }
const args = (program: string) => ["--conditions=orchestrator-source", ...program.split(" ")]

const documents = (
  await Promise.all(["client", "compose", "testing"].map((name) => readFile(join(root, `docs/${name}.md`), "utf8")))
).join("\n")

/** What the documents say that programs print. */
const outputs = new Map(
  [...documents.matchAll(/<!-- output: (.*) -->\n```\n([\s\S]*?)```/g)].map(([, program = "", text = ""]) => [
    program,
    text
  ])
)
const documented = (program: string): string => outputs.get(program) ?? `nothing is said of ${program}`

/** What is another at every run: times, keys, ports, numbers of events. */
const steady = (text: string): string =>
  text
    .replaceAll(/\d\d:\d\d:\d\d\.\d{3}/g, "hh:mm:ss.mmm")
    .replaceAll(/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/g, "a key")
    .replaceAll(/(?<=port |127\.0\.0\.1:)\d+|\d+(?= events)/g, "n")

/** What a program prints that ends by itself, beside the log of a server that it has. */
const output = async (program: string, its: NodeJS.ProcessEnv = {}): Promise<string> => {
  const { stderr, stdout } = await promisify(execFile)(process.execPath, args(program), {
    cwd: root,
    env: { ...env, ...its }
  })
  expect(stderr).toBe("")
  return stdout.replaceAll(/^(\[\d\d:| {2}|\}).*\n/gm, "")
}

/** A program that runs on. */
interface Running {
  /** Ends it, and gives its exit code. */
  readonly end: (signal?: "SIGTERM" | "SIGKILL") => Promise<number | null>
  /** What it has printed, all of it once it has ended. */
  readonly printed: () => string
}

const started = new Set<ChildProcess>()
// Also where a test fails before it ends its own: a process that runs on keeps the whole run from ending.
afterAll(() => {
  for (const child of started) child.kill("SIGKILL")
})

/** Starts a program that runs on, and waits until it has printed this. */
const running = async (program: string, pattern: RegExp, its: NodeJS.ProcessEnv = {}): Promise<Running> => {
  const child = spawn(process.execPath, args(program), {
    cwd: root,
    env: { ...env, ...its },
    stdio: ["ignore", "pipe", "inherit"]
  })
  started.add(child)
  let printed = ""
  const ended = new Promise<number | null>((done) => child.on("close", done))
  await new Promise<void>((done, failed) => {
    child.on("close", () => failed(new Error(`${program} ended: ${printed}`)))
    child.stdout.on("data", (text: Buffer) => {
      printed += text
      if (pattern.test(printed)) done()
    })
  })
  const end = (signal: "SIGTERM" | "SIGKILL" = "SIGTERM") => {
    child.kill(signal)
    return ended
  }
  return { end, printed: () => printed }
}

/** The calls of a backend between EXECUTING and DONE. */
type Call = "RegisterModels" | "RegisterPerformance" | "ApplyTaskAction DONE"

/** A server that does not answer the first call of this kind, and says that it has come. */
const holding = (held: Call, hasCome: Deferred.Deferred<void>) => {
  const hold = Effect.flatMap(Deferred.succeed(hasCome, undefined), (isFirst) => (isFirst ? Effect.never : Effect.void))
  const answer = <A, E, R>(call: Call, effect: Effect.Effect<A, E, R>) =>
    call === held ? Effect.andThen(hold, effect) : effect
  const services = Layer.mergeAll(
    Layer.effect(
      Models,
      Effect.map(Models, (models) =>
        Models.of({ ...models, register: (messages) => answer("RegisterModels", models.register(messages)) })
      )
    ),
    Layer.effect(
      Performances,
      Effect.map(Performances, (performances) =>
        Performances.of({
          ...performances,
          register: (message) => answer("RegisterPerformance", performances.register(message))
        })
      )
    ),
    Layer.effect(
      ComputeTasks,
      Effect.map(ComputeTasks, (tasks) =>
        ComputeTasks.of({
          ...tasks,
          applyAction: (key, action, log) => {
            const applied = tasks.applyAction(key, action, log)
            return action === "TASK_ACTION_DONE" ? answer("ApplyTaskAction DONE", applied) : applied
          }
        })
      )
    )
  )
  return Server.layer({ port: 0 }).pipe(
    Layer.provide(services),
    Layer.provide(Services.layer()),
    Layer.provide(MemoryStore.layer),
    Layer.provide(Channels.layer(new Map([["mychannel", ["MyOrg1MSP"]]]))),
    Layer.provide(ClientIdentity.layerTrusting)
  )
}

/** Programs that end by themselves, with nothing beside them. */
const ending = [
  "examples/compose/inProcess.ts",
  "examples/compose/swapped.ts",
  "examples/compose/policy.ts",
  "examples/compose/beside.ts",
  "examples/client/promises.ts",
  "examples/client/live.ts"
]

describe.concurrent("a program of the documentation", () => {
  it("serves in fifteen lines", async () => {
    const source = await readFile(join(root, "examples/compose/server.ts"), "utf8")
    expect(source.split("\n").filter((line) => !/^(import |\/\/|$)/.test(line)).length).toBeLessThanOrEqual(15)
    const child = await running("examples/compose/server.ts", /listening on port \d+/)
    expect(await child.end()).not.toBe(1)
    expect(steady(child.printed())).toContain(steady(documented("examples/compose/server.ts")))
  })

  it("serves on PostgreSQL", async () => {
    const dataDir = await mkdtemp(join(tmpdir(), "orc-docs-postgres-"))
    const child = await running("examples/compose/postgres.ts", /listening on port \d+/, { DATA_DIR: dataDir })
    expect(await child.end()).not.toBe(1)
    await rm(dataDir, { recursive: true })
    expect(steady(child.printed())).toContain(steady(documented("examples/compose/postgres.ts")))
  })

  it("serves on memory", async () => {
    const ports = { ORCHESTRATOR_GRPC_PORT: "0", ORCHESTRATOR_HTTP_PORT: "0" }
    const server = await running("src/server/main.ts serve --memory", /channels .*\n/, ports)
    await server.end()
    expect(steady(server.printed())).toContain(steady(documented("serve --memory")))
  })

  it("is one of those below, where it has an output", () => {
    const others = ["compose/server", "compose/postgres", "client/backend", "client/register"].map(
      (name) => `examples/${name}.ts`
    )
    expect([...outputs.keys()].sort()).toEqual([...ending, ...others, "serve --memory"].sort())
  })

  it.each(ending)("prints what is said below it: %s", async (program) => {
    expect(steady(await output(program))).toBe(steady(documented(program)))
  })

  it("registers something to do, for a backend that does it", async () => {
    await using own = await startOrchestrator({ registered: false })
    const its = { ADDRESS: own.address, STATE: join(folder, "own") }
    const backend = await running("examples/client/backend.ts", /following the events/, its)
    expect(await output("examples/client/register.ts", its)).toBe(documented("examples/client/register.ts"))
    await backend.end()
    expect(steady(backend.printed())).toBe(steady(documented("examples/client/backend.ts")))
  })

  it("is a backend that reports what it could not do", async () => {
    await using own = await startOrchestrator({ channels: new Map([["mychannel", ["MyOrg1MSP"]]]) })
    const its = { ADDRESS: own.address, STATE: join(folder, "broken") }
    const backend = await running("examples/client/backend.ts", /following the events/, its)
    const client = await own.client()
    const fn = await client.registerFunction(Requests.newFunction({ name: "broken" }))
    const plan = await client.registerPlan(Requests.newPlan())
    const task = Requests.newTask(fn, plan, { worker: client.organization })
    await client.registerTasks({ tasks: [task] })
    for (const action of ["FUNCTION_ACTION_BUILDING", "FUNCTION_ACTION_READY"] as const) {
      await client.applyFunctionAction({ functionKey: fn.key, action })
    }
    expect((await client.waitForPlan(plan.key)).outcome).toBe("FAILED")
    const report = await client.getFailureReport({ assetKey: task.key })
    expect(report).toMatchObject({ errorType: "ERROR_TYPE_EXECUTION", logsAddress: expect.anything() })
    await backend.end()
  })

  it("is a backend that does the tasks of a plan, and goes on where it was when it starts again", async () => {
    const federated = FederatedPlan.make({ organizations: ["MyOrg1MSP"], rounds: 2 })
    const first = await running("examples/client/backend.ts", /after the beginning/)
    await Effect.runPromise(
      Effect.scoped(
        Effect.gen(function* () {
          const options = { address: orchestrator.address, organization: "MyOrg1MSP", channel: "mychannel" }
          const client = yield* connect(options)
          yield* FederatedPlan.register(federated, () => client)
          expect((yield* client.waitForPlan(federated.plan.key)).outcome).toBe("DONE")
        })
      )
    )
    await first.end()
    const again = await running("examples/client/backend.ts", /after [0-9a-f-]{36}/)
    await again.end()
  })

  it.each<Call>(["RegisterModels", "RegisterPerformance", "ApplyTaskAction DONE"])(
    "is a backend that does nothing twice when it was killed before its %s was answered",
    (held) =>
      Effect.runPromise(
        Effect.scoped(
          Effect.gen(function* () {
            const hasCome = yield* Deferred.make<void>()
            const server = yield* Layer.build(holding(held, hasCome))
            const { address, port } = yield* Effect.provide(Server.Listening, server)
            const client = yield* connect({
              address: `${address}:${port}`,
              organization: "MyOrg1MSP",
              channel: "mychannel"
            })
            const its = { ADDRESS: `${address}:${port}`, STATE: join(folder, held) }
            const start = Effect.promise(() => running("examples/client/backend.ts", /following the events/, its))

            const first = yield* start
            const federated = FederatedPlan.make({ organizations: ["MyOrg1MSP"], rounds: 2 })
            yield* FederatedPlan.register(federated, () => client)
            yield* Deferred.await(hasCome)
            yield* Effect.promise(() => first.end("SIGKILL"))
            const executing = { filter: { status: "STATUS_EXECUTING" as const } }
            expect((yield* client.queryTasks(executing)).tasks.length).toBe(1)

            const again = yield* start
            expect((yield* client.waitForPlan(federated.plan.key)).outcome).toBe("DONE")
            yield* Effect.promise(() => again.end())
            const events = yield* Stream.runCollect(client.all.queryEvents({}))
            const assets = events.flatMap(({ asset }) => asset ?? [])
            for (const status of ["STATUS_EXECUTING", "STATUS_DONE"]) {
              const tasks = assets.flatMap((one) =>
                one.$case === "computeTask" && one.value.status === status ? [one.value.key] : []
              )
              expect(tasks.sort(), status).toEqual(federated.tasks.map(({ key }) => key).sort())
            }
            const made = assets.flatMap((one) =>
              one.$case === "model" || one.$case === "performance" ? [one.value.computeTaskKey] : []
            )
            expect(made.sort()).toEqual(federated.tasks.map(({ key }) => key).sort())
          })
        ).pipe(Effect.provideService(References.MinimumLogLevel, "Error"))
      )
  )
})
