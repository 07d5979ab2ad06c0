/** How the process is: its event loop, its memory and what it is, in names that dashboards of Node know. */
import { monitorEventLoopDelay } from "node:perf_hooks"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Metric from "effect/Metric"

const gauge = (name: string, description: string) => Metric.gauge(name, { description })

const lagMean = gauge("nodejs_eventloop_lag_mean_seconds", "Mean delay of the event loop in the last seconds")
const lagP99 = gauge("nodejs_eventloop_lag_p99_seconds", "99th percentile of the event loop's delay")
const lagMax = gauge("nodejs_eventloop_lag_max_seconds", "Longest delay of the event loop in the last seconds")
const heapUsed = gauge("nodejs_heap_size_used_bytes", "Bytes of the heap that are used")
const heapTotal = gauge("nodejs_heap_size_total_bytes", "Bytes of the heap")
const resident = gauge("process_resident_memory_bytes", "Bytes of memory that the process has")
const build = gauge("orc_build_info", "1, with the versions of the server and of Node as labels")

/** Between two measurements: event loop figures are those of this time. */
const interval = Duration.seconds(10)
/** What the monitor itself waits: an idle event loop is so late by its count. */
const resolution = 10

/** Measures until its scope closes. */
export const layer = (version: string): Layer.Layer<never> =>
  Layer.effectDiscard(
    Effect.gen(function* () {
      yield* Metric.update(Metric.withAttributes(build, { version, node: process.versions.node }), 1)
      const delay = monitorEventLoopDelay({ resolution })
      delay.enable()
      yield* Effect.addFinalizer(() => Effect.sync(() => delay.disable()))
      const late = (nanos: number) => (Number.isNaN(nanos) ? 0 : Math.max(0, nanos / 1e9 - resolution / 1000))
      const measure = Effect.suspend(() => {
        const { heapTotal: total, heapUsed: used, rss } = process.memoryUsage()
        const figures = [
          [lagMean, late(delay.mean)],
          [lagP99, late(delay.percentile(99))],
          [lagMax, late(delay.max)],
          [heapUsed, used],
          [heapTotal, total],
          [resident, rss]
        ] as const
        delay.reset()
        return Effect.forEach(figures, ([metric, value]) => Metric.update(metric, value), { discard: true })
      })
      yield* measure
      yield* Effect.forkScoped(Effect.forever(Effect.andThen(Effect.sleep(interval), measure)))
    })
  )
