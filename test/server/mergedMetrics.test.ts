/** The metrics of several processes add up to those of one server. */
import { describe, expect, it } from "vitest"
import { counted, format, merge, parse } from "../../src/server/workers/MergedMetrics.ts"

const one = `# HELP calls_total Calls, of "all" kinds
# TYPE calls_total counter
calls_total{method="a b",code="OK"} 3
calls_total{method="c",code="OK"} 1
# HELP handling_seconds Duration
# TYPE handling_seconds histogram
handling_seconds_bucket{le="0.1"} 2
handling_seconds_bucket{le="+Inf"} 4
handling_seconds_sum 1.5
handling_seconds_count 4
# HELP streams Open streams
# TYPE streams gauge
streams 7
# HELP nodejs_eventloop_lag_p99_seconds Late
# TYPE nodejs_eventloop_lag_p99_seconds gauge
nodejs_eventloop_lag_p99_seconds 0.25
`

const other = `# HELP calls_total Calls, of "all" kinds
# TYPE calls_total counter
calls_total{method="a b",code="OK"} 4
# HELP streams Open streams
# TYPE streams gauge
streams 2
# HELP nodejs_eventloop_lag_p99_seconds Late
# TYPE nodejs_eventloop_lag_p99_seconds gauge
nodejs_eventloop_lag_p99_seconds 0.5
# HELP only_here_total Something
# TYPE only_here_total counter
only_here_total +Inf
`

describe("merged metrics", () => {
  it("of one process are what it says", () => {
    expect(format(parse(one))).toBe(one)
    expect(format(merge([parse(other)]))).toBe(other)
  })

  it("add up by name and labels; of how late processes are, the worst stands", () => {
    const text = format(merge([parse(one), parse(other)]))
    expect(text.split("\n")).toEqual(
      expect.arrayContaining([
        'calls_total{method="a b",code="OK"} 7',
        'calls_total{method="c",code="OK"} 1',
        'handling_seconds_bucket{le="+Inf"} 4',
        "streams 9",
        "nodejs_eventloop_lag_p99_seconds 0.5",
        "only_here_total +Inf"
      ])
    )
    expect(text.match(/^# TYPE calls_total/gm)).toHaveLength(1)
  })

  it("of a process that has ended count on, and are no more what it had open", () => {
    const text = format(merge([counted(parse(one)), parse(other)]))
    expect(text).toContain('calls_total{method="a b",code="OK"} 7\n')
    expect(text).toContain("handling_seconds_sum 1.5\n")
    expect(text).toContain("streams 2\n")
  })

  it("of no process are none", () => {
    expect(format(merge([]))).toBe("")
    expect(format(parse(""))).toBe("")
  })
})
