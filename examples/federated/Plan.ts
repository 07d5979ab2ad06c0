/**
 * What the example asks the orchestrator to do: three functions, and a compute plan that runs them round by round.
 * Each round trains on every organization, averages the models, and tests the average on every organization:
 *
 *     train (MyOrg1MSP) ─┐             ┌─ test (MyOrg1MSP)
 *                        ├─ aggregate ─┤
 *     train (MyOrg2MSP) ─┘             └─ test (MyOrg2MSP)      the next round trains from this average
 */
import { randomUUID } from "node:crypto"
import { AssetKind, type NewPermissions } from "../../src/layers/wire/generated/common.ts"
import type {
  ComputeTaskInput,
  NewComputeTask,
  NewComputeTaskOutput
} from "../../src/layers/wire/generated/computetask.ts"
import type { FunctionInput, FunctionOutput } from "../../src/layers/wire/generated/function.ts"

/** What an organization brings to the plan: keys of its data manager and its data samples. */
export interface Dataset {
  readonly organization: string
  readonly manager: string
  readonly training: ReadonlyArray<string>
  readonly testing: ReadonlyArray<string>
}

export type FunctionName = "train" | "aggregate" | "test"

/** Where a task is in the plan. */
export interface Step {
  readonly function: FunctionName
  readonly round: number
  readonly organization: string
}

export interface Plan {
  readonly key: string
  /** Registers functions and tasks, builds the functions and averages the models. */
  readonly owner: string
  readonly organizations: ReadonlyArray<string>
  readonly rounds: number
  readonly functions: Readonly<Record<FunctionName, string>>
  readonly tasks: ReadonlyArray<NewComputeTask>
  /** By the keys of their tasks. */
  readonly steps: ReadonlyMap<string, Step>
}

export const only = (...organizations: ReadonlyArray<string>): NewPermissions => ({
  public: false,
  authorizedIds: [...organizations]
})

const input = (kind: AssetKind, options: Partial<FunctionInput> = {}): FunctionInput => ({
  kind,
  multiple: false,
  optional: false,
  ...options
})
const data: ReadonlyArray<[string, FunctionInput]> = [
  ["opener", input(AssetKind.ASSET_DATA_MANAGER)],
  ["samples", input(AssetKind.ASSET_DATA_SAMPLE, { multiple: true })]
]
const model: FunctionOutput = { kind: AssetKind.ASSET_MODEL, multiple: false }
const accuracy: FunctionOutput = { kind: AssetKind.ASSET_PERFORMANCE, multiple: false }

/** What the functions take and give. */
export const signatures: Readonly<
  Record<FunctionName, { readonly inputs: Map<string, FunctionInput>; readonly outputs: Map<string, FunctionOutput> }>
> = {
  train: {
    inputs: new Map([...data, ["model", input(AssetKind.ASSET_MODEL, { optional: true })]]),
    outputs: new Map([["model", model]])
  },
  aggregate: {
    inputs: new Map([["models", input(AssetKind.ASSET_MODEL, { multiple: true })]]),
    outputs: new Map([["model", model]])
  },
  test: {
    inputs: new Map([...data, ["model", input(AssetKind.ASSET_MODEL)]]),
    outputs: new Map([["accuracy", accuracy]])
  }
}

const asset = (identifier: string, key: string): ComputeTaskInput => ({
  identifier,
  ref: { $case: "assetKey", value: key }
})

const modelOf = (identifier: string, parentTaskKey: string): ComputeTaskInput => ({
  identifier,
  ref: { $case: "parentTaskOutput", value: { parentTaskKey, outputIdentifier: "model" } }
})

const dataOf = ({ manager }: Dataset, samples: ReadonlyArray<string>) => [
  asset("opener", manager),
  ...samples.map((key) => asset("samples", key))
]

/** Everything gets a new key, so that a server may run the example any number of times. */
export const make = (datasets: ReadonlyArray<Dataset>, rounds: number): Plan => {
  const key = randomUUID()
  const organizations = datasets.map(({ organization }) => organization)
  const owner = organizations[0] ?? ""
  const functions = { train: randomUUID(), aggregate: randomUUID(), test: randomUUID() }
  const tasks: Array<NewComputeTask> = []
  const steps = new Map<string, Step>()

  const add = (step: Step, inputs: Array<ComputeTaskInput>, output: string, options: NewComputeTaskOutput) => {
    const task = randomUUID()
    steps.set(task, step)
    tasks.push({
      key: task,
      functionKey: functions[step.function],
      computePlanKey: key,
      // The owner of the data manager among the inputs works on a task; only without one it has to be said.
      worker: step.function === "aggregate" ? step.organization : "",
      metadata: new Map([["round", String(step.round)]]),
      inputs,
      outputs: new Map([[output, options]])
    })
    return task
  }

  let shared: string | undefined
  for (let round = 1; round <= rounds; round++) {
    const from = shared === undefined ? [] : [modelOf("model", shared)]
    const trained = datasets.map((dataset) =>
      add(
        { function: "train", round, organization: dataset.organization },
        [...dataOf(dataset, dataset.training), ...from],
        "model",
        // For the average only, and of no use after it.
        { permissions: only(owner), transient: true }
      )
    )
    const average = add(
      { function: "aggregate", round, organization: owner },
      trained.map((task) => modelOf("models", task)),
      "model",
      // The last one is the result.
      { permissions: only(...organizations), transient: round < rounds }
    )
    for (const dataset of datasets) {
      add(
        { function: "test", round, organization: dataset.organization },
        [...dataOf(dataset, dataset.testing), modelOf("model", average)],
        "accuracy",
        { permissions: { public: true, authorizedIds: [] }, transient: false }
      )
    }
    shared = average
  }
  return { key, owner, organizations, rounds, functions, tasks, steps }
}
