/**
 * Federated learning as a compute plan, with everything that it needs: each round trains on every organization,
 * aggregates the models and tests the aggregate on every organization; the next round trains from it. The first
 * organization owns functions and plan, and aggregates. `make` gives requests, `register` and `execute` make the calls.
 */
import * as Effect from "effect/Effect"
import type { OrchestratorClient } from "../client/Client.ts"
import type { ClientError } from "../client/ClientError.ts"
import type { NewComputePlan } from "../layers/wire/generated/computeplan.ts"
import type { ComputeTaskInput, NewComputeTask } from "../layers/wire/generated/computetask.ts"
import type { NewDataManager } from "../layers/wire/generated/datamanager.ts"
import type { NewDataSample } from "../layers/wire/generated/datasample.ts"
import type { NewFunction } from "../layers/wire/generated/function.ts"
import * as Requests from "./Requests.ts"

/** How large a plan is, and whose. */
export interface FederatedPlanOptions {
  /** Left out: `MyOrg1MSP` and `MyOrg2MSP`. */
  readonly organizations?: ReadonlyArray<string>
  /** Left out: 3. */
  readonly rounds?: number
  /** Data samples of each organization, the last of which is for tests. Left out: 3. */
  readonly samples?: number
}

/** What an organization brings. */
export interface Dataset {
  readonly organization: string
  readonly manager: NewDataManager
  readonly samples: ReadonlyArray<NewDataSample>
}

/** What a task does. */
export type Step = "train" | "aggregate" | "test"

/** The requests of a plan, and what it needs. */
export interface FederatedPlan {
  /** Owns functions and plan, and aggregates: the first organization. */
  readonly owner: string
  readonly datasets: ReadonlyArray<Dataset>
  readonly functions: Readonly<Record<Step, NewFunction>>
  readonly plan: NewComputePlan
  /** Parents before their children. There are (2 × organizations + 1) × rounds. */
  readonly tasks: ReadonlyArray<
    NewComputeTask & { readonly step: Step; readonly round: number; readonly worker: string }
  >
}

const data = { opener: Requests.dataManager, samples: Requests.many(Requests.dataSample) }

const functionsOf = (organizations: ReadonlyArray<string>): FederatedPlan["functions"] => {
  const newPermissions = Requests.only(...organizations)
  const { model, performance } = Requests
  return {
    train: Requests.newFunction({
      name: "train",
      newPermissions,
      inputs: { ...data, model: Requests.optional(model) },
      outputs: { model }
    }),
    aggregate: Requests.newFunction({
      name: "aggregate",
      newPermissions,
      inputs: { models: Requests.many(model) },
      outputs: { model }
    }),
    test: Requests.newFunction({
      name: "test",
      newPermissions,
      inputs: { ...data, model },
      outputs: { performance }
    })
  }
}

const datasetOf = (organization: string, others: ReadonlyArray<string>, count: number): Dataset => {
  const permissions = Requests.only(...others)
  const manager = Requests.newDataManager({
    name: `data of ${organization}`,
    newPermissions: permissions,
    logsPermission: permissions
  })
  return { organization, manager, samples: Array.from({ length: count }, () => Requests.newDataSample([manager])) }
}

const inputsOf = ({ manager, samples }: Dataset, use: "train" | "test"): Array<ComputeTaskInput> => [
  Requests.asset("opener", manager),
  ...(use === "train" ? samples.slice(0, -1) : samples.slice(-1)).map((sample) => Requests.asset("samples", sample))
]

/** Requests with fresh keys: the same server takes any number of plans. */
export const make = ({
  organizations = ["MyOrg1MSP", "MyOrg2MSP"],
  rounds = 3,
  samples = 3
}: FederatedPlanOptions = {}): FederatedPlan => {
  const [owner] = organizations
  if (owner === undefined || rounds < 1 || samples < 2) {
    throw new Error("a federated plan needs an organization, a round, and two samples of each organization")
  }
  const functions = functionsOf(organizations)
  const datasets = organizations.map((organization) => datasetOf(organization, organizations, samples))
  const plan = Requests.newPlan({ name: `federated, ${rounds} rounds`, tag: "federated" })
  const tasks: Array<FederatedPlan["tasks"][number]> = []
  const add = (step: Step, round: number, worker: string, inputs: Array<ComputeTaskInput>, transient: boolean) => {
    const models = Requests.output(Requests.only(...organizations), transient)
    const metadata = new Map([["round", String(round)]])
    const task = Requests.newTask(functions[step], plan, { worker, inputs, metadata, models })
    tasks.push({ ...task, step, round })
    return task
  }

  let shared: NewComputeTask | undefined
  for (let round = 1; round <= rounds; round++) {
    const start = shared === undefined ? [] : [Requests.from("model", shared, "model")]
    const trained = datasets.map((dataset) =>
      add("train", round, dataset.organization, [...inputsOf(dataset, "train"), ...start], true)
    )
    const models = trained.map((task) => Requests.from("models", task, "model"))
    const aggregate = add("aggregate", round, owner, models, round < rounds)
    for (const dataset of datasets) {
      const model = Requests.from("model", aggregate, "model")
      add("test", round, dataset.organization, [...inputsOf(dataset, "test"), model], false)
    }
    shared = aggregate
  }
  return { owner, datasets, functions, plan, tasks }
}

/** The client of each organization of a plan. */
export type Clients = (organization: string) => OrchestratorClient

/** Registers everything, and builds the functions. The organizations must be registered. */
export const register = Effect.fnUntraced(function* (
  { datasets, functions, owner, plan, tasks }: FederatedPlan,
  clients: Clients
): Effect.fn.Return<void, ClientError> {
  for (const { manager, organization, samples } of datasets) {
    yield* clients(organization).registerDataManager(manager)
    yield* clients(organization).registerDataSamples({ samples })
  }
  const client = clients(owner)
  for (const fn of Object.values(functions)) {
    yield* client.registerFunction(fn)
    yield* client.applyFunctionAction({ functionKey: fn.key, action: "FUNCTION_ACTION_BUILDING" })
    yield* client.updateFunction({ key: fn.key, name: fn.name, image: Requests.addressable() })
    yield* client.applyFunctionAction({ functionKey: fn.key, action: "FUNCTION_ACTION_READY" })
  }
  yield* client.registerPlan(plan)
  yield* client.registerTasks({ tasks: [...tasks] })
})

/** Does the work of all organizations: every task is executed, in order, with an output, and DONE. */
export const execute = Effect.fnUntraced(function* (
  { tasks }: FederatedPlan,
  clients: Clients
): Effect.fn.Return<void, ClientError> {
  for (const task of tasks) {
    const client = clients(task.worker)
    const act = (action: "TASK_ACTION_EXECUTING" | "TASK_ACTION_DONE") =>
      client.applyTaskAction({ computeTaskKey: task.key, action, log: "" })
    yield* act("TASK_ACTION_EXECUTING")
    if (task.step === "test") yield* client.registerPerformance(Requests.newPerformance(task, 0.9, "performance"))
    else yield* client.registerModels({ models: [Requests.newModel(task, "model")] })
    yield* act("TASK_ACTION_DONE")
  }
})
