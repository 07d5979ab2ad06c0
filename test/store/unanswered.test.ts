/** When a connection counts as lost: by what it has answered last, not by how long anybody waits. */
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import type { SqlError } from "effect/sql/SqlError"
import { afterEach, beforeEach, expect, it, vi } from "vitest"
import { noAnswer } from "../../src/layers/postgres/Connection.ts"
import { Detached } from "../../src/layers/postgres/Detached.ts"
import { takenAway, Unanswered } from "../../src/layers/postgres/Unanswered.ts"

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] })
})
afterEach(() => {
  vi.useRealTimers()
})

/** A connection that answers when it is told to, and gives up after a minute. */
const open = (giveUp: Effect.Effect<void> = Effect.void) => {
  const told: Array<string> = []
  const silence = Effect.sync(() => told.push("lost"))
  const unanswered = new Unanswered(Context.empty(), Duration.minutes(1), Effect.andThen(silence, giveUp))
  const ask = (name: string, isSlow = true) => {
    const answer = Deferred.makeUnsafe<string, SqlError>()
    const statement = Deferred.await(answer)
    const asked = new Detached(Context.empty(), (lose) => unanswered.counting(statement, isSlow, lose))
    const waiting = Effect.runFork(
      Effect.onInterrupt(Effect.flatten(asked.await), () => Effect.sync(() => unanswered.leave(asked.lose)))
    )
    waiting.addObserver((exit) => {
      if (Exit.isFailure(exit)) told.push(name)
    })
    return { answer: () => Deferred.doneUnsafe(answer, Effect.succeed(name)), waiting }
  }
  return { unanswered, ask, told }
}

const lost = Exit.fail(noAnswer)
const leave = ({ waiting }: { readonly waiting: Fiber.Fiber<string, SqlError> }) =>
  Effect.runPromise(Fiber.interrupt(waiting))
const ended = (fiber: Fiber.Fiber<string, SqlError>) => Effect.runPromise(Fiber.await(fiber))

it("all who wait for a connection that answers nothing are told, once it is given up", async () => {
  const { ask, told } = open()
  const one = ask("one")
  vi.advanceTimersByTime(50_000)
  const other = ask("other")
  vi.advanceTimersByTime(9_000)
  expect(told).toEqual([])
  vi.advanceTimersByTime(1_100)
  expect([await ended(one.waiting), await ended(other.waiting)]).toEqual([lost, lost])
  expect(told).toEqual(["lost", "one", "other"])
})

it("they are told also where giving it up is a defect", async () => {
  const { ask, told } = open(Effect.die(new Error("a defect")))
  const { waiting } = ask("one")
  vi.advanceTimersByTime(60_100)
  expect(await ended(waiting)).toEqual(lost)
  expect(told).toEqual(["lost", "one"])
})

it("one that goes on answering is not lost, however long its last statement waits", async () => {
  const { ask, told } = open()
  const all = Array.from({ length: 5 }, (_, i) => ask(`${i}`))
  for (const { answer, waiting } of all) {
    vi.advanceTimersByTime(50_000)
    answer()
    expect(await ended(waiting)).toMatchObject({ _tag: "Success" })
  }
  expect(told).toEqual([])
})

it("a statement that nobody waits for any more counts until it is answered", async () => {
  const { unanswered, ask } = open()
  const { answer, ...page } = ask("page")
  await leave(page)
  expect([unanswered.onWire, unanswered.slow]).toEqual([1, 1])
  answer()
  await vi.waitFor(() => expect([unanswered.onWire, unanswered.slow]).toEqual([0, 0]))
})

it("nothing but what is quick makes it lost sooner, also where all who asked have left", async () => {
  const { ask, told } = open()
  await leave(ask("get", false))
  const other = ask("other", false)
  vi.advanceTimersByTime(10_100)
  expect(await ended(other.waiting)).toEqual(lost)
  expect(told).toEqual(["get", "lost", "other"])
})

it("what is slow and nobody waits for is given up soon", async () => {
  const { ask, told } = open()
  const page = ask("page")
  const other = ask("other")
  await leave(other)
  vi.advanceTimersByTime(5_000)
  expect(told).toEqual(["other"])
  page.answer()
  await ended(page.waiting)
  vi.advanceTimersByTime(1_000)
  expect(told).toEqual(["other", "lost"])
})

it("what waits behind it asks anew", async () => {
  const { ask, told } = open()
  const page = ask("page")
  const other = ask("other", false)
  await leave(page)
  vi.advanceTimersByTime(1_000)
  expect(await ended(other.waiting)).toEqual(Exit.fail(takenAway))
  expect(told).toEqual(["page", "lost", "other"])
})

it("what was left and is answered soon costs no connection", async () => {
  const { ask, told } = open()
  for (let time = 0; time < 20; time++) {
    const page = ask("page")
    await leave(page)
    vi.advanceTimersByTime(900)
    page.answer()
  }
  expect(told).not.toContain("lost")
})

it("a quick statement behind a slow one that was answered is not waited for as long as that one", async () => {
  const { ask, told } = open()
  const page = ask("page")
  vi.advanceTimersByTime(1_000)
  page.answer()
  await ended(page.waiting)
  const quick = ask("quick", false)
  vi.advanceTimersByTime(20_000)
  expect(await ended(quick.waiting)).toEqual(lost)
  expect(told).toEqual(["lost", "quick"])
})

it("an answer that is there when a late event loop looks counts", async () => {
  const { ask, told } = open()
  const { answer, waiting } = ask("one")
  vi.advanceTimersByTime(60_000)
  answer()
  expect(await ended(waiting)).toMatchObject({ _tag: "Success" })
  vi.advanceTimersByTime(200_000)
  expect(told).toEqual([])
})
