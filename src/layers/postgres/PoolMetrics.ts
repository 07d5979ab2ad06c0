/** How much of a pool is in use, and how long callers wait for it: a pool that is too small shows here first. */
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Metric from "effect/Metric"
import type * as Scope from "effect/Scope"

const inUse = Metric.gauge("orc_db_pool_in_use", {
  description: "Transactions that have a connection of the writers; reads that are under way on the readers"
})
const waiting = Metric.gauge("orc_db_pool_waiting", { description: "Callers that wait for a connection" })
const waited = Metric.histogram("orc_db_pool_wait_seconds", {
  description: "Seconds that callers waited for a connection",
  boundaries: [0.0001, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5]
})

export class PoolMetrics {
  private used = 0
  private queued = 0
  private readonly context: Context.Context<never>
  private readonly inUse: Metric.Gauge<number>
  private readonly waiting: Metric.Gauge<number>
  private readonly waited: Metric.Histogram<number>

  constructor(pool: "writers" | "readers", context: Context.Context<never>) {
    this.context = context
    this.inUse = Metric.withAttributes(inUse, { pool })
    this.waiting = Metric.withAttributes(waiting, { pool })
    this.waited = Metric.withAttributes(waited, { pool })
  }

  private queue(by: 1 | -1): void {
    this.queued += by
    this.waiting.updateUnsafe(this.queued, this.context)
  }

  private use(by: 1 | -1): void {
    this.used += by
    this.inUse.updateUnsafe(this.used, this.context)
  }

  private got(since: number): void {
    this.queue(-1)
    this.use(1)
    this.waited.updateUnsafe((performance.now() - since) / 1000, this.context)
  }

  /** A connection until the scope closes. */
  leased<A, E>(get: Effect.Effect<A, E, Scope.Scope>): Effect.Effect<A, E, Scope.Scope> {
    return Effect.uninterruptibleMask((restore) =>
      Effect.suspend(() => {
        const since = performance.now()
        this.queue(1)
        return Effect.matchCauseEffect(restore(get), {
          onFailure: (cause) =>
            Effect.andThen(
              Effect.sync(() => this.queue(-1)),
              Effect.failCause(cause)
            ),
          onSuccess: (connection) => {
            this.got(since)
            return Effect.as(
              Effect.addFinalizer(() => Effect.sync(() => this.use(-1))),
              connection
            )
          }
        })
      })
    )
  }

  /** A use of a connection; `begun` is called once there is one. */
  during<A, E>(use: (begun: () => void) => Effect.Effect<A, E>): Effect.Effect<A, E> {
    return Effect.suspend(() => {
      const since = performance.now()
      let state: "out" | "queued" | "begun" = "out"
      const used = Effect.suspend(() => {
        state = "queued"
        this.queue(1)
        return use(() => {
          state = "begun"
          this.got(since)
        })
      })
      const end = Effect.sync(() => {
        if (state === "begun") this.use(-1)
        if (state === "queued") this.queue(-1)
      })
      return Effect.ensuring(used, end)
    })
  }
}
