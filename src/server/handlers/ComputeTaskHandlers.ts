/** ComputeTaskService. */
import * as Effect from "effect/Effect"
import {
  ComputeTask,
  ComputeTaskServiceDefinition,
  type ComputeTaskInputAsset as InputAssetMessage
} from "../../layers/wire/generated/computetask.ts"
import * as Messages from "../../layers/wire/Messages.ts"
import type { ComputeTaskInputAsset } from "../../schema/ComputeTask.ts"
import { ComputeTasks } from "../../services/ComputeTasks.ts"
import { assetQuery } from "../AssetQuery.ts"
import { read, readOneState, service, write } from "../Rpc.ts"

const noFilter = { worker: "", status: "STATUS_UNKNOWN", computePlanKey: "", functionKey: "" }

const inputAsset = (input: ComputeTaskInputAsset): InputAssetMessage => {
  switch (input.kind) {
    case "ASSET_MODEL":
      return { identifier: input.identifier, asset: { $case: "model", value: Messages.model(input.asset) } }
    case "ASSET_DATA_MANAGER":
      return { identifier: input.identifier, asset: { $case: "dataManager", value: Messages.dataManager(input.asset) } }
    case "ASSET_DATA_SAMPLE":
      return { identifier: input.identifier, asset: { $case: "dataSample", value: Messages.dataSample(input.asset) } }
  }
}

export const computeTaskHandlers = Effect.map(ComputeTasks, (tasks) =>
  service(ComputeTaskServiceDefinition, {
    registerTasks: write((request) =>
      Effect.map(
        tasks.register({
          tasks: request.tasks.map((task) => ({ ...task, inputs: task.inputs.map(Messages.taskInputFields) }))
        }),
        (registered) => ({ tasks: registered.map(Messages.computeTask) })
      )
    ),
    queryTasks: assetQuery("QueryTasks", {
      page: (request, page) => tasks.query(request.filter ?? noFilter, page),
      encode: (task) => ComputeTask.encode(Messages.computeTask(task)).finish()
    }),
    getTask: read((request) => Effect.map(tasks.get(request.key), Messages.computeTask)),
    applyTaskAction: write(({ action, computeTaskKey, log }) =>
      Effect.as(tasks.applyAction(computeTaskKey, action, log), {})
    ),
    getTaskInputAssets: readOneState((request) =>
      Effect.map(tasks.inputAssets(request.computeTaskKey), (assets) => ({ assets: assets.map(inputAsset) }))
    ),
    disableOutput: write(({ computeTaskKey, identifier }) =>
      Effect.as(tasks.disableOutput(computeTaskKey, identifier), {})
    )
  })
)
