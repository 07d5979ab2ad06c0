/** Registered assets, and the calls that bring them where a test needs them. The client that registers is the owner. */
import type { ComputePlan } from "../../src/layers/wire/generated/computeplan.ts"
import type { ComputeTask, NewComputeTask } from "../../src/layers/wire/generated/computetask.ts"
import type { DataManager } from "../../src/layers/wire/generated/datamanager.ts"
import type { DataSample } from "../../src/layers/wire/generated/datasample.ts"
import type { FunctionAction, FunctionMessage } from "../../src/layers/wire/generated/function.ts"
import type { Model } from "../../src/layers/wire/generated/model.ts"
import type { FunctionStatus } from "../../src/schema/FunctionStatus.ts"
import type { TaskStatus } from "../../src/schema/TaskStatus.ts"
import * as Build from "./Builders.ts"
import type { Client } from "./Client.ts"

const buildSteps: Readonly<Record<FunctionStatus, ReadonlyArray<FunctionAction>>> = {
  FUNCTION_STATUS_WAITING: [],
  FUNCTION_STATUS_BUILDING: ["FUNCTION_ACTION_BUILDING"],
  FUNCTION_STATUS_READY: ["FUNCTION_ACTION_BUILDING", "FUNCTION_ACTION_READY"],
  FUNCTION_STATUS_CANCELED: ["FUNCTION_ACTION_CANCELED"],
  FUNCTION_STATUS_FAILED: ["FUNCTION_ACTION_BUILDING", "FUNCTION_ACTION_FAILED"]
}

/** Brings a function that waits to this status. */
export const build = async (owner: Client, fn: Build.Keyed, status: FunctionStatus = "FUNCTION_STATUS_READY") => {
  for (const action of buildSteps[status]) await owner.applyFunctionAction({ functionKey: Build.keyOf(fn), action })
}

export interface FunctionOptions extends Build.FunctionFields {
  readonly status?: FunctionStatus
}
/** A function, READY unless said otherwise. */
export const aFunction = async (
  owner: Client,
  { status, ...fields }: FunctionOptions = {}
): Promise<FunctionMessage> => {
  const fn = await owner.registerFunction(Build.newFunction(fields))
  await build(owner, fn, status)
  return fn
}

export const aPlan = (owner: Client): Promise<ComputePlan> => owner.registerPlan(Build.newPlan())

export const aManager = (
  owner: Client,
  fields: Parameters<typeof Build.newDataManager>[0] = {}
): Promise<DataManager> => owner.registerDataManager(Build.newDataManager(fields))

export const samplesOf = async (
  owner: Client,
  managers: ReadonlyArray<Build.Keyed>,
  count: number
): Promise<Array<DataSample>> => {
  const samples = Array.from({ length: count }, () => Build.newDataSample(managers))
  return (await owner.registerDataSamples({ samples })).dataSamples
}

export const aSample = async (owner: Client, ...managers: ReadonlyArray<Build.Keyed>): Promise<DataSample> =>
  (await samplesOf(owner, managers, 1))[0] as DataSample

/** As many tasks as were asked for, in the order of the answer. */
export const register = async <Tasks extends Array<NewComputeTask>>(
  owner: Client,
  ...tasks: Tasks
): Promise<{ -readonly [Index in keyof Tasks]: ComputeTask }> =>
  (await owner.registerTasks({ tasks })).tasks as { -readonly [Index in keyof Tasks]: ComputeTask }

export interface TaskOptions extends Build.TaskFields {
  /** A READY one that gives one model, if left out. */
  readonly fn?: FunctionMessage
  readonly plan?: Build.Keyed
}
/** A task, run by its owner unless said otherwise. */
export const aTask = async (owner: Client, { fn, plan, ...fields }: TaskOptions = {}): Promise<ComputeTask> => {
  const of = fn ?? (await aFunction(owner))
  const [task] = await register(owner, Build.newTask(of, plan ?? (await aPlan(owner)), { worker: owner.id, ...fields }))
  return task
}

export type Action = "EXECUTING" | "DONE" | "FAILED" | "CANCELED"

/** `act(worker, task, "EXECUTING", "DONE")`: one action after the other. */
export const act = async (actor: Client, task: Build.Keyed, ...actions: ReadonlyArray<Action>): Promise<void> => {
  for (const action of actions) {
    await actor.applyTaskAction({ computeTaskKey: Build.keyOf(task), action: `TASK_ACTION_${action}` })
  }
}

export const statusOf = async (reader: Client, task: Build.Keyed): Promise<TaskStatus> =>
  (await reader.getTask({ key: Build.keyOf(task) })).status as TaskStatus

/** How a task without parents, of a function in some status, gets to a status. */
const ways: Readonly<Record<TaskStatus, readonly [fn: FunctionStatus, actions: ReadonlyArray<Action>]>> = {
  STATUS_WAITING_FOR_BUILDER_SLOT: ["FUNCTION_STATUS_WAITING", []],
  STATUS_BUILDING: ["FUNCTION_STATUS_BUILDING", []],
  STATUS_WAITING_FOR_PARENT_TASKS: ["FUNCTION_STATUS_READY", []],
  STATUS_WAITING_FOR_EXECUTOR_SLOT: ["FUNCTION_STATUS_READY", []],
  STATUS_EXECUTING: ["FUNCTION_STATUS_READY", ["EXECUTING"]],
  STATUS_DONE: ["FUNCTION_STATUS_READY", ["EXECUTING", "DONE"]],
  STATUS_CANCELED: ["FUNCTION_STATUS_READY", ["CANCELED"]],
  STATUS_FAILED: ["FUNCTION_STATUS_READY", ["FAILED"]]
}

export interface StatusOptions extends Pick<Build.TaskFields, "models"> {
  /** The owner, if left out. */
  readonly worker?: Client
  readonly plan?: Build.Keyed
  /** Of the function; one model if left out. */
  readonly outputs?: NonNullable<Build.FunctionFields["outputs"]>
}
/** A fresh task in this status, of a function of its own. */
export const aTaskIn = async (
  owner: Client,
  status: TaskStatus,
  { outputs = { out: Build.model }, plan, worker = owner, ...fields }: StatusOptions = {}
): Promise<ComputeTask> => {
  const [built, actions] = ways[status]
  const fn = await aFunction(owner, { outputs, status: built })
  const of = plan ?? (await aPlan(owner))
  const inputs =
    status === "STATUS_WAITING_FOR_PARENT_TASKS" ? [Build.from("models", await aTask(owner, { plan: of }))] : []
  const task = await aTask(owner, { fn, plan: of, inputs, worker: worker.id, ...fields })
  await act(worker, task, ...actions)
  const reached = await owner.getTask({ key: task.key })
  if (reached.status !== status) throw new Error(`the task is in ${reached.status}`)
  return reached
}

/** A model of this task, which executes. */
export const aModel = async (worker: Client, task: Build.Keyed, identifier = "out"): Promise<Model> => {
  const { models } = await worker.registerModels({ models: [Build.newModel(task, identifier)] })
  return models[0] as Model
}
