/**
 * A program that meets everything that can go wrong with a client, closes it, and has nothing else to do: it must end by
 * itself. It prints what is still open then, and ends with an error when a rejection was not handled.
 */
import * as Effect from "effect/Effect"
import * as Client from "../../src/client/Client.ts"
import type { ClientOptions } from "../../src/client/ClientOptions.ts"
import { connect } from "../../src/client/PromiseClient.ts"

const { GOOD = "", SILENT = "", GARBAGE = "" } = process.env

const options = (address: string): ClientOptions => ({
  address,
  organization: "MyOrg1MSP",
  channel: "mychannel",
  retryFor: "300 millis"
})

const failure = (promise: Promise<unknown>): Promise<string> =>
  promise.then(
    () => "none",
    (error: { readonly _tag?: string }) => error._tag ?? String(error)
  )

const failures = await Promise.all(
  [options("127.0.0.1:1"), options(GARBAGE), { ...options(GOOD), channel: "none" }].flatMap(async (each) => {
    await using client = await connect(each)
    return [await failure(client.queryPlans()), await failure(client.events()[Symbol.asyncIterator]().next())]
  })
)

// Calls that wait in vain, left behind by those who made them.
const silent = await connect(options(SILENT))
const left = [failure(silent.queryVersion()), failure(silent.events()[Symbol.asyncIterator]().next())]
await failure(silent.queryVersion({}, { timeout: "50 millis" }))
await silent.close()
failures.push(await Promise.all(left))

// An interrupted stream, and a fiber that is gone with its scope.
const client = await connect(options(GOOD))
for await (const event of client.events()) if (event.id !== "") break
await client.close()
await Effect.runPromise(
  Effect.scoped(
    Effect.gen(function* () {
      const scoped = yield* Client.connect(options(GOOD))
      yield* Effect.forkChild(scoped.waitForPlan("5e4b7d0a-9d7f-4a5c-8a55-0f5a4a9f7c11"))
      yield* scoped.queryVersion()
    })
  )
)

const open = (): ReadonlyArray<string> =>
  process.getActiveResourcesInfo().filter((kind) => !/^(Pipe|TTY|FSReqCallback|Immediate)/.test(kind))

// A socket that is closed, or was being connected, takes a moment to go. What is still there after this is left behind.
const limit = performance.now() + 5_000
while (open().length > 0 && performance.now() < limit) await new Promise((done) => setImmediate(done))
console.log(JSON.stringify({ failures, open: open() }))
