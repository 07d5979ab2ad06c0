/** The Grafana dashboard names only metrics and labels that the server serves. */
import { rm, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { describe, expect, it } from "vitest"
import * as Drive from "../blackbox/Drivers.ts"
import { failure } from "../blackbox/Refusals.ts"
import { createDatabase } from "../support/database.ts"
import { folder, serve } from "./servers.ts"
import { deploy, read } from "./support.ts"

/** By name, with every label that it was served with; `_bucket`, `_sum` and `_count` are names of their own. */
type Served = ReadonlyMap<string, ReadonlySet<string>>

const served = (text: string): Served => {
  const found = new Map<string, Set<string>>()
  for (const line of text.split("\n")) {
    const [, name, labels = ""] = /^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? /.exec(line) ?? []
    if (name === undefined) continue
    const known = found.get(name) ?? new Set()
    for (const [, label = ""] of labels.matchAll(/([a-zA-Z_]+)="/g)) known.add(label)
    found.set(name, known)
  }
  return found
}

/** What a server serves after calls of every kind that the dashboard shows, those that go wrong among them. */
const serveAndCall = async (): Promise<Served> => {
  const database = await createDatabase()
  const channels = join(await folder(), "channels.yaml")
  await writeFile(channels, "channels: { mychannel: [MyOrg1MSP, MyOrg2MSP] }\n")
  const server = await serve({
    ORCHESTRATOR_DATABASE_URL: database.url,
    ORCHESTRATOR_CHANNEL_CONFIG: channels,
    ORCHESTRATOR_RELOAD_INTERVAL: "50ms",
    METRICS_ENABLED: "true"
  })
  const metrics = async () => served(await (await fetch(`${server.http}/metrics`)).text())
  const [one] = await server.organizations()
  const parent = await Drive.aTaskIn(one, "STATUS_EXECUTING")
  await Drive.act(one, parent, "DONE")
  await failure(one.getTask({ key: parent.functionKey }))
  await using stream = one.subscribeToEvents()
  await stream.take(3)
  await rm(channels)
  // Gauges of subscribers follow within a second, the refused file within the interval.
  const wanted = ["orc_event_subscribers", "orc_config_reloads_total"]
  for (;;) {
    const found = await metrics()
    if (wanted.every((name) => found.has(name))) {
      await server.stop()
      await database.drop()
      return found
    }
    await new Promise((tick) => setTimeout(tick, 20))
  }
}

const dashboard: { readonly panels: ReadonlyArray<Panel> } = JSON.parse(read(deploy, "grafana/dashboard.json"))

interface Panel {
  readonly id: number
  readonly type: string
  readonly title: string
  readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number }
  readonly targets?: ReadonlyArray<{ readonly expr: string }>
}

/** What Prometheus adds. */
const targetLabels = ["job", "instance", "le"]

/** Served once there is something to count that these calls do not bring about. */
const rare = [
  "orc_transaction_retries_total",
  "orc_event_notifications_sent_total",
  "orc_event_notifications_received_total",
  "orc_event_poll_found_total",
  "orc_event_ring_hits_total",
  "orc_event_ring_misses_total"
]

const metricsIn = (expr: string): ReadonlyArray<string> =>
  expr.match(/\b(?:orc|grpc_server|nodejs|process)_[a-z0-9_]+/g) ?? []

const labelsIn = (expr: string): ReadonlyArray<string> => [
  ...[...expr.matchAll(/([a-z_]+)(?:=~|!=|!~|=)"/g)].map(([, label = ""]) => label),
  ...[...expr.matchAll(/by \(([^)]*)\)/g)].flatMap(([, list = ""]) => list.split(/, */))
]

describe("the dashboard", () => {
  const queries = dashboard.panels.flatMap(({ targets = [], title }) =>
    targets.map(({ expr }) => [title, expr] as const)
  )

  it("has panels, one a place", () => {
    expect(queries.length).toBeGreaterThan(15)
    expect(new Set(dashboard.panels.map(({ id }) => id)).size).toBe(dashboard.panels.length)
    const places = dashboard.panels.map(({ gridPos }) => `${gridPos.x},${gridPos.y}`)
    expect(new Set(places).size).toBe(places.length)
    expect(dashboard.panels.filter(({ gridPos }) => gridPos.x + gridPos.w > 24)).toEqual([])
  })

  it("names only metrics and labels that the server serves", async () => {
    const found = await serveAndCall()
    for (const [title, expr] of queries) {
      for (const metric of metricsIn(expr)) {
        if (rare.includes(metric)) continue
        expect([...found.keys()], `${title}: ${expr}`).toContain(metric)
        const labels = [...(found.get(metric) ?? []), ...targetLabels]
        expect(
          labelsIn(expr).filter((label) => !labels.includes(label)),
          `${title}: ${expr}`
        ).toEqual([])
      }
    }
  })
})
