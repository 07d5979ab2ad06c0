/**
 * Executes the tasks of an organization: gets the inputs, runs the function's image on them, registers what comes out.
 */
import { randomUUID } from "node:crypto"
import { pathToFileURL } from "node:url"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import type { Addressable } from "../../src/layers/wire/generated/common.ts"
import { type ComputeTask, ComputeTaskAction } from "../../src/layers/wire/generated/computetask.ts"
import { ErrorType, FailedAssetKind } from "../../src/layers/wire/generated/failure_report.ts"
import type * as Learning from "./Learning.ts"
import type { Organization } from "./Organization.ts"
import type { FunctionName } from "./Plan.ts"
import * as Reports from "./Reports.ts"
import { Scheduling } from "./Scheduling.ts"
import { Storage, StorageError } from "./Storage.ts"
import type { Output } from "./Transient.ts"

/** The function itself failed. */
export class ExecutionError extends Data.TaggedError("ExecutionError")<{ readonly message: string }> {}

export const pathOfModel = (key: string) => `models/${key}.json`

const downloadAsset = Effect.fnUntraced(function* (address: Addressable | undefined) {
  const { download } = yield* Storage
  if (address !== undefined) return yield* download(address)
  return yield* new StorageError({ message: "an asset has no address any more" })
})

/** The orchestrator knows what the inputs are and where: an organization's own data samples, models of anyone. */
const prepareInputs = Effect.fnUntraced(function* ({ client, id }: Organization, task: ComputeTask) {
  const { read } = yield* Storage
  const rows: Array<Learning.Row> = []
  const models: Array<Learning.Model> = []
  const { assets } = yield* client.getTaskInputAssets({ computeTaskKey: task.key })
  for (const { asset } of assets) {
    if (asset?.$case === "dataSample") {
      rows.push(...JSON.parse(yield* read(id, `data-samples/${asset.value.key}.json`)))
    } else if (asset?.$case === "model") {
      models.push(JSON.parse(yield* downloadAsset(asset.value.address)))
    }
  }
  const inputs: Learning.Inputs = { rows, models }
  return inputs
})

/** Gets the image that the function's owner has built, and runs it here. */
const run = Effect.fnUntraced(function* ({ client, id }: Organization, task: ComputeTask, inputs: Learning.Inputs) {
  const storage = yield* Storage
  const { image, key, name } = yield* client.getFunction({ key: task.functionKey })
  const path = `downloaded-images/${key}.mts`
  yield* storage.save(id, path, yield* downloadAsset(image))
  return yield* Effect.tryPromise({
    try: async () => {
      const module: typeof Learning = await import(pathToFileURL(storage.pathOf(id, path)).href)
      return module[name as FunctionName](inputs)
    },
    catch: (error) => new ExecutionError({ message: String(error) })
  })
})

/** A number is a performance; anything else is a model, which is kept here and registered by its address. */
const saveOutput = Effect.fnUntraced(function* (
  { client, id }: Organization,
  task: ComputeTask,
  output: Learning.Model | number
) {
  const { save } = yield* Storage
  const [identifier = ""] = task.outputs.keys()
  const of = { computeTaskKey: task.key, computeTaskOutputIdentifier: identifier }
  if (typeof output === "number") {
    yield* client.registerPerformance({ ...of, performanceValue: output })
  } else {
    const key = randomUUID()
    const address = yield* save(id, pathOfModel(key), JSON.stringify(output))
    yield* client.registerModels({ models: [{ ...of, key, address }] })
  }
})

/** A task that waits for an executor slot of this organization. */
export const execute = Effect.fnUntraced(
  function* (organization: Organization, task: ComputeTask) {
    const { client } = organization
    const scheduling = yield* Scheduling
    const timed = (step: string) => Reports.timed(client, task.key, step)
    const apply = (action: ComputeTaskAction) => client.applyTaskAction({ computeTaskKey: task.key, action, log: "" })

    yield* apply(ComputeTaskAction.TASK_ACTION_EXECUTING)
    const inputs = yield* prepareInputs(organization, task).pipe(timed("prepare_inputs"))
    const output = yield* run(organization, task, inputs).pipe(timed("task_execution"))
    yield* saveOutput(organization, task, output).pipe(timed("save_outputs"))
    scheduling.sent(task.key)
    yield* apply(ComputeTaskAction.TASK_ACTION_DONE)
    scheduling.answered(task.key)
  },
  (execution, organization, { key }) =>
    Effect.catchTag(execution, ["StorageError", "ExecutionError"], (error) =>
      Reports.failure(organization, {
        assetKey: key,
        assetType: FailedAssetKind.FAILED_ASSET_COMPUTE_TASK,
        errorType: ErrorType.ERROR_TYPE_EXECUTION,
        log: error.message
      })
    )
)

/** Takes the address away from models that no task needs any more. */
export const disable = ({ client }: Organization, { identifier, task }: Output) =>
  client.disableOutput({ computeTaskKey: task, identifier })
