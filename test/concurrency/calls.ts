/** Calls of the services as clients make them, each in a transaction of its own, and what becomes of them. */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type { NewComputePlan } from "../../src/layers/wire/generated/computeplan.ts"
import type { NewComputeTask } from "../../src/layers/wire/generated/computetask.ts"
import type { NewDataManager } from "../../src/layers/wire/generated/datamanager.ts"
import type { NewDataSample } from "../../src/layers/wire/generated/datasample.ts"
import type { NewFunction } from "../../src/layers/wire/generated/function.ts"
import type { NewModel } from "../../src/layers/wire/generated/model.ts"
import { taskInputFields } from "../../src/layers/wire/Messages.ts"
import type { FailedAssetKind } from "../../src/schema/FailureReport.ts"
import type { ChannelName, OrganizationId } from "../../src/schema/Key.ts"
import { ComputePlans } from "../../src/services/ComputePlans.ts"
import { ComputeTasks } from "../../src/services/ComputeTasks.ts"
import { DataManagers } from "../../src/services/DataManagers.ts"
import { DataSamples } from "../../src/services/DataSamples.ts"
import { FailureReports } from "../../src/services/FailureReports.ts"
import { Functions } from "../../src/services/Functions.ts"
import { Models } from "../../src/services/Models.ts"
import { Organizations } from "../../src/services/Organizations.ts"
import { Performances } from "../../src/services/Performances.ts"
import { Profiling } from "../../src/services/Profiling.ts"
import { RequestContext } from "../../src/services/RequestContext.ts"
import { Transaction } from "../../src/services/Transaction.ts"
import * as build from "../blackbox/Builders.ts"

/** Who calls, and in which channel. */
export interface Caller {
  readonly requester: OrganizationId
  readonly channel: ChannelName
}

export const caller = (requester: string, channel: string): Caller => ({
  requester: requester as OrganizationId,
  channel: channel as ChannelName
})

/** Makes a service's effect this caller's. */
export const by = <A, E, R>(as: Caller, body: Effect.Effect<A, E, R>) => Effect.provideService(body, RequestContext, as)

/** A call that changes something, with what happens when its answer is made, before the commit. */
export const writeThen = <A, E, R, B, E2>(
  as: Caller,
  body: Effect.Effect<A, E, R>,
  finish: (value: A) => Effect.Effect<B, E2>
) =>
  by(
    as,
    Effect.flatMap(Transaction, (transaction) => transaction.write(body, finish))
  )

/** A call that changes something. */
export const write = <A, E, R>(as: Caller, body: Effect.Effect<A, E, R>) => writeThen(as, body, Effect.succeed)

/** A call that only reads. */
export const read = <A, E, R>(as: Caller, body: Effect.Effect<A, E, R>) =>
  by(
    as,
    Effect.flatMap(Transaction, (transaction) => transaction.read(body))
  )

/** A call that only reads, and sees one state. */
export const snapshot = <A, E, R>(as: Caller, body: Effect.Effect<A, E, R>) =>
  by(
    as,
    Effect.flatMap(Transaction, (transaction) => transaction.snapshot(body))
  )

export const registerOrganization = (as: Caller, address = "") =>
  write(
    as,
    Effect.flatMap(Organizations, (service) => service.register({ address }))
  )
export const registerFunction = (as: Caller, message: NewFunction) =>
  write(
    as,
    Effect.flatMap(Functions, (service) => service.register(message))
  )
export const registerManager = (as: Caller, message: NewDataManager) =>
  write(
    as,
    Effect.flatMap(DataManagers, (service) => service.register(message))
  )
export const registerSamples = (as: Caller, messages: ReadonlyArray<NewDataSample>) =>
  write(
    as,
    Effect.flatMap(DataSamples, (service) => service.register(messages))
  )
export const registerPlan = (as: Caller, message: NewComputePlan) =>
  write(
    as,
    Effect.flatMap(ComputePlans, (service) => service.register(message))
  )
export const registerTasksThen = <B, E>(
  as: Caller,
  messages: ReadonlyArray<NewComputeTask>,
  finish: () => Effect.Effect<B, E>
) => {
  const tasks = messages.map((message) => ({ ...message, inputs: message.inputs.map(taskInputFields) }))
  return writeThen(
    as,
    Effect.flatMap(ComputeTasks, (service) => service.register({ tasks })),
    finish
  )
}
export const registerTasks = (as: Caller, ...messages: ReadonlyArray<NewComputeTask>) =>
  registerTasksThen(as, messages, () => Effect.void)
export const registerModels = (as: Caller, ...messages: ReadonlyArray<NewModel>) =>
  write(
    as,
    Effect.flatMap(Models, (service) => service.register(messages))
  )
export const registerPerformance = (as: Caller, task: build.Keyed, identifier: string) =>
  write(
    as,
    Effect.flatMap(Performances, (service) =>
      service.register({
        computeTaskKey: build.keyOf(task),
        computeTaskOutputIdentifier: identifier,
        performanceValue: 0.5
      })
    )
  )

export const registerStep = (as: Caller, assetKey: string, step: string) =>
  write(
    as,
    Effect.flatMap(Profiling, (service) => service.register({ assetKey, step, duration: 1 }))
  )

const report = (as: Caller, assetKey: string, assetType: FailedAssetKind) =>
  write(
    as,
    Effect.flatMap(FailureReports, (service) =>
      service.register({ assetKey, assetType, errorType: "ERROR_TYPE_INTERNAL", logsAddress: undefined })
    )
  )
export const reportTask = (as: Caller, task: build.Keyed) => report(as, build.keyOf(task), "FAILED_ASSET_COMPUTE_TASK")
export const reportFunction = (as: Caller, fn: build.Keyed) => report(as, build.keyOf(fn), "FAILED_ASSET_FUNCTION")

export type FunctionMove = "BUILDING" | "READY" | "CANCELED" | "FAILED"
export type TaskMove = "EXECUTING" | "DONE" | "FAILED" | "CANCELED"

export const moveFunction = (as: Caller, fn: build.Keyed, action: FunctionMove) =>
  write(
    as,
    Effect.flatMap(Functions, (service) => service.applyAction(build.keyOf(fn), `FUNCTION_ACTION_${action}`))
  )
export const moveTask = (as: Caller, task: build.Keyed, action: TaskMove) =>
  write(
    as,
    Effect.flatMap(ComputeTasks, (service) => service.applyAction(build.keyOf(task), `TASK_ACTION_${action}`, ""))
  )

/** A function in this status. */
export const functionIn = Effect.fnUntraced(function* (
  as: Caller,
  moves: ReadonlyArray<FunctionMove>,
  fields?: build.FunctionFields
) {
  const fn = build.newFunction(fields)
  yield* registerFunction(as, fn)
  for (const move of moves) yield* moveFunction(as, fn, move)
  return fn
})

/** A fresh channel with one organization, its plan, and a function of its that is ready to run. */
export const openChannel = Effect.gen(function* () {
  const as = caller("OrgA", `channel-${build.newKey()}`)
  yield* registerOrganization(as)
  const plan = build.newPlan()
  yield* registerPlan(as, plan)
  const fn = yield* functionIn(as, ["BUILDING", "READY"])
  /** A task of this channel, of this function and plan unless said otherwise, that takes a model of each parent. */
  const task = (
    parents: ReadonlyArray<build.Keyed> = [],
    of: { readonly fn?: typeof fn; readonly plan?: build.Keyed; readonly key?: string } = {}
  ): NewComputeTask =>
    build.newTask(of.fn ?? fn, of.plan ?? plan, {
      worker: as.requester,
      inputs: parents.map((parent) => build.from("models", parent)),
      ...(of.key === undefined ? {} : { key: of.key })
    })
  return { as, plan, fn, task }
})

/** `ok`, or the tag and the text of the error. A defect or an interruption is none of a call's outcomes: it dies. */
export const outcome = <A, E, R>(call: Effect.Effect<A, E, R>): Effect.Effect<string, never, R> =>
  Effect.flatMap(Effect.exit(call), (exit) => {
    if (Exit.isSuccess(exit)) return Effect.succeed("ok")
    const error = exit.cause.reasons.length === 1 ? exit.cause.reasons[0] : undefined
    if (error?._tag !== "Fail") return Effect.die(new Error(Cause.pretty(exit.cause)))
    const { _tag, message } = error.error as { readonly _tag: string; readonly message: string }
    return Effect.succeed(`${_tag}: ${message}`)
  })

/** A little while, another one each time, so that calls meet in all of their steps. */
const someWhile = Effect.suspend(() => Effect.repeat(Effect.yieldNow, { times: Math.floor(Math.random() * 8) }))

/** What becomes of calls that all start at once, give or take a little. */
export const atOnce = <C extends ReadonlyArray<Effect.Effect<unknown, unknown, unknown>>>(
  ...calls: C
): Effect.Effect<ReadonlyArray<string>, never, Effect.Services<C[number]>> =>
  Effect.all(
    calls.map((call) => Effect.andThen(someWhile, outcome(call as Effect.Effect<unknown, unknown, never>))),
    { concurrency: "unbounded" }
  )

export const shuffled = <A>(items: ReadonlyArray<A>): ReadonlyArray<A> =>
  items
    .map((item) => [Math.random(), item] as const)
    .sort(([a], [b]) => a - b)
    .map(([, item]) => item)
