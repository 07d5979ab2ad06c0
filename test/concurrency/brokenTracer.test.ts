/** A tracer that breaks at a statement breaks its transaction, and nobody is told what is not known. */
import { expect, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Tracer from "effect/Tracer"
import { ComputePlanStore } from "../../src/services/store/ComputePlanStore.ts"
import { Database } from "../../src/services/store/Database.ts"
import { Tracing } from "../../src/services/Tracing.ts"
import * as build from "../../src/testing/suites/builders.ts"
import { defectOf, found, work } from "../../src/testing/suites/support.ts"
import { services } from "./support.ts"

/** The statement whose span cannot be ended. */
let breaksAt = ""

class BreakingSpan extends Tracer.NativeSpan {
  override end(endTime: bigint, exit: Parameters<Tracer.NativeSpan["end"]>[1]): void {
    if (this.name === breaksAt) throw new Error("this span cannot be ended")
    super.end(endTime, exit)
  }
}

const spans = { tracer: Tracer.make({ span: (options) => new BreakingSpan(options) }), isSampled: () => true }

const broken = services({ poolSize: 3 }).pipe(Layer.provide(Layer.succeed(Tracing, spans)))

/** A transaction that reads, then registers a plan; which of its statements breaks, and how it ends. */
const registering = Effect.fnUntraced(function* (statement: string) {
  const plans = yield* ComputePlanStore
  const database = yield* Database
  const [channel, plan] = [build.channel(), build.computePlan()]
  breaksAt = statement
  const body = Effect.andThen(plans.lock(channel, []), plans.insert(channel, plan))
  const call = Tracer.externalSpan({ spanId: "1".repeat(16), traceId: "2".repeat(32) })
  const run = Effect.provideService(database.run(channel, work(body)), Tracer.ParentSpan, call)
  return { run, isThere: Effect.map(found(plans.find(channel, plan.key)), (one) => one !== undefined) }
})

layer(broken, { excludeTestServices: true })("a tracer that breaks", (it) => {
  it.effect("at COMMIT leaves the transaction in doubt", () =>
    Effect.gen(function* () {
      const { isThere, run } = yield* registering("COMMIT")
      expect(yield* Effect.flip(run)).toMatchObject({
        _tag: "Unavailable",
        message: expect.stringContaining("may have succeeded"),
        cause: new Error("this span cannot be ended")
      })
      expect(yield* isThere).toBe(true)
    })
  )

  it.effect("at a write that is committed all the same has nothing to say", () =>
    Effect.gen(function* () {
      const { isThere, run } = yield* registering("INSERT")
      yield* run
      expect(yield* isThere).toBe(true)
    })
  )

  it.effect("at a read leaves nothing of the transaction", () =>
    Effect.gen(function* () {
      const { isThere, run } = yield* registering("SELECT")
      expect(yield* defectOf(run)).toContain("this span cannot be ended")
      expect(yield* isThere).toBe(false)
    })
  )
})
