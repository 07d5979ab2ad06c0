/** Calls that are made again: what was lost on the way counts as done where it was done, and is never done twice. */
import * as Effect from "effect/Effect"
import { afterAll, describe, expect, it } from "vitest"
import * as Client from "../../src/client/Client.ts"
import * as InDoubt from "../../src/client/InDoubt.ts"
import { services } from "../../src/layers/wire/generated/index.ts"
import * as Build from "../blackbox/Builders.ts"
import * as Drivers from "../blackbox/Drivers.ts"
import { startServer } from "../blackbox/Server.ts"
import * as Relay from "./Relay.ts"

const server = await startServer()
const relay = await Relay.open(server.address)
afterAll(relay.close)

type Use = (client: Client.OrchestratorClient) => Effect.Effect<unknown, unknown>

const using = <A, E>(
  use: (client: Client.OrchestratorClient) => Effect.Effect<A, E>,
  options: { readonly retryFor?: number; readonly channel?: string } = {}
) =>
  Effect.runPromise(
    Effect.scoped(
      Effect.flatMap(
        Client.connect({ address: relay.address, organization: "MyOrg1MSP", channel: "mychannel", ...options }),
        use
      )
    )
  )

const { one } = server

const never = (): never => expect.unreachable("a task has an output")

/** A call of each rpc that changes something, and what tells that it was done once. */
const changes: Readonly<Record<string, () => Promise<Use>>> = {
  registerFunction: async () => {
    const asked = Build.newFunction({ newPermissions: Build.only("MyOrg2MSP"), metadata: new Map([["a", "b"]]) })
    return (client) => client.registerFunction(asked)
  },
  registerDataManager: async () => {
    const asked = Build.newDataManager({ newPermissions: Build.only("MyOrg2MSP", "MyOrg2MSP") })
    return (client) => client.registerDataManager(asked)
  },
  registerDataSamples: async () => {
    const manager = await Drivers.aManager(one)
    const samples = [Build.newDataSample([manager, manager]), Build.newDataSample()]
    return (client) => client.registerDataSamples({ samples })
  },
  registerPlan: async () => {
    const asked = Build.newPlan({ key: Build.newKey().toUpperCase(), metadata: new Map([["a", "b"]]) })
    return (client) => client.registerPlan(asked)
  },
  registerTasks: async () => {
    const fn = await Drivers.aFunction(one)
    const plan = await Drivers.aPlan(one)
    const parent = Build.newTask(fn, plan, { worker: one.id })
    const child = Build.newTask(fn, plan, { worker: one.id, inputs: [Build.from("models", parent)] })
    return (client) => client.registerTasks({ tasks: [child, parent] })
  },
  registerModels: async () => {
    const task = await Drivers.aTaskIn(one, "STATUS_EXECUTING")
    return (client) => client.registerModels({ models: [Build.newModel(task)] })
  },
  registerModel: async () => {
    const task = await Drivers.aTaskIn(one, "STATUS_EXECUTING")
    const asked = Build.newModel(task)
    return (client) => client.registerModel(asked)
  },
  registerPerformance: async () => {
    const task = await Drivers.aTaskIn(one, "STATUS_EXECUTING", { outputs: { out: Build.performance } })
    const of = { computeTaskKey: task.key, computeTaskOutputIdentifier: "out" }
    return (client) => client.registerPerformance({ ...of, performanceValue: 0.1 })
  },
  registerFailureReport: async () => {
    const task = await Drivers.aTaskIn(one, "STATUS_EXECUTING")
    const logsAddress = Build.addressable()
    return (client) =>
      client.registerFailureReport({
        assetKey: task.key,
        assetType: "FAILED_ASSET_COMPUTE_TASK",
        errorType: "ERROR_TYPE_EXECUTION",
        logsAddress
      })
  },
  registerProfilingStep: async () => {
    const assetKey = Build.newKey()
    return (client) => client.registerProfilingStep({ assetKey, step: "build", duration: 5 })
  },
  updatePlan: async () => {
    const { key } = await Drivers.aPlan(one)
    return (client) => client.updatePlan({ key, name: "renamed" })
  },
  updateFunction: async () => {
    const { key } = await Drivers.aFunction(one)
    return (client) => client.updateFunction({ key, name: "renamed", image: Build.addressable() })
  },
  updateDataManager: async () => {
    const { key } = await Drivers.aManager(one)
    return (client) => client.updateDataManager({ key, name: "renamed" })
  },
  updateDataSamples: async () => {
    const manager = await Drivers.aManager(one)
    const sample = await Drivers.aSample(one)
    return (client) => client.updateDataSamples({ keys: [sample.key], dataManagerKeys: [manager.key] })
  },
  applyPlanAction: async () => {
    const { key } = await Drivers.aPlan(one)
    return (client) => client.applyPlanAction({ key, action: "PLAN_ACTION_CANCELED" })
  },
  disableOutput: async () => {
    const task = await Drivers.aTaskIn(one, "STATUS_EXECUTING", { models: Build.output(Build.everybody, true) })
    await Drivers.aModel(one, task)
    await Drivers.act(one, task, "DONE")
    const fn = await Drivers.aFunction(one)
    const inputs = [Build.from("models", task)]
    const child = await Drivers.aTask(one, { fn, plan: task.computePlanKey, inputs })
    await Drivers.act(one, child, "CANCELED")
    return (client) => client.disableOutput({ computeTaskKey: task.key, identifier: "out" })
  }
}

const wireName = (name: string): string => name.charAt(0).toUpperCase() + name.slice(1)

describe("a call whose answer was lost", () => {
  it("is known for every rpc that changes something", () => {
    const names = services.flatMap(({ methods }) => Object.keys(methods))
    const changing = names.filter((name) => !InDoubt.isRead(name as never) && name !== "subscribeToEvents")
    expect(Object.keys(InDoubt.repetitions).sort()).toEqual(changing.sort())
    const elsewhere = ["registerOrganization", "applyTaskAction", "applyFunctionAction"]
    expect([...Object.keys(changes), ...elsewhere].sort()).toEqual(changing.sort())
  })

  it.each(Object.keys(changes))("counts as done when it was: %s", async (name) => {
    const make = changes[name] as () => Promise<Use>
    const call = await make()
    const undisturbed = await make()
    relay.lose(wireName(name), "answer")
    const before = relay.calls(wireName(name))
    const [answer, usual] = (await using((client) => Effect.all([call(client), undisturbed(client)]))) as [
      object,
      object
    ]
    expect(relay.calls(wireName(name)) - before).toBe(3)
    expect(Object.keys(answer)).toEqual(Object.keys(usual))
  })

  it.each([
    ["EXECUTING", "STATUS_WAITING_FOR_EXECUTOR_SLOT"],
    ["DONE", "STATUS_EXECUTING"],
    ["FAILED", "STATUS_EXECUTING"],
    ["CANCELED", "STATUS_BUILDING"]
  ] as const)("counts as done when its task is %s", async (action, from) => {
    const task = await Drivers.aTaskIn(one, from)
    relay.lose("ApplyTaskAction", "answer")
    await using((client) =>
      client.applyTaskAction({ computeTaskKey: task.key, action: `TASK_ACTION_${action}`, log: "" })
    )
    expect(await Drivers.statusOf(one, task)).toBe(`STATUS_${action}`)
  })

  it("counts as done when its function is in that state", async () => {
    const { key } = await Drivers.aFunction(one, { status: "FUNCTION_STATUS_WAITING" })
    relay.lose("ApplyFunctionAction", "answer", "call", "answer")
    await using((client) => client.applyFunctionAction({ functionKey: key, action: "FUNCTION_ACTION_BUILDING" }))
    expect((await one.getFunction({ key })).status).toBe("FUNCTION_STATUS_BUILDING")
  })

  it("counts as done when its organization is there", async () => {
    const fresh = await startServer({ organizations: false })
    const own = await Relay.open(fresh.address)
    own.lose("RegisterOrganization", "answer")
    const registered = await Effect.runPromise(
      Effect.scoped(
        Effect.flatMap(
          Client.connect({ address: own.address, organization: "MyOrg1MSP", channel: "mychannel" }),
          (client) => client.registerOrganization({ address: "http://one.example" })
        )
      )
    )
    expect(registered).toMatchObject({ id: "MyOrg1MSP", address: "http://one.example" })
    own.close()
  })

  it("is refused when what it meets is not its own", async () => {
    const plan = Build.newPlan({ name: "first" })
    await one.registerPlan(plan)
    relay.lose("RegisterPlan", "answer")
    const error = await using((client) => Effect.flip(client.registerPlan({ ...plan, name: "second" })))
    expect(error).toMatchObject({ _tag: "Conflict" })

    const fn = await Drivers.aFunction(one)
    const asked = Build.newTask(fn, await Drivers.aPlan(one), { worker: one.id })
    await one.registerTasks({ tasks: [asked] })
    const [[name, output] = never()] = asked.outputs
    for (const other of [
      { worker: "MyOrg2MSP" },
      { outputs: new Map([[name, { ...output, transient: !output.transient }]]) },
      { outputs: new Map([[name, { ...output, permissions: Build.only("MyOrg2MSP") }]]) }
    ]) {
      relay.lose("RegisterTasks", "answer")
      const tasks = [{ ...asked, ...other }]
      expect(await using((client) => Effect.flip(client.registerTasks({ tasks })))).toMatchObject({ _tag: "Conflict" })
    }

    const task = await Drivers.aTaskIn(one, "STATUS_CANCELED")
    relay.lose("ApplyTaskAction", "answer")
    const refused = await using((client) =>
      Effect.flip(client.applyTaskAction({ computeTaskKey: task.key, action: "TASK_ACTION_DONE", log: "" }))
    )
    expect(refused).toMatchObject({ _tag: "IncompatibleStatus", current: "STATUS_CANCELED" })

    const failed = await Drivers.aTaskIn(one, "STATUS_FAILED")
    relay.lose("ApplyPlanAction", "answer")
    const terminated = await using((client) =>
      Effect.flip(client.applyPlanAction({ key: failed.computePlanKey, action: "PLAN_ACTION_CANCELED" }))
    )
    expect(terminated).toMatchObject({ _tag: "TerminatedComputePlan" })
  })
})

describe("a call whose repetition meets what may be its own", () => {
  it("is in doubt when nobody answers to tell, and takes no longer than it may", async () => {
    const own = await Relay.open(server.address)
    own.lose("RegisterPlan", "answer")
    own.lose("GetPlan", ...Array.from({ length: 100 }, () => "call" as const))
    const plan = Build.newPlan()
    const error = await Effect.runPromise(
      Effect.scoped(
        Effect.flatMap(
          Client.connect({ address: own.address, organization: "MyOrg1MSP", channel: "mychannel" }),
          (client) => Effect.flip(client.registerPlan(plan, { timeout: "1 second" }))
        )
      )
    )
    expect(error).toMatchObject({
      _tag: "Unavailable",
      rpc: "RegisterPlan",
      inDoubt: true,
      message: expect.stringMatching(
        /already exists.*An earlier attempt may have been carried out.*GetPlan: lost on the way/
      )
    })
    own.close()
  })
})

describe("a call that was never lost", () => {
  it("is refused what exists, even if it is the same", async () => {
    const plan = Build.newPlan()
    await one.registerPlan(plan)
    const error = await using((client) => Effect.flip(client.registerPlan(plan)))
    expect(error).toMatchObject({ _tag: "Conflict" })
  })
})

describe("a server that stays away", () => {
  it("is told as unavailable once the time for repetitions is over, and that the call may have been carried out", async () => {
    relay.lose("RegisterPlan", "answer")
    const error = await using((client) => Effect.flip(client.registerPlan(Build.newPlan())), { retryFor: 0 })
    expect(error).toMatchObject({ _tag: "Unavailable", inDoubt: true })
    const nobody = await Effect.runPromise(
      Effect.scoped(
        Effect.flatMap(
          Client.connect({ address: "127.0.0.1:1", organization: "A", channel: "b", retryFor: "300 millis" }),
          (client) => Effect.flip(client.queryVersion())
        )
      )
    )
    expect(nobody).toMatchObject({ _tag: "Unavailable", inDoubt: false })
  })

  it("costs a read nothing but time", async () => {
    const plan = await Drivers.aPlan(one)
    relay.lose("GetPlan", "call", "answer", "answer")
    expect(await using((client) => client.getPlan({ key: plan.key }))).toEqual(plan)
  })
})
