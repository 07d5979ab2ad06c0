/** What cannot be taken over: databases that are not the right one, and rows that break a rule of this server. */
import { readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import * as PgConnection from "@effect/sql-pg/PgConnection"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import { describe, expect, it } from "vitest"
import * as OldDatabase from "../../src/layers/postgres/adoption/OldDatabase.ts"
import { type Problem, type Table, tables } from "../../src/schema/Adoption.ts"
import { emptyDatabase, folder } from "../server/Program.ts"
import { execute } from "../support/database.ts"
import { adopt, verify } from "./Adoption.ts"
import { dropConstraints, oldDatabase, rows } from "./OldServer.ts"

const inDatabase = (url: string, name: string) => Object.assign(new URL(url), { pathname: `/${name}` }).href

/** The same database for another role, whether a socket or TCP leads there. */
const as = (url: string, role: string): string => {
  const made = new URL(url)
  if (made.searchParams.has("user")) made.searchParams.set("user", role)
  else Object.assign(made, { username: role, password: role })
  return made.href
}

/** The rows in the tables of this server, if it has any tables. */
const written = async (url: string): Promise<number> => {
  const [found] = await rows(url, "SELECT to_regclass('orchestrator.events') IS NOT NULL AS there")
  if (found?.there !== true) return 0
  const names = await rows(
    url,
    "SELECT tablename AS name FROM pg_tables WHERE schemaname = 'orchestrator' AND tablename <> 'migrations'"
  )
  const counts = await Promise.all(
    names.map(({ name }) => rows(url, `SELECT count(*)::int AS rows FROM orchestrator.${name}`))
  )
  return counts.reduce((sum, [row]) => sum + Number(row?.rows), 0)
}

describe("a database that cannot be taken over", () => {
  const refusal = async (from: string): Promise<string | undefined> => {
    const target = await emptyDatabase()
    const { failure } = await adopt({ from, target: target.url })
    expect(await written(target.url)).toBe(0)
    return failure
  }

  it("does not exist", async () => {
    const { url } = await emptyDatabase()
    const failure = await refusal(inDatabase(url, "no_such_database"))
    expect(failure).toMatch(
      /^the old database cannot be read: database "no_such_database" does not exist\. Look at --from/
    )
  })

  it("is out of reach", async () => {
    expect(await refusal("postgresql://nobody@127.0.0.1:1/nothing")).toMatch(
      /^the old database cannot be read: .*Look at --from/
    )
  })

  it("is no orchestrator's", async () => {
    const { url } = await emptyDatabase()
    expect(await refusal(url)).toMatch(
      /is not that of an orchestrator 1\.0\.0: it has no table public\.organizations, /
    )
  })

  it("may not be read", async () => {
    const old = await oldDatabase()
    await execute(old.adminUrl, "CREATE ROLE adoption_stranger LOGIN PASSWORD 'adoption_stranger'")
    const failure = await refusal(as(old.url, "adoption_stranger"))
    expect(failure).toMatch(
      /^the role "adoption_stranger" may not read public\.\w+.* of the old database: GRANT SELECT/
    )
  })

  it("is of another version", async () => {
    const old = await oldDatabase()
    await execute(old.url, "UPDATE public.schema_migrations SET version = 63")
    expect(await refusal(old.url)).toMatch(
      /has schema 63, that of orchestrator 1\.0\.0 is 64: upgrade the old orchestrator/
    )
  })

  it("is dirty", async () => {
    const old = await oldDatabase()
    await execute(old.url, "UPDATE public.schema_migrations SET dirty = true")
    expect(await refusal(old.url)).toMatch(/^the old database is dirty: its migration 64 stopped half-way/)
  })

  it("has no such channel", async () => {
    const old = await oldDatabase()
    const target = await emptyDatabase()
    const { failure } = await adopt({ from: old.url, target: target.url, channels: ["mychannel", "hischannel"] })
    expect(failure).toBe('the old database has no channel "hischannel": it has mychannel, yourchannel')
  })
})

describe("an old server that still writes", () => {
  const newEvent = `INSERT INTO public.events SELECT gen_random_uuid(), asset_key, channel, asset_kind, event_kind,
    "timestamp", metadata, asset, 1000 FROM public.events WHERE position = 1`

  it("is seen by its open transaction; what the snapshot holds counts", async () => {
    const old = await oldDatabase()
    const target = await emptyDatabase()
    const outcome = await Effect.runPromise(
      Effect.scoped(
        Effect.gen(function* () {
          const writer = yield* PgConnection.make({ url: Redacted.make(old.url) })
          yield* writer.query("BEGIN")
          yield* writer.query(newEvent)
          return yield* Effect.promise(() => adopt({ from: old.url, target: target.url }))
        })
      )
    )
    expect(outcome.failure).toBeUndefined()
    expect(outcome.stderr).toContain(
      "warning: the old server may still be writing: 1 other sessions have an open transaction"
    )
    expect(outcome.stdout).toMatch(/mychannel +events +76 +76 /)
  })

  it("is seen by its log, which goes on after the snapshot", async () => {
    const old = await oldDatabase()
    const [before, after, seen] = await Effect.runPromise(
      Effect.scoped(
        Effect.gen(function* () {
          const opened = yield* OldDatabase.open({ url: Redacted.make(old.url) })
          const first = yield* opened.signsOfWriting
          yield* Effect.promise(() => execute(old.url, newEvent))
          const second = yield* opened.signsOfWriting
          return [first, second, yield* opened.query("SELECT count(*)::int AS events FROM public.events")] as const
        })
      )
    )
    expect(before).toEqual([])
    expect(after).toEqual(["the log went on from position 163 to 1000 after the snapshot was taken"])
    expect(seen).toEqual([{ events: 163 }])
  })
})

interface Broken {
  readonly what: string
  readonly by: string
  readonly table: Table
  readonly key: string
  readonly reason: RegExp
  /** What cannot stay without it, and whatever else the change breaks. */
  readonly more?: ReadonlyArray<Table>
}

const task = "23b69f64-adba-4473-9136-b734d13bf7cd"
const model = "f58ad999-5423-492a-8e87-788a110172b2"
const setEvent = (asset: string) => `UPDATE public.events SET asset = '${asset}' WHERE position = 3`
const thirdEvent = "a1766e92-5dcf-4d9a-bf44-2517fc42f9bc"

const broken: ReadonlyArray<Broken> = [
  {
    what: "a task of an unknown status",
    by: `UPDATE public.compute_tasks SET status = 'STATUS_DREAMING' WHERE key = '${task}'`,
    table: "compute_tasks",
    key: task,
    reason: /^status: .*"STATUS_DREAMING"/
  },
  {
    what: "a function whose status nobody knows",
    by: "UPDATE public.functions SET status = 'FUNCTION_STATUS_UNKNOWN' WHERE key = '74ffdd76-5c4c-5a47-a051-b9a068327bcb'",
    table: "functions",
    key: "74ffdd76-5c4c-5a47-a051-b9a068327bcb",
    reason: /^status: .*"FUNCTION_STATUS_UNKNOWN"/,
    more: ["compute_tasks", "models", "performances"]
  },
  {
    what: "a task without its plan",
    by: `UPDATE public.compute_tasks SET compute_plan_key = '${task}' WHERE key = '${task}'`,
    table: "compute_tasks",
    key: task,
    reason: new RegExp(`^refers to what is not there in this channel: compute_plans ${task}$`)
  },
  {
    what: "a task whose parent is missing",
    by: `UPDATE public.compute_task_inputs SET parent_task_key = '${model}' WHERE compute_task_key = '${task}' AND parent_task_key IS NOT NULL`,
    table: "compute_tasks",
    key: task,
    reason: new RegExp(`^refers to what is not there in this channel: compute_tasks ${model}$`)
  },
  {
    what: "an input that refers to nothing",
    by: `UPDATE public.compute_task_inputs SET parent_task_key = NULL, parent_task_output_identifier = NULL WHERE compute_task_key = '${task}'`,
    table: "compute_tasks",
    key: task,
    reason: /^inputs\[0\]\.ref: must be an asset_key or a parent_task_output$/
  },
  {
    what: "a permission that is no object",
    by: `UPDATE public.models SET permissions = '"everybody"' WHERE key = '${model}'`,
    table: "models",
    key: model,
    reason: /^permissions: /
  },
  {
    what: "metadata that are no texts",
    by: `UPDATE public.compute_plans SET metadata = '{"rounds": 1}' WHERE key = 'c6524fab-3adb-5ea4-a439-3f11ddce887d'`,
    table: "compute_plans",
    key: "c6524fab-3adb-5ea4-a439-3f11ddce887d",
    reason: /^metadata/,
    more: ["compute_tasks", "models", "performances"]
  },
  {
    what: "a sample under a manager of nowhere",
    by: `UPDATE public.datasample_datamanagers SET datamanager_key = '${task}' WHERE datasample_key = '94da2e13-21a9-5f8e-a2b1-fc94241d5fe5'`,
    table: "datasamples",
    key: "94da2e13-21a9-5f8e-a2b1-fc94241d5fe5",
    reason: /datamanagers 23b69f64/,
    // A task that was given the sample, with its outputs: it would run on less.
    more: ["compute_tasks", "models", "performances"]
  },
  {
    what: "a model that no output holds",
    by: `DELETE FROM public.compute_task_output_assets WHERE asset_key = '${model}'`,
    table: "models",
    key: model,
    reason: /compute_task_output_assets/
  },
  {
    what: "an address that is not among the addressables",
    by: `UPDATE public.models SET address = 'https://nowhere.example.org' WHERE key = '${model}'`,
    table: "models",
    key: model,
    reason: /^address: "https:\/\/nowhere.example.org" is not in addressables$/
  },
  {
    what: "a performance beyond any 32-bit float",
    by: "UPDATE public.performances SET performance_value = 1e60 WHERE compute_task_output_identifier = 'performance'",
    table: "performances",
    key: "cc50aa69-954c-5b24-b1d8-285de5f0306b|performance",
    reason: /is no 32-bit float$/
  },
  {
    what: "a failure report without the logs that its type has",
    by: "UPDATE public.failure_reports SET logs_address = NULL WHERE error_type = 'ERROR_TYPE_BUILD'",
    table: "failure_reports",
    key: "06474236-450b-5e47-99ec-51d4aadc4e27",
    reason: /^logs_address: must be there/
  },
  {
    what: "an event of a field that the contract does not have",
    by: setEvent('{"key": "x", "colour": "red"}'),
    table: "events",
    key: thirdEvent,
    reason: /colour/
  },
  {
    what: "an event with a number for a text",
    by: setEvent('{"key": 5}'),
    table: "events",
    key: thirdEvent,
    reason: /key/
  },
  {
    what: "an event of an enum's unknown number",
    by: setEvent('{"status": 77}'),
    table: "events",
    key: thirdEvent,
    reason: /"status": 77 is not known to the contract/
  },
  {
    what: "an event without an asset",
    by: setEvent("null"),
    table: "events",
    key: thirdEvent,
    reason: /must be an object/
  },
  {
    what: "an event of a kind that there is no asset of",
    by: "UPDATE public.events SET asset_kind = 'ASSET_METRIC' WHERE position = 3",
    table: "events",
    key: thirdEvent,
    reason: /^asset_kind: ASSET_METRIC is of no asset$/
  }
]

const problems = (file: string): ReadonlyArray<Problem> =>
  readFileSync(file, "utf8")
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as Problem)

describe("a row that breaks a rule", () => {
  it.each(broken)(
    "$what: nothing is written, unless its table is named, and then a file has it",
    async ({ by, key, more = [], reason, table }) => {
      const old = await oldDatabase()
      const target = await emptyDatabase()
      await execute(old.url, dropConstraints, by)
      const both = { from: old.url, target: target.url }

      const refused = await adopt(both)
      expect(refused.failure).toContain(`--skip-invalid ${table}`)
      expect(await written(target.url)).toBe(0)
      const found = problems(refused.invalidFile).find((problem) => problem.key === key)
      expect(found).toMatchObject({ table, reason: expect.stringMatching(reason) })
      expect(found?.row).toBeTypeOf("object")
      expect(refused.stdout).toMatch(new RegExp(`invalid: channel \\w+, ${table} ${key.replace("|", "\\|")}: `))

      const dry = await adopt({ ...both, dryRun: true })
      expect(dry.failure).toBe(refused.failure)

      const skipInvalid = [table, ...more]
      const adopted = await adopt({ ...both, skipInvalid })
      expect(adopted.failure).toBeUndefined()
      expect(problems(adopted.invalidFile).map((problem) => problem.key)).toContain(key)
      const verified = await verify({ ...both, skipInvalid })
      expect(verified.failure).toBeUndefined()
      expect(verified.stdout).toContain("no difference")
      expect((await verify(both)).failure).toMatch(/the databases differ in/)
    },
    60_000
  )

  it("takes with it what needs it, each named with the reason; another table must be named too", async () => {
    const old = await oldDatabase()
    const target = await emptyDatabase()
    const root = "3b331433-8500-4190-8d12-3e836ff3e7cb"
    await execute(
      old.url,
      dropConstraints,
      `UPDATE public.compute_tasks SET status = 'STATUS_DREAMING' WHERE key = '${root}'`
    )
    const both = { from: old.url, target: target.url }
    const refused = await adopt({ ...both, skipInvalid: ["compute_tasks"] })
    expect(refused.failure).toMatch(/--skip-invalid models$/)
    const reasons = problems(refused.invalidFile).map((problem) => problem.reason)
    expect(reasons).toContain(`its parent compute_tasks ${root} is left out`)
    expect(reasons).toContain(`refers to compute_tasks ${root}, which is left out`)
    const adopted = await adopt({ ...both, skipInvalid: ["compute_tasks", "models"] })
    expect(adopted.failure).toBeUndefined()
    expect(await rows(target.url, "SELECT FROM orchestrator.compute_tasks WHERE channel = 'mychannel'")).toHaveLength(9)
    expect((await verify({ ...both, skipInvalid: [...tables] })).failure).toBeUndefined()
  })

  it("takes the tasks with it that were given it, where it is data", async () => {
    const old = await oldDatabase()
    const target = await emptyDatabase()
    const sample = "94da2e13-21a9-5f8e-a2b1-fc94241d5fe5"
    const nowhere = `UPDATE public.datasample_datamanagers SET datamanager_key = '${task}' WHERE datasample_key = '${sample}'`
    await execute(old.url, dropConstraints, nowhere)
    const refused = await adopt({ from: old.url, target: target.url })
    const tasks = problems(refused.invalidFile).filter(({ table }) => table === "compute_tasks")
    expect(tasks.map(({ reason }) => reason)).toContain(`refers to datasamples ${sample}, which is left out`)
  })

  it("cannot be left out where its file cannot be written", async () => {
    const old = await oldDatabase()
    const target = await emptyDatabase()
    await execute(old.url, dropConstraints, setEvent("null"))
    const both = { from: old.url, target: target.url, skipInvalid: ["events"] as const }
    const { failure } = await adopt({ ...both, invalidFile: "/nowhere/file.jsonl" })
    expect(failure).toMatch(/^the file of invalid rows cannot be written: .*--invalid-file/)
    expect(await written(target.url)).toBe(0)
  })

  it("nothing is read where their file is there already", async () => {
    const invalidFile = join(await folder(), "there.jsonl")
    writeFileSync(invalidFile, "kept")
    const nowhere = "postgresql://nobody@127.0.0.1:1/nowhere"
    const { failure } = await adopt({ from: nowhere, target: nowhere, invalidFile })
    expect(failure).toMatch(
      /^the file of invalid rows cannot be written: .*there.jsonl exists. Name another with --invalid-file/
    )
    expect(readFileSync(invalidFile, "utf8")).toBe("kept")
  })
})
