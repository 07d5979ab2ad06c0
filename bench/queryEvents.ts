/**
 * `npm run program -- bench/queryEvents.ts [events]`
 *
 * QueryEvents on a log of 1,000,000 events: what each filter costs on the first page and deep in the log, and the plan
 * that PostgreSQL makes for it. The statements are the server's own.
 */
import * as fs from "node:fs/promises"
import * as os from "node:os"
import * as path from "node:path"
import * as PgConnection from "@effect/sql-pg/PgConnection"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as EmbeddedPostgres from "../src/layers/EmbeddedPostgres.ts"
import { registry } from "../src/layers/postgres/Codecs.ts"
import * as EventLogLayer from "../src/layers/postgres/EventLog.ts"
import { migrate } from "../src/layers/postgres/Migrator.ts"
import { Readers } from "../src/layers/postgres/Session.ts"
import type { EventFilter } from "../src/schema/Event.ts"
import type { ChannelName } from "../src/schema/Key.ts"
import { EventLog } from "../src/services/store/EventLog.ts"

const count = Number(process.argv[2] ?? 1_000_000)
const channel = "mychannel" as ChannelName

/** Nine in ten events are of tasks, as in production: registered once, changed four times, each with its reason. */
const fill = `
  INSERT INTO events (channel, position, id, "timestamp", asset_key, asset_kind, event_kind, metadata, message)
  SELECT '${channel}', n, gen_random_uuid(), '2026-01-01'::timestamptz + n * interval '1 ms',
         md5((n / 5)::text)::uuid::text,
         (CASE WHEN n % 1000 = 0 THEN 'ASSET_COMPUTE_PLAN' WHEN n % 10 = 1 THEN 'ASSET_MODEL'
               WHEN n = ${count >> 1} + 1 THEN 'ASSET_ORGANIZATION' ELSE 'ASSET_COMPUTE_TASK' END)::asset_kind,
         (CASE WHEN n % 5 = 0 THEN 'EVENT_ASSET_CREATED' WHEN n % 5000 = 3 THEN 'EVENT_ASSET_DISABLED'
               ELSE 'EVENT_ASSET_UPDATED' END)::event_kind,
         CASE WHEN n % 5 <> 0 THEN jsonb_build_object('reason', CASE WHEN n % 250000 = 7 THEN 'rare' ELSE 'User action' END) END,
         decode(repeat('ab', 600), 'hex')
    FROM generate_series(1, ${count}) n`

const filters: ReadonlyArray<readonly [string, EventFilter]> = [
  ["none", { metadata: new Map() }],
  ["asset_key", { metadata: new Map(), assetKey: "" }],
  ["asset_kind, most", { metadata: new Map(), assetKind: "ASSET_COMPUTE_TASK" }],
  ["asset_kind, 1 in 1,000", { metadata: new Map(), assetKind: "ASSET_COMPUTE_PLAN" }],
  ["asset_kind, one event", { metadata: new Map(), assetKind: "ASSET_ORGANIZATION" }],
  ["event_kind, most", { metadata: new Map(), eventKind: "EVENT_ASSET_UPDATED" }],
  ["event_kind, 1 in 5,000", { metadata: new Map(), eventKind: "EVENT_ASSET_DISABLED" }],
  ["metadata, most", { metadata: new Map([["reason", "User action"]]) }],
  ["metadata, 1 in 250,000", { metadata: new Map([["reason", "rare"]]) }],
  ["metadata, none", { metadata: new Map([["reason", "no such thing"]]) }]
]

const program = Effect.gen(function* () {
  const dataDir = yield* Effect.acquireRelease(
    Effect.promise(async () => {
      const folder = await fs.mkdtemp(path.join(os.tmpdir(), "orc-query-"))
      await fs.chmod(folder, 0o755)
      return folder
    }),
    (folder) => Effect.promise(() => fs.rm(folder, { recursive: true, force: true }))
  )
  const server = yield* EmbeddedPostgres.start({ dataDir: path.join(dataDir, "data"), settings: { fsync: "off" } })
  yield* migrate({ url: server.url })
  const connection = yield* PgConnection.make({
    url: server.url,
    types: registry,
    startupParameters: { search_path: "orchestrator", timezone: "UTC" }
  })
  yield* connection.query(fill)
  yield* connection.query("VACUUM (ANALYZE) events")

  const statements: Array<readonly [string, ReadonlyArray<unknown>]> = []
  const query: Readers["Service"]["query"] = (sql, params) => {
    statements.push([sql, params])
    return Effect.orDie(Effect.map(connection.query(sql, params), ({ rows }) => rows))
  }
  const readers = Readers.of({ query })
  const log = Context.get(
    yield* Layer.build(EventLogLayer.layer.pipe(Layer.provide(Layer.succeed(Readers, readers)))),
    EventLog
  )
  const [some] = (yield* connection.query("SELECT asset_key FROM events WHERE position = $1", [count >> 1])).rows
  const start = Date.UTC(2026, 0, 1) * 1000
  for (const [name, filter] of filters) {
    const asked = filter.assetKey === undefined ? filter : { ...filter, assetKey: String(some?.asset_key) }
    const costs: Array<string> = []
    for (const depth of [0, 0.5, 0.9]) {
      const position = Math.floor(count * depth)
      const request = {
        cursor: depth === 0 ? Option.none() : Option.some([start + position * 1000, position] as const),
        limit: 50,
        maxBytes: 4 * 1024 * 1024
      }
      const page = log.page(channel, asked, false, request as never)
      yield* page
      const begun = performance.now()
      const { items } = yield* page
      costs.push(`${(performance.now() - begun).toFixed(1)} ms (${items.length})`)
    }
    const [sql, params] = statements[statements.length - 3] as (typeof statements)[number]
    const { rows } = yield* connection.query(`EXPLAIN ${sql}`, params, false)
    const plan = rows.map((row) => String(row["QUERY PLAN"])).find((line) => /Scan.* on events/.test(line))
    console.log(
      `${name.padEnd(24)} first ${costs[0]}, half way ${costs[1]}, at 90 % ${costs[2]}; ${plan?.trim().replace(/ {2}\(.*/, "")}`
    )
  }
})

await Effect.runPromise(Effect.scoped(program))
