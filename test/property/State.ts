/** The state of a channel: as its store gives it, and as its log ends in it. Both in the contract's messages. */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Messages from "../../src/layers/wire/Messages.ts"
import type { AssetCursor, Page, PageRequest, PerformanceCursor } from "../../src/schema/Pagination.ts"
import { ComputePlans } from "../../src/services/ComputePlans.ts"
import { ComputeTasks } from "../../src/services/ComputeTasks.ts"
import { DataManagers } from "../../src/services/DataManagers.ts"
import { DataSamples } from "../../src/services/DataSamples.ts"
import { FailureReports } from "../../src/services/FailureReports.ts"
import { Functions } from "../../src/services/Functions.ts"
import { Models } from "../../src/services/Models.ts"
import { Organizations } from "../../src/services/Organizations.ts"
import { Performances } from "../../src/services/Performances.ts"
import { type Caller, read } from "../concurrency/calls.ts"
import type { Entry } from "../concurrency/Log.ts"

const byKey = (assets: ReadonlyArray<readonly [key: string, asset: unknown]>) => new Map(assets)

const whole = <A, C, E, R>(page: (request: PageRequest<C>) => Effect.Effect<Page<A>, E, R>) =>
  Effect.map(page({ cursor: Option.none<C>(), limit: 10_000 }), ({ items }) => items)

export const finalState = Effect.fnUntraced(function* (as: Caller) {
  const functions = yield* read(
    as,
    Effect.flatMap(Functions, ({ query }) =>
      whole((page: PageRequest<AssetCursor>) => query({ computePlanKey: "" }, page))
    )
  )
  const managers = yield* read(
    as,
    Effect.flatMap(DataManagers, ({ query }) => whole(query))
  )
  const samples = yield* read(
    as,
    Effect.flatMap(DataSamples, ({ query }) => whole((page: PageRequest<AssetCursor>) => query({ keys: [] }, page)))
  )
  const plans = yield* read(
    as,
    Effect.flatMap(ComputePlans, ({ query }) => whole((page: PageRequest<AssetCursor>) => query({ owner: "" }, page)))
  )
  const noFilter = { worker: "", status: "", computePlanKey: "", functionKey: "" }
  const tasks = yield* read(
    as,
    Effect.flatMap(ComputeTasks, ({ query }) => whole((page: PageRequest<AssetCursor>) => query(noFilter, page)))
  )
  const all = { computeTaskKey: "", computeTaskOutputIdentifier: "" }
  const performances = yield* read(
    as,
    Effect.flatMap(Performances, ({ query }) => whole((page: PageRequest<PerformanceCursor>) => query(all, page)))
  )
  const organizations = yield* read(
    as,
    Effect.flatMap(Organizations, (service) => service.all)
  )
  const models = yield* Effect.forEach(tasks, ({ key }) =>
    read(
      as,
      Effect.flatMap(Models, ({ ofTask }) => ofTask(key))
    )
  )
  const reports = yield* Effect.forEach([...tasks, ...functions], ({ key }) =>
    Effect.option(
      read(
        as,
        Effect.flatMap(FailureReports, ({ get }) => get(key))
      )
    )
  )
  return {
    organization: byKey(organizations.map((one) => [one.id, Messages.organization(one)])),
    function: byKey(functions.map((one) => [one.key, Messages.fn(one)])),
    dataManager: byKey(managers.map((one) => [one.key, Messages.dataManager(one)])),
    dataSample: byKey(samples.map((one) => [one.key, Messages.dataSample(one)])),
    computePlan: byKey(plans.map((one) => [one.key, Messages.computePlan(one)])),
    computeTask: byKey(tasks.map((one) => [one.key, Messages.computeTask(one)])),
    model: byKey(models.flat().map((one) => [one.key, Messages.model(one)])),
    performance: byKey(
      performances.map((one) => [`${one.computeTaskKey}|${one.computeTaskOutputIdentifier}`, Messages.performance(one)])
    ),
    failureReport: byKey(reports.flatMap(Option.toArray).map((one) => [one.assetKey, Messages.failureReport(one)]))
  }
})

/** The last that the log says of each asset. */
export const stateOfLog = (log: ReadonlyArray<Entry>) => {
  const state: Record<keyof Effect.Success<ReturnType<typeof finalState>>, Map<string, unknown>> = {
    organization: new Map(),
    function: new Map(),
    dataManager: new Map(),
    dataSample: new Map(),
    computePlan: new Map(),
    computeTask: new Map(),
    model: new Map(),
    performance: new Map(),
    failureReport: new Map()
  }
  for (const { asset, event } of log) {
    if (asset.$case !== "computeTaskOutputAsset" && asset.$case !== "profilingStep") {
      state[asset.$case].set(event.assetKey, asset.value)
    }
  }
  return state
}
