/** The stream of events over connections that break: nothing is lost, repeated or out of order, and live means live. */
import { setImmediate } from "node:timers/promises"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"
import { afterAll, describe, expect, it } from "vitest"
import { Proxy } from "../../bench/chaos/Proxy.ts"
import * as Client from "../../src/client/Client.ts"
import type { ClientOptions } from "../../src/client/ClientOptions.ts"
import * as Events from "../../src/client/Events.ts"
import { connect } from "../../src/client/PromiseClient.ts"
import { Event } from "../../src/layers/wire/generated/event.ts"
import * as Build from "../blackbox/Builders.ts"
import * as Drivers from "../blackbox/Drivers.ts"
import { freshDatabase, startServer } from "../blackbox/Server.ts"
import { fake } from "./Fake.ts"

const server = await startServer()
const proxy = await Proxy.open(() => ({ port: Number(server.address.split(":")[1]) }))
afterAll(() => proxy.close())

const through: ClientOptions = {
  address: `127.0.0.1:${proxy.port}`,
  organization: "MyOrg1MSP",
  channel: "mychannel"
}

const using = <A, E>(use: (client: Client.OrchestratorClient) => Effect.Effect<A, E>, options = through): Promise<A> =>
  Effect.runPromise(Effect.scoped(Effect.flatMap(Client.connect(options), use)))

const register = () => server.one.registerPlan(Build.newPlan())

describe("events", () => {
  it("come once each, in the order of the log, however often the connection is cut", () =>
    using((client) =>
      Effect.gen(function* () {
        const rounds = 40
        const last = Build.newPlan()
        const reader = yield* client.events().pipe(
          Stream.takeUntil((event) => event.assetKey === last.key),
          Stream.map((event) => event.id),
          Stream.runCollect,
          Effect.forkChild
        )
        for (let round = 0; round < rounds; round++) {
          yield* Effect.promise(register)
          if (round % 4 === 0) proxy.cut("all")
          if (round % 10 === 5) {
            // Over the client that is cut, too.
            yield* client.registerPlan(Build.newPlan())
          }
        }
        yield* Effect.promise(() => server.one.registerPlan(last))
        const received = yield* Fiber.join(reader)
        const all = yield* Stream.runCollect(client.all.queryEvents({ pageSize: 7 }))
        expect(received).toEqual(all.map((event) => event.id))
        expect(received.length).toBeGreaterThan(rounds)
      })
    ))

  it("tell each registration once, of those that were made over connections that are cut all the time", () =>
    using((client) =>
      Effect.gen(function* () {
        const since = yield* client.newestEvent()
        const plans = Array.from({ length: 120 }, () => Build.newPlan())
        yield* Effect.forEach(
          plans,
          (plan, index) =>
            Effect.tap(client.registerPlan(plan), () => Effect.sync(() => index % 5 === 0 && proxy.cut("some"))),
          { concurrency: 12, discard: true }
        )
        const told = yield* Stream.runCollect(Stream.take(client.events(since), plans.length))
        expect(told.map((event) => event.assetKey).sort()).toEqual(plans.map((plan) => plan.key).sort())
      })
    ))

  it("go on where they were when the server was replaced", async () => {
    const database = await freshDatabase()
    const first = await startServer({ database })
    let port = Number(first.address.split(":")[1])
    const moving = await Proxy.open(() => ({ port }))
    const options = { ...through, address: `127.0.0.1:${moving.port}` }
    const [before, after] = [Build.newPlan(), Build.newPlan()]
    const seen: Array<string> = []
    const signals: Array<Events.Signal["_tag"]> = []
    const reading = using(
      (client) =>
        client.subscription().pipe(
          Stream.tap((signal) =>
            Effect.sync(() => {
              signals.push(signal._tag)
              if (signal._tag === "Event") seen.push(signal.event.assetKey)
            })
          ),
          Stream.takeUntil((signal) => signal._tag === "Event" && signal.event.assetKey === after.key),
          Stream.runDrain
        ),
      options
    )
    await first.one.registerPlan(before)
    await first.stop()
    const second = await startServer({ database })
    port = Number(second.address.split(":")[1])
    await second.one.registerPlan(after)
    await reading
    expect(seen).toEqual([...new Set(seen)])
    expect(seen.slice(-2)).toEqual([before.key, after.key])
    expect(signals).toContain("Lost")
    moving.close()
  })

  it("begin after a given event, and an unknown one is told", () =>
    using((client) =>
      Effect.gen(function* () {
        const since = yield* client.newestEvent()
        const plan = yield* Effect.promise(register)
        const [event] = yield* Stream.runCollect(Stream.take(client.events(since), 1))
        expect(event?.assetKey).toBe(plan.key)
        expect(yield* Effect.flip(Stream.runDrain(client.events(Build.newKey())))).toMatchObject({ _tag: "NotFound" })
        expect(yield* Effect.flip(Stream.runDrain(client.events("no id")))).toMatchObject({ _tag: "InvalidAsset" })
      })
    ))

  it("of a channel that is not the organization's are refused", () =>
    using(
      (client) =>
        Effect.gen(function* () {
          expect(yield* Effect.flip(Stream.runDrain(client.events()))).toMatchObject({ _tag: "PermissionDenied" })
        }),
      { ...through, channel: "nochannel" }
    ))

  it("of a server that nobody can reach fail once the time for repetitions is over", () =>
    using(
      (client) =>
        Effect.gen(function* () {
          const error = yield* Effect.flip(Stream.runDrain(client.events()))
          expect(error).toMatchObject({ _tag: "Unavailable" })
          expect(error.message).toContain("Nobody can be reached")
        }),
      { ...through, address: "127.0.0.1:1", retryFor: "200 millis" }
    ))

  it("hold back a server that has more than is taken", async () => {
    await using flood = await fake("flood")
    const taken = 500
    await using(
      (client) =>
        client.events().pipe(
          Stream.tap(() => Effect.promise(() => setImmediate())),
          Stream.take(taken),
          Stream.runDrain
        ),
      { ...through, address: flood.address }
    )
    // What waits in the inbox, the window and the buffers of two sockets: each message has 16 KiB.
    expect(flood.sent()).toBeLessThan(taken + 400)
  })
})

describe("the rpc itself", () => {
  it("is one call: it fails when the server goes away in the middle, and what came before is given out", () =>
    using((client) =>
      Effect.gen(function* () {
        let count = 0
        const error = yield* client.subscribeToEvents({ startEventId: "" }).pipe(
          Stream.tap(() => Effect.sync(() => ++count === 1 && proxy.cut("all"))),
          Stream.runDrain,
          Effect.flip
        )
        expect(count).toBeGreaterThan(0)
        expect(error).toMatchObject({ _tag: "Unavailable", rpc: "SubscribeToEvents" })
      })
    ))
})

describe("a subscription", () => {
  it("is live behind everything that the channel held, at once where that is nothing, and again after each loss", () =>
    using((client) =>
      Effect.gen(function* () {
        const head = yield* client.newestEvent()
        const replay = yield* client.subscription().pipe(
          Stream.takeUntil((signal) => signal._tag === "Live"),
          Stream.runCollect
        )
        const events = replay.flatMap((signal) => (signal._tag === "Event" ? [signal.event.id] : []))
        expect(events.at(-1)).toBe(head)
        expect(replay.length).toBe(events.length + 1)

        const seen: Array<string> = []
        yield* client.subscription(head).pipe(
          Stream.tap((signal) =>
            Effect.gen(function* () {
              seen.push(signal._tag)
              const lives = seen.filter((tag) => tag === "Live").length
              if (signal._tag === "Live" && lives === 1) proxy.cut("all")
              if (signal._tag === "Live" && lives === 2) yield* Effect.promise(register)
            })
          ),
          Stream.takeUntil((signal) => signal._tag === "Event"),
          Stream.runDrain
        )
        expect(seen[0]).toBe("Live")
        expect(seen.slice(1, -2).every((tag) => tag === "Lost")).toBe(true)
        expect(seen.slice(-2)).toEqual(["Live", "Event"])
      })
    ))

  it("of a log whose newest event by time stands before its place is live with the next event", async () => {
    const at = (id: string, seconds: bigint): Event => ({
      ...Event.decode(new Uint8Array()),
      id,
      timestamp: { seconds, nanos: 0 }
    })
    const { subscription } = Events.make({
      newest: () => Effect.succeed(at("taken over", 5n)),
      newestOnce: Effect.succeed(at("taken over", 5n)),
      subscribe: () =>
        Stream.make(
          { _tag: "Accepted" as const },
          { _tag: "Message" as const, message: at("older", 4n) },
          { _tag: "Message" as const, message: at("new", 6n) }
        ),
      retryFor: 0
    })
    const signals = await Effect.runPromise(Stream.runCollect(Stream.take(subscription("behind it"), 3)))
    expect(signals.map((signal) => (signal._tag === "Event" ? signal.event.id : signal._tag))).toEqual([
      "older",
      "Live",
      "new"
    ])
  })

  it("of an empty channel is live at once", async () => {
    const empty = await startServer({ organizations: false })
    await using(
      (client) =>
        Effect.gen(function* () {
          const [signal] = yield* Stream.runCollect(Stream.take(client.subscription(), 1))
          expect(signal).toEqual({ _tag: "Live" })
          expect(yield* client.newestEvent()).toBe("")
        }),
      { ...through, address: empty.address }
    )
  })
})

describe("waiting for a plan", () => {
  const waitWhile = (key: string, act: () => Promise<unknown>) =>
    using((client) =>
      Effect.gen(function* () {
        const waiting = yield* Effect.forkChild(client.waitForPlan(key.toUpperCase()))
        yield* Effect.promise(act)
        proxy.cut("all")
        return yield* Fiber.join(waiting)
      })
    )

  it("ends with what became of it, over connections that break", async () => {
    const done = await Drivers.aTask(server.one)
    const doneIs = await waitWhile(done.computePlanKey, () => Drivers.act(server.one, done, "EXECUTING", "DONE"))
    expect(doneIs).toMatchObject({ outcome: "DONE", plan: { key: done.computePlanKey } })

    const failed = await Drivers.aTask(server.one)
    expect(
      await waitWhile(failed.computePlanKey, () => Drivers.act(server.one, failed, "EXECUTING", "FAILED"))
    ).toMatchObject({ outcome: "FAILED" })

    const canceled = await Drivers.aTask(server.one)
    const cancel = () => server.one.applyPlanAction({ key: canceled.computePlanKey, action: "PLAN_ACTION_CANCELED" })
    expect(await waitWhile(canceled.computePlanKey, cancel)).toMatchObject({ outcome: "CANCELED" })

    const empty = await Drivers.aPlan(server.one)
    const give = () => server.one.applyPlanAction({ key: empty.key, action: "PLAN_ACTION_CANCELED" })
    expect(await waitWhile(empty.key, give)).toMatchObject({ outcome: "CANCELED" })
  })

  it("ends with the first task that failed, while others go on", async () => {
    const plan = await Drivers.aPlan(server.one)
    const fn = await Drivers.aFunction(server.one)
    const [failing, other] = [
      await Drivers.aTask(server.one, { fn, plan }),
      await Drivers.aTask(server.one, { fn, plan })
    ]
    const fail = () => Drivers.act(server.one, failing, "EXECUTING", "FAILED")
    expect(await waitWhile(plan.key, fail)).toMatchObject({
      outcome: "FAILED",
      plan: { failureDate: expect.anything() }
    })
    await Drivers.act(server.one, other, "EXECUTING", "DONE")
  })

  it("waits for the first task, and knows what is over already", async () => {
    const plan = await Drivers.aPlan(server.one)
    const fn = await Drivers.aFunction(server.one)
    const run = async () => {
      const task = await Drivers.aTask(server.one, { fn, plan })
      await Drivers.act(server.one, task, "EXECUTING", "DONE")
    }
    expect(await waitWhile(plan.key, run)).toMatchObject({ outcome: "DONE" })
    await using((client) =>
      Effect.gen(function* () {
        expect(yield* client.waitForPlan(plan.key)).toMatchObject({ outcome: "DONE" })
        expect(yield* Effect.flip(client.waitForPlan(Build.newKey()))).toMatchObject({ _tag: "NotFound" })
      })
    )
  })
})

describe("events of promises", () => {
  it("are waited for as long as a signal lets a plan be", async () => {
    await using client = await connect(through)
    const plan = await Drivers.aPlan(server.one)
    const leaving = new AbortController()
    const waiting = client.waitForPlan(plan.key, { signal: leaving.signal })
    leaving.abort()
    await expect(waiting).rejects.toThrow()
  })

  it("are an iterable that ends when it is left", async () => {
    await using client = await connect(through)
    const since = await client.newestEvent()
    const plans = [await register(), await register()]
    const keys: Array<string> = []
    for await (const event of client.events(since)) {
      keys.push(event.assetKey)
      if (keys.length === plans.length) break
    }
    expect(keys).toEqual(plans.map((plan) => plan.key))
  })
})
