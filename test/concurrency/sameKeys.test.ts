/**
 * What can be there once only, registered by many calls at once: one call wins, every other one learns that it exists,
 * and nothing else happens. Batches that share keys do not wait for one another, whatever their order.
 */
import { expect, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as build from "../blackbox/Builders.ts"
import * as calls from "./calls.ts"
import { play } from "./rounds.ts"
import { services } from "./support.ts"

const callers = 16
const rounds = 8

const times = <A>(make: (index: number) => A): ReadonlyArray<A> => Array.from({ length: callers }, (_, i) => make(i))

/** One of the outcomes is `ok`, all others say this. */
const expectOneWinner = (outcomes: ReadonlyArray<string>, refusal: string) =>
  expect(outcomes.toSorted()).toEqual([...times(() => refusal).slice(1, outcomes.length), "ok"].toSorted())

const exists = (asset: string, key: string) => `Conflict: ${asset} with key "${key}" already exists`

/** What a channel needs for tasks that register models and performances: `out` takes one model, `score` one number. */
const openExecuting = Effect.fnUntraced(function* (count: number) {
  const channel = yield* calls.openChannel
  const fn = yield* calls.functionIn(channel.as, ["BUILDING", "READY"], {
    outputs: { out: build.model, many: build.many(build.model), score: build.performance }
  })
  const tasks = Array.from({ length: count }, () => channel.task([], { fn }))
  yield* calls.registerTasks(channel.as, ...tasks)
  for (const task of tasks) yield* calls.moveTask(channel.as, task, "EXECUTING")
  return { ...channel, tasks: tasks as ReadonlyArray<build.Keyed> }
})

layer(services(), { excludeTestServices: true })("at once", (it) => {
  it.effect("an organization registers once in each channel", () =>
    Effect.gen(function* () {
      for (let round = 0; round < rounds; round++) {
        const channels = [build.newKey(), build.newKey()].map((name) => calls.caller("OrgA", name))
        const outcomes = yield* calls.atOnce(...channels.flatMap((as) => times(() => calls.registerOrganization(as))))
        for (const [index, as] of channels.entries()) {
          expectOneWinner(outcomes.slice(index * callers, (index + 1) * callers), exists("organization", "OrgA"))
          const { log } = yield* play(as.channel, 0, () => Effect.void)
          expect(log).toHaveLength(1)
        }
      }
    })
  )

  for (const [asset, register] of [
    ["computeplan", (as: calls.Caller, key: string) => calls.registerPlan(as, build.newPlan({ key }))],
    ["function", (as: calls.Caller, key: string) => calls.registerFunction(as, build.newFunction({ key }))],
    ["datamanager", (as: calls.Caller, key: string) => calls.registerManager(as, build.newDataManager({ key }))],
    ["datasample", (as: calls.Caller, key: string) => calls.registerSamples(as, [build.newDataSample([], key)])]
  ] as const) {
    it.effect(`a ${asset} is registered once, whatever the channel`, () =>
      Effect.gen(function* () {
        const [here, there] = [yield* calls.openChannel, yield* calls.openChannel]
        const { log, results } = yield* play(here.as.channel, rounds, () =>
          Effect.gen(function* () {
            const key = build.newKey()
            const register16 = times((index) => register(index % 2 === 0 ? here.as : there.as, key))
            const outcomes = yield* calls.atOnce(...(register16 as ReadonlyArray<(typeof register16)[number]>))
            expectOneWinner(outcomes, exists(asset, key))
            return key
          })
        )
        const elsewhere = yield* play(there.as.channel, 0, () => Effect.void)
        const keys = [...log, ...elsewhere.log].map(({ event }) => event.assetKey)
        for (const key of results) expect(keys.filter((other) => other === key)).toEqual([key])
      })
    )
  }

  it.effect("a task is registered once", () =>
    Effect.gen(function* () {
      const { as, task } = yield* calls.openChannel
      yield* play(as.channel, rounds, () =>
        Effect.gen(function* () {
          const key = build.newKey()
          const outcomes = yield* calls.atOnce(...times(() => calls.registerTasks(as, task([], { key }))))
          expectOneWinner(outcomes, exists("computetask", key))
        })
      )
    })
  )

  it.effect("a model is registered once, though for other tasks", () =>
    Effect.gen(function* () {
      const { as, tasks } = yield* openExecuting(callers)
      yield* play(as.channel, rounds, () =>
        Effect.gen(function* () {
          const key = build.newKey()
          const outcomes = yield* calls.atOnce(
            ...tasks.map((task) => calls.registerModels(as, build.newModel(task, "many", key)))
          )
          expectOneWinner(outcomes, exists("model", key))
        })
      )
    })
  )

  it.effect("an output that takes one model takes one", () =>
    Effect.gen(function* () {
      const { as, tasks } = yield* openExecuting(rounds)
      yield* play(as.channel, rounds, (round) =>
        Effect.gen(function* () {
          const task = tasks[round] as build.Keyed
          const outcomes = yield* calls.atOnce(...times(() => calls.registerModels(as, build.newModel(task))))
          const refusal = `compute task "${build.keyOf(task)}" already has its unique output "out" registered`
          expectOneWinner(outcomes, `Conflict: ${refusal}`)
        })
      )
    })
  )

  it.effect("a performance is registered once", () =>
    Effect.gen(function* () {
      const { as, tasks } = yield* openExecuting(rounds)
      yield* play(as.channel, rounds, (round) =>
        Effect.gen(function* () {
          const key = build.keyOf(tasks[round] as build.Keyed)
          const outcomes = yield* calls.atOnce(...times(() => calls.registerPerformance(as, key, "score")))
          expectOneWinner(outcomes, exists("performance", `${key}|score`))
        })
      )
    })
  )

  it.effect("a task's failure is reported once", () =>
    Effect.gen(function* () {
      const { as, tasks } = yield* openExecuting(rounds)
      yield* play(as.channel, rounds, (round) =>
        Effect.gen(function* () {
          const key = build.keyOf(tasks[round] as build.Keyed)
          const outcomes = yield* calls.atOnce(...times(() => calls.reportTask(as, key)))
          const refusal = 'BadRequest: cannot register failure report for task with status "STATUS_FAILED"'
          expectOneWinner(outcomes, refusal)
        })
      )
    })
  )

  it.effect("a profiling step makes one event", () =>
    Effect.gen(function* () {
      const { as } = yield* calls.openChannel
      const { log } = yield* play(as.channel, rounds, (round) =>
        Effect.gen(function* () {
          const key = build.newKey()
          const outcomes = yield* calls.atOnce(
            ...times((index) => calls.registerStep(as, index % 2 === 0 ? key : key.toUpperCase(), `step ${round}`))
          )
          expect(new Set(outcomes)).toEqual(new Set(["ok"]))
        })
      )
      const steps = log.flatMap(({ asset }) => (asset.$case === "profilingStep" ? [asset.value.step] : []))
      expect(steps).toEqual(Array.from({ length: rounds }, (_, round) => `step ${round}`))
    })
  )

  it.effect("batches that share keys in other orders are registered once, as a whole", () =>
    Effect.gen(function* () {
      const { as, task, tasks } = yield* openExecuting(2)
      yield* play(as.channel, 40, () =>
        Effect.gen(function* () {
          const [one, other] = tasks as [build.Keyed, build.Keyed]
          const keys = build.newKeys(20)
          const orders = [keys, keys.toReversed(), calls.shuffled(keys), calls.shuffled(keys)]
          const outcomes = yield* calls.atOnce(
            ...orders.map((order) =>
              calls.registerSamples(
                as,
                order.map((key) => build.newDataSample([], key))
              )
            ),
            ...orders.map((order) => calls.registerTasks(as, ...order.map((key) => task([], { key })))),
            ...orders.map((order, index) =>
              calls.registerModels(as, ...order.map((key) => build.newModel(index < 2 ? one : other, "many", key)))
            )
          )
          for (const [index, asset] of ["datasample", "computetask", "model"].entries()) {
            const ofAsset = outcomes.slice(index * 4, index * 4 + 4)
            expect(ofAsset.filter((outcome) => outcome === "ok")).toHaveLength(1)
            const refusal = new RegExp(`^(ok|Conflict: ${asset} with key "[0-9a-f-]{36}" already exists)$`)
            for (const outcome of ofAsset) expect(outcome).toMatch(refusal)
          }
        })
      )
    })
  )
})
