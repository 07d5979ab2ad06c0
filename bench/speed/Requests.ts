/** Requests that are made before a measurement, as base64, for the processes that send them. */
import { type NewComputeTask, RegisterTasksParam } from "../../src/layers/wire/generated/computetask.ts"
import { ApplyFunctionActionParam, type FunctionAction } from "../../src/layers/wire/generated/function.ts"
import * as build from "../../test/blackbox/Builders.ts"
import type { Client } from "../../test/blackbox/Client.ts"
import * as Drive from "../../test/blackbox/Drivers.ts"

const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString("base64")

export const functionAction = (functionKey: string, action: FunctionAction): string =>
  base64(ApplyFunctionActionParam.encode({ functionKey, action }).finish())

export const registerTasks = (tasks: ReadonlyArray<NewComputeTask>): string =>
  base64(RegisterTasksParam.encode({ tasks: [...tasks] }).finish())

/** Where tasks are registered: a function that takes any number of models, a plan, who works. */
export interface Ground {
  readonly client: Client
  readonly fn: Awaited<ReturnType<typeof Drive.aFunction>>
  readonly plan: build.Keyed
}

export const groundOf = async (client: Client, status?: Drive.FunctionOptions["status"]): Promise<Ground> => ({
  client,
  fn: await Drive.aFunction(client, status === undefined ? {} : { status }),
  plan: await Drive.aPlan(client)
})

export const task = ({ client, fn, plan }: Ground, parents: ReadonlyArray<build.Keyed> = []): NewComputeTask =>
  build.newTask(fn, plan, { worker: client.id, inputs: parents.map((parent) => build.from("models", parent)) })

/** Layers of 20 tasks, each of which takes two of the layer before. */
export const layered = (ground: Ground, count: number): ReadonlyArray<NewComputeTask> => {
  const tasks: Array<NewComputeTask> = []
  for (let index = 0; index < count; index++) {
    const above = index - 20
    tasks.push(task(ground, above < 0 ? [] : ([tasks[above], tasks[above - (above % 20)]] as Array<NewComputeTask>)))
  }
  return tasks
}

/** One root, and all others its children. */
export const wide = (ground: Ground, count: number): ReadonlyArray<NewComputeTask> => {
  const root = task(ground)
  return [root, ...Array.from({ length: count - 1 }, () => task(ground, [root]))]
}

/** Rounds of a federated plan: each organization trains on what the first has put together of the round before. */
export const rounds = (
  ground: Ground,
  organizations: ReadonlyArray<string>,
  count: number
): ReadonlyArray<NewComputeTask> => {
  const tasks: Array<NewComputeTask> = []
  for (let round = 0; round < count; round++) {
    const last = tasks.at(-1)
    const trained = organizations.map((worker) => ({ ...task(ground, last === undefined ? [] : [last]), worker }))
    tasks.push(...trained, task(ground, trained))
  }
  return tasks
}

/** Each the child of the next: what sorting has most to do with. */
export const reversedChain = (ground: Ground, count: number): ReadonlyArray<NewComputeTask> => {
  const tasks: Array<NewComputeTask> = []
  for (let index = 0; index < count; index++) {
    const last = tasks.at(-1)
    tasks.push(task(ground, last === undefined ? [] : [last]))
  }
  return tasks.reverse()
}
