/** What the suites of the store share: their ports, transactions with events made ready, and things to start from. */

import type * as Vitest from "@effect/vitest"
import { expect } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import type { ComputePlan } from "../../schema/ComputePlan.ts"
import type { ComputeTask } from "../../schema/ComputeTask.ts"
import type { DataManager } from "../../schema/DataManager.ts"
import { assetKey, type LoggedEvent, type NewEvent } from "../../schema/Event.ts"
import type { Function } from "../../schema/Function.ts"
import type { ChannelName } from "../../schema/Key.ts"
import type { Organization } from "../../schema/Organization.ts"
import { ComputePlanStore } from "../../services/store/ComputePlanStore.ts"
import { ComputeTaskStore } from "../../services/store/ComputeTaskStore.ts"
import { type Committed, Database, type PreparedEvent, type Work } from "../../services/store/Database.ts"
import { DataManagerStore } from "../../services/store/DataManagerStore.ts"
import { FunctionStore } from "../../services/store/FunctionStore.ts"
import { OrganizationStore } from "../../services/store/OrganizationStore.ts"
import type { Store } from "../../services/store/Store.ts"
import { UnitOfWork } from "../../services/store/UnitOfWork.ts"
import * as build from "./builders.ts"

export type { Store } from "../../services/store/Store.ts"

/** Registers tests on a store. */
export type It = Vitest.Vitest.MethodsNonLive<Store>

/** A message that tells events apart. */
const messageOf = (id: string, event: NewEvent): Uint8Array =>
  new TextEncoder().encode(`${id} ${event.eventKind} ${event.asset.kind} \0`)

export const prepare = (events: ReadonlyArray<NewEvent>): Effect.Effect<ReadonlyArray<PreparedEvent>> =>
  Effect.sync(() =>
    events.map((event) => {
      const id = build.key()
      return { event, id, assetKey: assetKey(event.asset), message: messageOf(id, event) }
    })
  )

/** A transaction that answers with what its body gives, and that nobody hears of. */
export const work = <A, E, R>(body: Effect.Effect<A, E, R>) => ({
  body,
  prepare,
  finish: Effect.succeed<A>,
  onCommitted: () => Effect.void
})

/** Runs a transaction: gives its answer and its events. */
export const run = Effect.fnUntraced(function* <A, E, R>(
  channel: ChannelName,
  body: Effect.Effect<A, E, R>,
  more: Partial<Pick<Work<A, E, R, never, A, never>, "prepare">> = {}
) {
  const database = yield* Database
  let events: ReadonlyArray<LoggedEvent> = []
  const onCommitted = (committed: Committed) =>
    Effect.sync(() => {
      events = committed.events
    })
  const answer = yield* database.run(channel, { ...work(body), ...more, onCommitted })
  return [answer, events] as const
})

/** Runs a transaction for its answer. */
export const commit = <A, E, R>(channel: ChannelName, body: Effect.Effect<A, E, R>) =>
  Effect.flatMap(Database, (database) => database.run(channel, work(body)))

/** The message of the defect that an effect dies of. */
export const defectOf = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.map(Effect.exit(effect), (exit) => {
    if (Exit.isSuccess(exit) || !Cause.hasDies(exit.cause)) return expect.unreachable("there is no defect")
    return String(Cause.squash(exit.cause))
  })

/** What a body would do that asks for a transaction, done outside of any. */
export const unbound = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, Exclude<R, UnitOfWork>> =>
  Effect.provideService(effect, UnitOfWork, UnitOfWork.of({ now: Effect.die("no"), emit: () => Effect.die("no") }))

/** What was found, `undefined` when nothing was. */
export const found = <A, E, R>(effect: Effect.Effect<Option.Option<A>, E, R>): Effect.Effect<A | undefined, E, R> =>
  Effect.map(effect, Option.getOrUndefined)

/** An event with its message as plain numbers: arrays of bytes differ in class between stores. */
export const plain = ({ message, ...event }: LoggedEvent) => ({ ...event, message: Array.from(message) })

/** A channel with what a task needs to be in it. */
export interface World {
  readonly channel: ChannelName
  readonly organization: Organization
  readonly fn: Function
  readonly plan: ComputePlan
  readonly manager: DataManager
  /** Where this world's tasks are. */
  readonly place: build.TaskPlace
  readonly task: (fields?: Partial<ComputeTask>) => ComputeTask
}

export const world = Effect.fnUntraced(function* (fields: { readonly fn?: Partial<Function> } = {}) {
  const organizations = yield* OrganizationStore
  const functions = yield* FunctionStore
  const managers = yield* DataManagerStore
  const plans = yield* ComputePlanStore
  const channel = build.channel()
  const organization = build.organization()
  const fn = build.fn(fields.fn)
  const plan = build.computePlan()
  const manager = build.dataManager()
  yield* commit(
    channel,
    Effect.gen(function* () {
      yield* organizations.insert(channel, organization)
      yield* functions.insert(channel, fn)
      yield* managers.insert(channel, manager)
      yield* plans.insert(channel, plan)
    })
  )
  const place = { worker: organization.id, functionKey: fn.key, computePlanKey: plan.key }
  const task = (fields?: Partial<ComputeTask>) => build.computeTask(place, fields)
  const made: World = { channel, organization, fn, plan, manager, place, task }
  return made
})

/** Stores tasks, each with its own date. */
export const insertTasks = (channel: ChannelName, ...tasks: ReadonlyArray<ComputeTask>) =>
  Effect.flatMap(ComputeTaskStore, (store) =>
    commit(
      channel,
      Effect.forEach(tasks, (task) => store.insert(channel, [task]), { discard: true })
    )
  )

/** Some time for others, in which the store is at work: nothing is waited for. */
export const meanwhile = Effect.flatMap(Database, (database) =>
  Effect.forEach(Array.from({ length: 20 }), () => Effect.andThen(database.ping, Effect.yieldNow), { discard: true })
)

/**
 * Two transactions: the second starts when the first holds what `hold` locks, and the first goes on with `change` when
 * the second had its time. Gives what `see` saw in the second: what the first one did, where it had to wait for it.
 */
export const inTurn = <A, B, C, E, R>(
  channel: ChannelName,
  steps: {
    readonly hold: Effect.Effect<A, E, R>
    readonly change: (held: A) => Effect.Effect<B, E, R>
    readonly see: Effect.Effect<C, E, R>
  }
) =>
  Effect.gen(function* () {
    const holding = yield* Deferred.make<void>()
    const first = Effect.gen(function* () {
      const held = yield* steps.hold
      yield* Deferred.succeed(holding, undefined)
      yield* meanwhile
      yield* steps.change(held)
    })
    const second = Effect.andThen(Deferred.await(holding), commit(channel, steps.see))
    const [, seen] = yield* Effect.all([commit(channel, first), second], { concurrency: "unbounded" })
    return seen
  })
