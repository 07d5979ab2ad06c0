/** Calls of every rpc that goes to the database, on a channel that has been filled. */
import { type NewComputeTask, TaskQueryFilter } from "../../src/layers/wire/generated/computetask.ts"
import { EventQueryFilter } from "../../src/layers/wire/generated/event.ts"
import * as Build from "../../test/blackbox/Builders.ts"
import { type Client, message } from "../../test/blackbox/Client.ts"
import * as Drive from "../../test/blackbox/Drivers.ts"

const pageSize = 20

export interface Some {
  readonly plan: string
  readonly task: string
  readonly event: string
}

/** `some`: assets of the filled channel. */
export const everyCall = async (one: Client, some: Some): Promise<void> => {
  // Reads.
  const plan = await one.getPlan({ key: some.plan })
  const task = await one.getTask({ key: some.task })
  await one.isPlanRunning({ key: plan.key })
  await one.getFunction({ key: task.functionKey })
  const { models } = await one.getComputeTaskOutputModels({ computeTaskKey: task.key })
  await one.getModel({ key: models[0]?.key as string })
  await one.getAllOrganizations({})
  for (const wanted of [
    {},
    { status: "STATUS_EXECUTING" as const },
    { status: "STATUS_FAILED" as const },
    { status: "STATUS_DONE" as const },
    { worker: task.worker },
    { computePlanKey: plan.key },
    { functionKey: task.functionKey },
    { functionKey: task.functionKey, status: "STATUS_EXECUTING" as const }
  ]) {
    const filter = message(TaskQueryFilter, wanted)
    const first = await one.queryTasks({ filter, pageSize })
    if (first.nextPageToken !== "") await one.queryTasks({ filter, pageSize, pageToken: first.nextPageToken })
  }
  await one.queryPlans({ pageSize })
  await one.queryPlans({ pageSize, filter: { owner: one.id } })
  await one.queryFunctions({ pageSize })
  await one.queryFunctions({ pageSize, filter: { computePlanKey: plan.key } })
  await one.queryPerformances({ pageSize })
  await one.queryPerformances({ pageSize, filter: { computeTaskKey: task.key, computeTaskOutputIdentifier: "" } })
  const { dataManagers } = await one.queryDataManagers({ pageSize })
  await one.getDataManager({ key: dataManagers[0]?.key as string })
  const { dataSamples } = await one.queryDataSamples({ pageSize })
  await one.queryDataSamples({ pageSize, filter: { keys: [dataSamples[0]?.key as string] } })
  await one.getDataSample({ key: dataSamples[0]?.key as string })
  for (const wanted of [
    {},
    { assetKey: task.key },
    { assetKind: "ASSET_COMPUTE_PLAN" as const },
    { eventKind: "EVENT_ASSET_DISABLED" as const },
    { metadata: new Map([["reason", "User action"]]) }
  ]) {
    for (const sort of ["ASCENDING", "DESCENDING"] as const) {
      const filter = message(EventQueryFilter, wanted)
      const first = await one.queryEvents({ filter, sort, pageSize })
      if (first.nextPageToken !== "") await one.queryEvents({ filter, sort, pageSize, pageToken: first.nextPageToken })
    }
  }
  await using feed = one.subscribeToEvents({ startEventId: some.event })
  await feed.take(pageSize)

  // Writes.
  const manager = await Drive.aManager(one)
  const samples = await Drive.samplesOf(one, [manager], 3)
  await one.updateDataManager({ key: manager.key, name: "renamed" })
  const other = await Drive.aManager(one)
  await one.updateDataSamples({ keys: samples.map(({ key }) => key), dataManagerKeys: [other.key] })
  const fn = await one.registerFunction(
    Build.newFunction({ inputs: { models: Build.many(Build.optional(Build.model)) }, outputs: { out: Build.model } })
  )
  await one.updateFunction({ key: fn.key, name: "renamed" })
  const own = await Drive.aPlan(one)
  await one.updatePlan({ key: own.key, name: "renamed" })
  const parent = Build.newTask(fn, own, { worker: one.id })
  const children = Array.from({ length: 5 }, () =>
    Build.newTask(fn, own, { worker: one.id, inputs: [Build.from("models", parent), Build.from("models", task)] })
  )
  await Drive.register(one, parent, ...children)
  await Drive.build(one, fn)
  await Drive.act(one, parent, "EXECUTING")
  await Drive.aModel(one, parent)
  await one.registerProfilingStep({ assetKey: parent.key, step: "step", duration: 1 })
  await Drive.act(one, parent, "DONE")
  const scored = await Drive.aTaskIn(one, "STATUS_EXECUTING", { outputs: { score: Build.performance } })
  await one.registerPerformance(Build.newPerformance(scored, 0.5, "score"))
  const failing = children[0] as NewComputeTask
  await Drive.act(one, failing, "EXECUTING")
  await one.getTaskInputAssets({ computeTaskKey: failing.key })
  await one.registerFailureReport(Build.newFailureReport(failing))
  await one.getFailureReport({ assetKey: failing.key })
  const failed = await one.registerFunction(Build.newFunction({ outputs: { out: Build.model } }))
  const canceled = await Drive.aPlan(one)
  await Drive.register(one, Build.newTask(failed, canceled, { worker: one.id }))
  await one.applyPlanAction({ key: canceled.key, action: "PLAN_ACTION_CANCELED" })
  const last = await Drive.aPlan(one)
  await Drive.register(one, Build.newTask(failed, last, { worker: one.id }))
  await Drive.build(one, failed, "FUNCTION_STATUS_FAILED")
}
