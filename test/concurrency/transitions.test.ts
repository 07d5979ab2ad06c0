/**
 * Calls that want to change the same task, function or plan at once: one after the other, as if nothing had been at
 * once. What the second one finds decides over it, and neither loses what the other wrote.
 */
import { expect, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { ComputePlans } from "../../src/services/ComputePlans.ts"
import { ComputeTasks } from "../../src/services/ComputeTasks.ts"
import { DataSamples } from "../../src/services/DataSamples.ts"
import { Functions } from "../../src/services/Functions.ts"
import * as build from "../blackbox/Builders.ts"
import * as calls from "./calls.ts"
import { type Entry, statusesOf } from "./Log.ts"
import { play } from "./rounds.ts"
import { Postgres, services } from "./support.ts"

const rounds = 60

const incompatible = (transition: string, status: string) =>
  `IncompatibleStatus: event ${transition} inappropriate in current state ${status}`

/** One of two orders, each with the outcomes that it leads to. */
const expectOneOf = (outcomes: ReadonlyArray<string>, ...ways: ReadonlyArray<ReadonlyArray<string>>) =>
  expect(ways.map((way) => way.join("\n"))).toContain(outcomes.join("\n"))

/** Whether each event about a plan says that the plan has failed. */
const failuresOf = (log: ReadonlyArray<Entry>, key: string): ReadonlyArray<boolean> =>
  log.flatMap(({ asset }) =>
    asset.$case === "computePlan" && asset.value.key === key ? [asset.value.failureDate !== undefined] : []
  )

const executing = Effect.fnUntraced(function* (
  { as, task }: Effect.Success<typeof calls.openChannel>,
  of?: Parameters<typeof task>[1]
) {
  const one = task([], of)
  yield* calls.registerTasks(as, one)
  yield* calls.moveTask(as, one, "EXECUTING")
  return one
})

const cancelPlan = (as: calls.Caller, key: string) =>
  calls.write(
    as,
    Effect.flatMap(ComputePlans, (plans) => plans.applyAction(key, "PLAN_ACTION_CANCELED"))
  )

layer(services(), { excludeTestServices: true })("at once", (it) => {
  it.effect("a task is either DONE or FAILED", () =>
    Effect.gen(function* () {
      const channel = yield* calls.openChannel
      const { as } = channel
      const { log, results } = yield* play(as.channel, rounds, () =>
        Effect.gen(function* () {
          const task = yield* executing(channel)
          const outcomes = yield* calls.atOnce(calls.moveTask(as, task, "DONE"), calls.moveTask(as, task, "FAILED"))
          expectOneOf(
            outcomes,
            ["ok", incompatible("transitionFailed", "STATUS_DONE")],
            [incompatible("transitionDone", "STATUS_FAILED"), "ok"]
          )
          return [task.key, outcomes[0] === "ok" ? "STATUS_DONE" : "STATUS_FAILED"] as const
        })
      )
      for (const [key, status] of results) expect(statusesOf(log, key).at(-1)).toBe(status)
    })
  )

  it.effect("a task is taken by one of those that would execute it", () =>
    Effect.gen(function* () {
      const { as, task } = yield* calls.openChannel
      yield* play(as.channel, rounds, () =>
        Effect.gen(function* () {
          const one = task()
          yield* calls.registerTasks(as, one)
          const outcomes = yield* calls.atOnce(...Array.from({ length: 4 }, () => calls.moveTask(as, one, "EXECUTING")))
          const refusal = incompatible("transitionExecuting", "STATUS_EXECUTING")
          expect(outcomes.toSorted()).toEqual([refusal, refusal, refusal, "ok"])
        })
      )
    })
  )

  it.effect("a task's inputs are shown as of one state, whatever happens to task and inputs meanwhile", () =>
    Effect.gen(function* () {
      const channel = yield* calls.openChannel
      const { as, task } = channel
      const parent = yield* executing(channel)
      const model = build.newModel(parent)
      yield* calls.registerModels(as, model)
      yield* calls.moveTask(as, parent, "DONE")
      const child = task([parent])
      child.inputs.push(build.asset("models", model))
      yield* calls.registerTasks(as, child)
      yield* calls.moveTask(as, child, "EXECUTING")
      const inputs = calls.snapshot(
        as,
        Effect.flatMap(ComputeTasks, (tasks) => tasks.inputAssets(child.key))
      )
      const { blocked, connect } = yield* Postgres
      const other = yield* connect
      yield* other.query("BEGIN")
      yield* other.query("LOCK TABLE models")
      const reading = yield* Effect.forkChild(inputs)
      yield* blocked(1)
      yield* other.query("UPDATE compute_tasks SET status = 'STATUS_DONE' WHERE key = $1", [child.key])
      yield* other.query("UPDATE models SET address = NULL WHERE key = $1", [model.key])
      yield* other.query("COMMIT")
      const shown = (yield* Fiber.join(reading)).map(({ asset }) => asset)
      const asRegistered = expect.objectContaining({ key: model.key, address: model.address })
      expect(shown).toEqual([asRegistered, asRegistered])
      expect(yield* calls.outcome(inputs)).toContain("STATUS_DONE")
    })
  )

  it.effect("a task that is DONE, or has FAILED, takes no model any more", () =>
    Effect.gen(function* () {
      const channel = yield* calls.openChannel
      const { as } = channel
      yield* play(as.channel, rounds, (index) =>
        Effect.gen(function* () {
          const task = yield* executing(channel)
          const end = index % 2 === 0 ? "DONE" : "FAILED"
          const outcomes = yield* calls.atOnce(
            calls.moveTask(as, task, end),
            calls.registerModels(as, build.newModel(task))
          )
          const refusal = `BadRequest: cannot register model for task with status "STATUS_${end}"`
          expectOneOf(outcomes, ["ok", "ok"], ["ok", refusal])
        })
      )
    })
  )

  it.effect("a function that is built does not hear of a cancelation, and the other way round", () =>
    Effect.gen(function* () {
      const { as, task } = yield* calls.openChannel
      const { log, results } = yield* play(as.channel, rounds, () =>
        Effect.gen(function* () {
          const fn = yield* calls.functionIn(as, ["BUILDING"])
          const one = task([], { fn })
          yield* calls.registerTasks(as, one)
          const outcomes = yield* calls.atOnce(
            calls.moveFunction(as, fn, "READY"),
            calls.moveFunction(as, fn, "CANCELED")
          )
          expectOneOf(
            outcomes,
            ["ok", incompatible("transitionCanceled", "FUNCTION_STATUS_READY")],
            [incompatible("transitionReady", "FUNCTION_STATUS_CANCELED"), "ok"]
          )
          return [one.key, outcomes[0] === "ok" ? "STATUS_WAITING_FOR_EXECUTOR_SLOT" : "STATUS_CANCELED"] as const
        })
      )
      for (const [key, status] of results) expect(statusesOf(log, key)).toEqual(["STATUS_BUILDING", status])
    })
  )

  it.effect("plans of which tasks fail, with their function and by themselves, fail once each", () =>
    Effect.gen(function* () {
      const channel = yield* calls.openChannel
      const { as, task } = channel
      const { log, results } = yield* play(as.channel, 40, () =>
        Effect.gen(function* () {
          const plans = Array.from({ length: 4 }, () => build.newPlan())
          for (const plan of plans) yield* calls.registerPlan(as, plan)
          const fn = yield* calls.functionIn(as, ["BUILDING"])
          const built = plans.map((plan) => task([], { fn, plan }))
          yield* calls.registerTasks(as, ...calls.shuffled(built))
          const running = yield* Effect.forEach(plans, (plan) => executing(channel, { plan }))
          const outcomes = yield* calls.atOnce(
            calls.reportFunction(as, fn),
            ...running.map((one) => calls.moveTask(as, one, "FAILED")),
            ...built.map((one) => calls.moveTask(as, one, "FAILED"))
          )
          expect(outcomes.slice(0, 5)).toEqual(["ok", "ok", "ok", "ok", "ok"])
          for (const outcome of outcomes.slice(5)) {
            expect(["ok", incompatible("transitionFailed", "STATUS_FAILED")]).toContain(outcome)
          }
          return { plans, tasks: [...built, ...running] }
        })
      )
      for (const { plans, tasks } of results) {
        for (const { key } of plans) expect(failuresOf(log, key)).toEqual([false, true])
        for (const { key } of tasks) expect(statusesOf(log, key).at(-1)).toBe("STATUS_FAILED")
      }
    })
  )

  it.effect("functions that share their plans fail at once without waiting for one another", () =>
    Effect.gen(function* () {
      const { as, task } = yield* calls.openChannel
      const { blocked, connect } = yield* Postgres
      const holder = yield* connect
      const { log, results } = yield* play(as.channel, 10, () =>
        Effect.gen(function* () {
          const plans = build.newKeys(8).map((key) => build.newPlan({ key }))
          for (const plan of plans) yield* calls.registerPlan(as, plan)
          const fns = [yield* calls.functionIn(as, ["BUILDING"]), yield* calls.functionIn(as, ["BUILDING"])]
          for (const fn of fns) {
            yield* calls.registerTasks(as, ...calls.shuffled(plans).map((plan) => task([], { fn, plan })))
          }
          // Both are held up half way, so that each has some of the plans when they go on.
          yield* holder.query("BEGIN")
          yield* holder.query("SELECT FROM compute_plans WHERE key = $1 FOR UPDATE", [plans[4]?.key])
          const failing = yield* Effect.forkChild(
            calls.atOnce(...fns.map((fn) => calls.moveFunction(as, fn, "FAILED")))
          )
          yield* blocked(2)
          yield* holder.query("COMMIT")
          expect(yield* Fiber.join(failing)).toEqual(["ok", "ok"])
          return plans
        })
      )
      for (const { key } of results.flat()) expect(failuresOf(log, key)).toEqual([false, true])
    })
  )

  it.effect("a plan is either cancelled or failed first", () =>
    Effect.gen(function* () {
      const channel = yield* calls.openChannel
      const { as } = channel
      const { log, results } = yield* play(as.channel, rounds, () =>
        Effect.gen(function* () {
          const plan = build.newPlan()
          yield* calls.registerPlan(as, plan)
          const task = yield* executing(channel, { plan })
          const outcomes = yield* calls.atOnce(cancelPlan(as, plan.key), calls.moveTask(as, task, "FAILED"))
          const refusal = `TerminatedComputePlan: compute plan ${plan.key} is already terminated`
          expectOneOf(outcomes, ["ok", "ok"], [refusal, "ok"])
          return [plan.key, outcomes[0] !== "ok"] as const
        })
      )
      for (const [key, hasFailed] of results) expect(failuresOf(log, key)).toEqual([false, hasFailed])
    })
  )

  it.effect("an output is disabled, or it gets a child that needs it", () =>
    Effect.gen(function* () {
      const channel = yield* calls.openChannel
      const { as, fn, plan, task } = channel
      yield* play(as.channel, rounds, () =>
        Effect.gen(function* () {
          const parent = build.newTask(fn, plan, { worker: as.requester, models: build.output(build.everybody, true) })
          const child = task([parent])
          const model = build.newModel(parent)
          yield* calls.registerTasks(as, parent, child)
          yield* calls.moveTask(as, parent, "EXECUTING")
          yield* calls.registerModels(as, model)
          yield* calls.moveTask(as, parent, "DONE")
          yield* calls.moveTask(as, child, "CANCELED")
          const disable = calls.write(
            as,
            Effect.flatMap(ComputeTasks, (tasks) => tasks.disableOutput(parent.key, "out"))
          )
          const outcomes = yield* calls.atOnce(disable, calls.registerTasks(as, task([parent])))
          expectOneOf(
            outcomes,
            ["ok", `InvalidAsset: Model "${model.key}" has been disabled`],
            [`CannotDisableOutput: a child of task "${parent.key}" is not in a final status`, "ok"]
          )
        })
      )
    })
  )

  it.effect("what is renamed while its state changes has the new name and the new state", () =>
    Effect.gen(function* () {
      const channel = yield* calls.openChannel
      const { as } = channel
      yield* play(as.channel, rounds, () =>
        Effect.gen(function* () {
          const plan = build.newPlan()
          yield* calls.registerPlan(as, plan)
          const fn = yield* calls.functionIn(as, [])
          const task = yield* executing(channel, { plan })
          const functions = yield* Functions
          const plans = yield* ComputePlans
          const outcomes = yield* calls.atOnce(
            calls.write(as, functions.update({ key: fn.key, name: "renamed", image: undefined })),
            calls.moveFunction(as, fn, "BUILDING"),
            calls.write(as, plans.update({ key: plan.key, name: "renamed" })),
            calls.moveTask(as, task, "FAILED")
          )
          expect(outcomes).toEqual(["ok", "ok", "ok", "ok"])
          expect(yield* calls.read(as, functions.get(fn.key))).toMatchObject({
            name: "renamed",
            status: "FUNCTION_STATUS_BUILDING"
          })
          const failed = yield* calls.read(as, plans.get(plan.key))
          expect(failed.name).toBe("renamed")
          expect(failed.failureDate).toBeDefined()
        })
      )
    })
  )

  it.effect("samples get the managers of all updates", () =>
    Effect.gen(function* () {
      const { as } = yield* calls.openChannel
      const samples = yield* DataSamples
      const managers = Array.from({ length: 4 }, () => build.newDataManager())
      for (const manager of managers) yield* calls.registerManager(as, manager)
      const managerKeys = managers.map(({ key }) => key)
      yield* play(as.channel, 40, () =>
        Effect.gen(function* () {
          const keys = build.newKeys(5)
          yield* calls.registerSamples(
            as,
            keys.map((key) => build.newDataSample([], key))
          )
          const outcomes = yield* calls.atOnce(
            ...managerKeys.map((key) =>
              calls.write(as, samples.update({ keys: calls.shuffled(keys), dataManagerKeys: [key] }))
            )
          )
          expect(outcomes).toEqual(["ok", "ok", "ok", "ok"])
          for (const key of keys) {
            const { dataManagerKeys } = yield* calls.read(as, samples.get(key))
            expect(dataManagerKeys.toSorted()).toEqual(managerKeys.toSorted())
          }
        })
      )
    })
  )
})
