// What a subscription tells besides events: when it is live, and when it was lost.
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { connect } from "substra-orchestrator/client"

const { ADDRESS = "localhost:9000" } = process.env

const program = Effect.gen(function* () {
  const client = yield* connect({ address: ADDRESS, organization: "MyOrg1MSP", channel: "mychannel" })
  let replayed = 0
  yield* client.subscription().pipe(
    Stream.tap((signal) =>
      Effect.sync(() => {
        switch (signal._tag) {
          case "Event":
            replayed++
            break
          case "Live":
            console.log(`live after ${replayed} events`)
            break
          case "Lost":
            console.log(`lost: ${signal.error.message}`)
        }
      })
    ),
    Stream.takeUntil((signal) => signal._tag === "Live"),
    Stream.runDrain
  )
})

await Effect.runPromise(Effect.scoped(program))
