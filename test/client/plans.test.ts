/** Waiting for a plan where it matters what comes between two calls, and how events come together. */
import { expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import type { UnaryCalls } from "../../src/client/Calls.ts"
import * as Events from "../../src/client/Events.ts"
import * as Plans from "../../src/client/Plans.ts"
import { ComputePlan } from "../../src/layers/wire/generated/computeplan.ts"
import { ComputeTask } from "../../src/layers/wire/generated/computetask.ts"
import { Event } from "../../src/layers/wire/generated/event.ts"

const key = "5e4b7d0a-9d7f-4a5c-8a55-0f5a4a9f7c11"

/** A task of the plan is done. */
const doneEvent = (id: string): Event => ({
  ...Event.decode(new Uint8Array()),
  id,
  asset: {
    $case: "computeTask",
    value: { ...ComputeTask.decode(new Uint8Array()), computePlanKey: key, status: "STATUS_DONE" }
  }
})

/** Events that are all there at once, when somebody subscribes. */
const eventsOf = (events: ReadonlyArray<Event>, subscribed = () => {}) =>
  Events.make({
    newest: () => Effect.undefined,
    newestOnce: Effect.undefined,
    subscribe: () =>
      Stream.suspend(() => {
        subscribed()
        const messages = events.map((message) => ({ _tag: "Message", message }) as const)
        return Stream.concat(Stream.fromIterable([{ _tag: "Accepted" } as const, ...messages]), Stream.never)
      }),
    retryFor: 0
  })

/** An orchestrator with this one plan: what it answers, and how often it was asked. */
class Orchestrator {
  hasTask = false
  isDone = false
  asked = 0
  /** What happens right behind the answer to whether the plan runs. */
  behind = () => {}

  readonly calls = {
    isPlanRunning: () =>
      Effect.sync(() => {
        this.asked++
        const isRunning = this.hasTask && !this.isDone
        this.behind()
        return { isRunning }
      }),
    getPlan: () => Effect.sync(() => ({ ...ComputePlan.decode(new Uint8Array()), key })),
    queryTasks: ({ filter }: { readonly filter: { readonly status?: string } }) =>
      Effect.sync(() => ({ tasks: this.hasTask && filter.status === undefined ? [{}] : [] }))
  } as unknown as UnaryCalls
}

it.effect("takes no plan for done whose first task comes while it is looked at", () =>
  Effect.gen(function* () {
    const orchestrator = new Orchestrator()
    orchestrator.behind = () => {
      orchestrator.hasTask = true
    }
    const events = eventsOf([doneEvent("1")], () => {
      orchestrator.isDone = true
    })
    const { outcome } = yield* Plans.make(orchestrator.calls, events)(key)
    expect([outcome, orchestrator.asked]).toEqual(["DONE", 2])
  })
)

it.effect("looks once for all the events that have come together", () =>
  Effect.gen(function* () {
    const orchestrator = new Orchestrator()
    orchestrator.hasTask = true
    orchestrator.behind = () => {
      orchestrator.isDone = true
    }
    const events = eventsOf(Array.from({ length: 1000 }, (_, index) => doneEvent(`${index}`)))
    const { outcome } = yield* Plans.make(orchestrator.calls, events)(key)
    expect([outcome, orchestrator.asked]).toEqual(["DONE", 2])
    const [batch] = yield* Stream.runCollect(Stream.take(Stream.chunks(events.subscription()), 1))
    expect(batch).toHaveLength(1001)
  })
)
