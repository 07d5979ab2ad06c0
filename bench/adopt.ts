/**
 * `npm run program -- bench/adopt.ts [events] [old PostgreSQL URL]`
 *
 * An adoption of a large old database (200,000 events unless said otherwise): made with SQL, six events and one model
 * for each task, then adopted and verified by the program itself. Prints rates, and the most memory that it held beyond
 * a server that idles.
 */
import { type ChildProcess, execFileSync, spawn } from "node:child_process"
import * as fs from "node:fs/promises"
import * as os from "node:os"
import * as path from "node:path"
import * as PgConnection from "@effect/sql-pg/PgConnection"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as EmbeddedPostgres from "../src/layers/EmbeddedPostgres.ts"

const events = Number(process.argv[2] ?? 200_000)
const perTask = 6
const tasks = Math.ceil(events / perTask)
const perPlan = 100
const root = path.resolve(import.meta.dirname, "..")

const key = (kind: string, n: string) => `md5('${kind}' || (${n}))::uuid`
const open = `'{"process": {"public": true, "authorizedIds": ["MyOrg1MSP"]}, "download": {"public": true, "authorizedIds": ["MyOrg1MSP"]}}'`
const own = `'{"authorizedIds": ["MyOrg1MSP", "MyOrg2MSP"]}'`
const at = (n: string) => `'2026-01-01'::timestamptz + (${n}) * interval '1 ms'`
const rfc = (time: string) => `to_char((${time}) AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')`
const isFirst = `n % ${perPlan} = 0`

/** A task as its events hold it. */
const taskJson = (status: string) => `jsonb_build_object(
  'key', ${key("task", "n")}, 'owner', 'MyOrg1MSP', 'computePlanKey', ${key("plan", `n / ${perPlan}`)}, 'rank', n % ${perPlan},
  'status', '${status}', 'worker', 'MyOrg1MSP', 'creationDate', ${rfc(at(`n * ${perTask}`))}, 'logsPermission', ${own}::jsonb,
  'metadata', jsonb_build_object('round', n::text), 'functionKey', ${key("function", "0")},
  'inputs', jsonb_build_array(jsonb_build_object('identifier', 'opener', 'assetKey', ${key("manager", "0")}),
    jsonb_build_object('identifier', 'datasamples', 'assetKey', ${key("sample", "0")})) ||
    CASE WHEN ${isFirst} THEN '[]' ELSE jsonb_build_array(jsonb_build_object('identifier', 'model', 'parentTaskOutput',
      jsonb_build_object('parentTaskKey', ${key("task", "n - 1")}, 'outputIdentifier', 'model'))) END,
  'outputs', jsonb_build_object('model', jsonb_build_object('permissions', ${open}::jsonb)))`

const modelJson = `jsonb_build_object('key', ${key("model", "n")}, 'computeTaskKey', ${key("task", "n")}, 'owner', 'MyOrg1MSP',
  'address', jsonb_build_object('storageAddress', 'https://models.example.org/' || n, 'checksum', repeat('a', 64)),
  'permissions', ${open}::jsonb, 'creationDate', ${rfc(at(`n * ${perTask} + 3`))})`

const outputJson = `jsonb_build_object('computeTaskKey', ${key("task", "n")}, 'computeTaskOutputIdentifier', 'model',
  'assetKind', 'ASSET_MODEL', 'assetKey', ${key("model", "n")})`

const event = (place: number, kind: string, assetKey: string, eventKind: string, metadata: string, asset: string) =>
  `INSERT INTO public.events (id, asset_key, channel, asset_kind, event_kind, "timestamp", metadata, asset, position)
   SELECT md5('event' || n || '-${place}')::uuid, ${assetKey}, 'mychannel', '${kind}', '${eventKind}',
          ${at(`n * ${perTask} + ${place}`)}, ${metadata}, ${asset}, n * ${perTask} + ${place} + 1
     FROM generate_series(0, ${tasks - 1}) n`

const series = `FROM generate_series(0, ${tasks - 1}) n`
const reason = `'{"reason": "User action"}'::jsonb`

const fill = [
  `INSERT INTO public.organizations VALUES ('MyOrg1MSP', 'mychannel', '2026-01-01', ''), ('MyOrg2MSP', 'mychannel', '2026-01-01', '')`,
  `INSERT INTO public.addressables VALUES ('', ''), ('https://files.example.org/x', repeat('b', 64))`,
  `INSERT INTO public.addressables SELECT 'https://models.example.org/' || n, repeat('a', 64) ${series}`,
  `INSERT INTO public.functions VALUES (${key("function", "0")}, 'mychannel', 'train', 'https://files.example.org/x',
     'https://files.example.org/x', ${open}, 'MyOrg1MSP', '2026-01-01', 'null', 'FUNCTION_STATUS_READY', '')`,
  `INSERT INTO public.function_inputs VALUES (${key("function", "0")}, 'opener', 'ASSET_DATA_MANAGER', false, false),
     (${key("function", "0")}, 'datasamples', 'ASSET_DATA_SAMPLE', true, false), (${key("function", "0")}, 'model', 'ASSET_MODEL', false, true)`,
  `INSERT INTO public.function_outputs VALUES (${key("function", "0")}, 'model', 'ASSET_MODEL', false)`,
  `INSERT INTO public.datamanagers VALUES (${key("manager", "0")}, 'mychannel', 'hospital', 'MyOrg1MSP', ${open},
     'https://files.example.org/x', 'https://files.example.org/x', '2026-01-01', ${own}, 'null')`,
  `INSERT INTO public.datasamples VALUES (${key("sample", "0")}, 'mychannel', 'MyOrg1MSP', repeat('c', 64), '2026-01-01')`,
  `INSERT INTO public.datasample_datamanagers VALUES (${key("sample", "0")}, ${key("manager", "0")})`,
  `INSERT INTO public.compute_plans SELECT ${key("plan", "p")}, 'mychannel', 'MyOrg1MSP', ${at(`p * ${perPlan * perTask}`)}, '', 'null',
     'plan ' || p, NULL, NULL FROM generate_series(0, ${Math.floor((tasks - 1) / perPlan)}) p`,
  `INSERT INTO public.compute_tasks SELECT ${key("task", "n")}, 'mychannel', ${key("plan", `n / ${perPlan}`)}, 'STATUS_DONE',
     'MyOrg1MSP', ${key("function", "0")}, 'MyOrg1MSP', n % ${perPlan}, ${at(`n * ${perTask}`)}, ${own}, jsonb_build_object('round', n::text) ${series}`,
  `INSERT INTO public.compute_task_inputs SELECT ${key("task", "n")}, 'opener', 1, ${key("manager", "0")}, NULL, NULL ${series}`,
  `INSERT INTO public.compute_task_inputs SELECT ${key("task", "n")}, 'datasamples', 2, ${key("sample", "0")}, NULL, NULL ${series}`,
  `INSERT INTO public.compute_task_inputs SELECT ${key("task", "n")}, 'model', 3, NULL, ${key("task", "n - 1")}, 'model' ${series} WHERE NOT ${isFirst}`,
  `INSERT INTO public.compute_task_parents SELECT ${key("task", "n")}, ${key("task", "n - 1")}, 1 ${series} WHERE NOT ${isFirst}`,
  `INSERT INTO public.compute_task_outputs SELECT ${key("task", "n")}, 'model', ${open}, false ${series}`,
  `INSERT INTO public.compute_task_output_assets SELECT ${key("task", "n")}, 'model', 0, 'ASSET_MODEL', ${key("model", "n")}::text ${series}`,
  `INSERT INTO public.models SELECT ${key("model", "n")}, 'mychannel', ${key("task", "n")}, 'https://models.example.org/' || n, ${open},
     'MyOrg1MSP', ${at(`n * ${perTask} + 3`)} ${series}`,
  event(
    0,
    "ASSET_COMPUTE_TASK",
    key("task", "n"),
    "EVENT_ASSET_CREATED",
    "'null'::jsonb",
    taskJson("STATUS_WAITING_FOR_EXECUTOR_SLOT")
  ),
  event(1, "ASSET_COMPUTE_TASK", key("task", "n"), "EVENT_ASSET_UPDATED", reason, taskJson("STATUS_EXECUTING")),
  event(
    2,
    "ASSET_PROFILING_STEP",
    key("task", "n"),
    "EVENT_ASSET_CREATED",
    "'null'::jsonb",
    `jsonb_build_object('assetKey', ${key("task", "n")}, 'step', 'train', 'duration', 1500000)`
  ),
  event(3, "ASSET_MODEL", key("model", "n"), "EVENT_ASSET_CREATED", "'null'::jsonb", modelJson),
  event(4, "ASSET_COMPUTE_TASK_OUTPUT_ASSET", key("task", "n"), "EVENT_ASSET_CREATED", "'null'::jsonb", outputJson),
  event(5, "ASSET_COMPUTE_TASK", key("task", "n"), "EVENT_ASSET_UPDATED", reason, taskJson("STATUS_DONE"))
]

/** Tables and names are those of the tests; the rows of data.sql are not loaded. */
const oldTables = async (): Promise<ReadonlyArray<string>> => {
  const split = async (file: string) =>
    (await fs.readFile(path.join(root, "test/adoption", file), "utf8"))
      .split(/;\n/)
      .filter((text) => text.trim() !== "")
  const names = /INTO public\.(\w+_kinds|\w+_types|\w+_statuses) /
  return [...(await split("tables.sql")), ...(await split("data.sql")).filter((row) => names.test(row))]
}

const inDatabase = (url: string, name: string) => Object.assign(new URL(url), { pathname: `/${name}` }).href

const execute = (url: string, statements: ReadonlyArray<string>) =>
  Effect.scoped(
    Effect.flatMap(PgConnection.make({ url: Redacted.make(url) }), (connection) =>
      Effect.forEach(statements, (sql) => connection.query(sql, [], false), { discard: true })
    )
  )

/** What a database takes on the disk, in MiB. */
const sizeOf = (url: string) =>
  Effect.scoped(
    Effect.flatMap(PgConnection.make({ url: Redacted.make(url) }), (connection) =>
      Effect.map(
        connection.query("SELECT (pg_database_size(current_database()) / 1048576)::float8 AS size"),
        ({ rows }) => Number(rows[0]?.size).toFixed(0)
      )
    )
  )

/** Resident memory of a process in MiB. */
const memory = (pid: number | undefined): number => {
  try {
    return Number(execFileSync("ps", ["-o", "rss=", "-p", String(pid)], { encoding: "utf8" })) / 1024
  } catch {
    return 0
  }
}

const program = (url: string, channels: string, ...args: ReadonlyArray<string>): ChildProcess =>
  spawn(process.execPath, ["--max-semi-space-size=16", path.join(root, "src/server/main.ts"), ...args], {
    env: {
      ...process.env,
      ORCHESTRATOR_DATABASE_URL: url,
      ORCHESTRATOR_CHANNEL_CONFIG: channels,
      ORCHESTRATOR_GRPC_PORT: "0",
      ORCHESTRATOR_HTTP_PORT: "0"
    },
    stdio: ["ignore", "pipe", "inherit"]
  })

/** Memory of a server that has started and does nothing. */
const idle = (url: string, channels: string) =>
  new Promise<number>((resolve) => {
    const server = program(url, channels)
    server.stdout?.on("data", (text: Buffer) => {
      if (!text.includes("gRPC")) return
      resolve(memory(server.pid))
      server.kill("SIGKILL")
    })
  })

const measured = async (child: ChildProcess) => {
  const begun = performance.now()
  let peak = 0
  const sampling = setInterval(() => {
    peak = Math.max(peak, memory(child.pid))
  }, 250)
  child.stdout?.pipe(process.stdout)
  const code = await new Promise<number | null>((resolve) => child.on("close", resolve))
  clearInterval(sampling)
  if (code !== 0) throw new Error(`the program ended with ${code}`)
  return { seconds: (performance.now() - begun) / 1000, peak }
}

await Effect.runPromise(
  Effect.scoped(
    Effect.gen(function* () {
      const folder = yield* Effect.acquireRelease(
        Effect.promise(async () => {
          const made = await fs.mkdtemp(path.join(os.tmpdir(), "orc-adopt-"))
          await fs.chmod(made, 0o755)
          return made
        }),
        (made) => Effect.promise(() => fs.rm(made, { recursive: true, force: true }))
      )
      const server = yield* EmbeddedPostgres.start({ dataDir: path.join(folder, "data") })
      const url = Redacted.value(server.url)
      yield* execute(Redacted.value(server.adminUrl), ["CREATE DATABASE target OWNER orchestrator"])
      const old = process.argv[3] ?? url
      const target = inDatabase(url, "target")
      const begun = performance.now()
      yield* execute(old, [...(yield* Effect.promise(oldTables)), ...fill, "ANALYZE"])
      const rows = tasks * perTask
      console.log(`made ${rows} events and ${tasks} tasks in ${((performance.now() - begun) / 1000).toFixed(0)} s`)
      const channels = path.join(folder, "channels.yaml")
      yield* Effect.promise(() => fs.writeFile(channels, "channels:\n  mychannel: [MyOrg1MSP, MyOrg2MSP]\n"))

      const base = yield* Effect.promise(() => idle(target, channels))
      for (const [what, ...args] of [["adopt"], ["verify", "--verify"]] as const) {
        const { peak, seconds } = yield* Effect.promise(() =>
          measured(program(target, channels, "adopt", "--from", old, ...args))
        )
        console.log(
          `${what}: ${rows} events and ${tasks} tasks in ${seconds.toFixed(1)} s, ${Math.round(rows / seconds)} events/s; memory at most ${peak.toFixed(0)} MiB, ${(peak - base).toFixed(0)} over an idle server's ${base.toFixed(0)}`
        )
      }
      console.log(`the old database takes ${yield* sizeOf(old)} MiB, the new one ${yield* sizeOf(target)}`)
    })
  )
)
