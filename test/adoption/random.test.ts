/** Whatever an old server may hold is taken over, and a comparison finds no difference; any that is made it finds. */
import * as PgConnection from "@effect/sql-pg/PgConnection"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import fc from "fast-check"
import { beforeAll, describe, expect, it } from "vitest"
import { Event } from "../../src/layers/wire/generated/event.ts"
import { type Database, database, emptyDatabase } from "../server/Program.ts"
import { execute } from "../support/database.ts"
import { adopt, verify } from "./Adoption.ts"
import { message } from "./Messages.ts"
import { createTables, oldDatabase, rows } from "./OldServer.ts"
import { databases, type Rows } from "./RandomRows.ts"

const truncate = (schema: string, kept: string) => `DO $$ BEGIN EXECUTE (
  SELECT 'TRUNCATE ' || string_agg(format('%I.%I', schemaname, tablename), ', ') || ' CASCADE' FROM pg_tables
   WHERE schemaname = '${schema}' AND tablename !~ '${kept}'); END $$`

/** JSON null in a column of JSON is a value there: metadata that are none. */
const insertion = (table: string, [row = {}]: Rows[string]): string => {
  const names = Object.keys(row)
  const values = names.map((name) => (name === "metadata" ? "coalesce(metadata, 'null')" : name))
  return `INSERT INTO public.${table} (${names}) SELECT ${values} FROM json_populate_recordset(NULL::public.${table}, $1::text::json)`
}

const load = (url: string, made: Rows) =>
  PgConnection.make({ url: Redacted.make(url) }).pipe(
    Effect.tap((connection) => connection.query("BEGIN")),
    Effect.tap((connection) =>
      Effect.forEach(Object.entries(made), ([table, ofTable]) =>
        connection.query(insertion(table, ofTable), [JSON.stringify(ofTable)], false)
      )
    ),
    Effect.tap((connection) => connection.query("COMMIT")),
    Effect.scoped,
    Effect.runPromise
  )

describe("random old rows that keep the old constraints", () => {
  let old: Database
  let target: Database

  beforeAll(async () => {
    old = await emptyDatabase()
    target = await database()
    await createTables(old.url)
  })

  /** Events in the order of the log, as the contract has them, read without the program. */
  const expectLog = async (made: Rows) => {
    for (const channel of ["mychannel", "yourchannel"]) {
      const log = await rows(
        target.url,
        "SELECT id, position, message FROM orchestrator.events WHERE channel = $1 ORDER BY position",
        [channel]
      )
      const wanted = (made.events ?? []).filter((event) => event.channel === channel)
      expect(log.map(({ id, position }) => [Number(position), id])).toEqual(
        wanted.map(({ id }, index) => [index + 1, id])
      )
      for (const [index, { asset, asset_key, asset_kind, event_kind, id, metadata }] of wanted.entries()) {
        const { timestamp, ...event } = Event.decode(log[index]?.message as Uint8Array)
        expect(timestamp).toBeUndefined()
        const field = String(asset_kind).replace("ASSET_", "").toLowerCase()
        const { timestamp: _none, ...expected } = message("Event", {
          id,
          channel,
          asset_key,
          asset_kind,
          event_kind,
          metadata: metadata ?? {},
          [field]: asset
        })
        expect(event).toEqual(expected)
      }
    }
  }

  it("are adopted, and verify clean", async () => {
    await fc.assert(
      fc.asyncProperty(databases, async (made) => {
        await execute(old.url, truncate("public", "^schema_migrations$|_kinds$|_types$|_statuses$"))
        await execute(target.url, truncate("orchestrator", "^migrations$"))
        await load(old.url, made)
        const both = { from: old.url, target: target.url }
        const { failure, stdout } = await adopt(both)
        expect(failure, stdout).toBeUndefined()
        const verified = await verify(both)
        expect(verified.failure, verified.stdout).toBeUndefined()
        await expectLog(made)
      }),
      { numRuns: 25 }
    )
  }, 240_000)
})

describe("a difference between the databases", () => {
  const changes = [
    {
      table: "organizations",
      named: "message.address",
      change:
        "UPDATE organizations SET address = 'https://elsewhere.example.org' WHERE channel = 'yourchannel' AND id = 'MyOrg1MSP'"
    },
    {
      table: "functions",
      named: "message.name",
      change: "UPDATE functions SET name = 'other' WHERE key = '74ffdd76-5c4c-5a47-a051-b9a068327bcb'"
    },
    {
      table: "datamanagers",
      named: "message.permissions.process.authorizedIds.0",
      change: `UPDATE data_managers SET permissions = jsonb_set(permissions, '{process,authorizedIds}', '["MyOrg2MSP", "MyOrg1MSP"]') WHERE key = '4971fc31-6a6d-5e47-8ce1-67f9046b7cc2'`
    },
    {
      table: "datasamples",
      named: "message.creationDate.nanos",
      change:
        "UPDATE data_samples SET creation_date = creation_date + interval '1 microsecond' WHERE key = '94da2e13-21a9-5f8e-a2b1-fc94241d5fe5'"
    },
    {
      table: "compute_plans",
      named: "message.metadata.rounds",
      change: "UPDATE compute_plans SET metadata = '{}' WHERE key = 'c6524fab-3adb-5ea4-a439-3f11ddce887d'"
    },
    {
      table: "compute_tasks",
      named: "parents",
      change: "DELETE FROM task_parents WHERE child_key = 'cc50aa69-954c-5b24-b1d8-285de5f0306b'"
    },
    {
      table: "models",
      named: "output.ordinal",
      change: "UPDATE models SET ordinal = 10 WHERE key = 'f58ad999-5423-492a-8e87-788a110172b2'"
    },
    {
      table: "performances",
      named: "message.performanceValue",
      change: "UPDATE performances SET value = 0.5 WHERE compute_task_key = 'cc50aa69-954c-5b24-b1d8-285de5f0306b'"
    },
    {
      table: "failure_reports",
      named: "message.owner",
      change: "UPDATE failure_reports SET owner = 'Nobody' WHERE asset_key = '44541eb9-a542-54be-a529-442dbd271d33'"
    },
    {
      table: "events",
      named: "asset.value",
      change:
        "UPDATE events SET message = substr(message, 1, length(message) - 2) || '\\x6161' WHERE channel = 'mychannel' AND position = 1"
    },
    {
      table: "events",
      named: "it is not in the target",
      change: "DELETE FROM events WHERE channel = 'mychannel' AND position = 20"
    },
    {
      table: "events",
      named: "position",
      change: "UPDATE events SET position = position + 1000 WHERE channel = 'mychannel' AND position = 76"
    }
  ] as const

  it.each(changes)(
    "in $table is found and named: $named",
    async ({ change, named, table }) => {
      const [old, target] = await Promise.all([oldDatabase(), emptyDatabase()])
      const both = { from: old.url, target: target.url }
      expect((await adopt(both)).failure).toBeUndefined()
      await execute(target.url, "SET search_path = orchestrator", change)
      const { failure, stdout } = await verify(both)
      expect(failure).toMatch(/differ in \d+ places?/)
      const [first] = stdout
        .split("\n")
        .filter((line) => line.startsWith("  channel ") && line.includes(` ${table} `) && !line.includes("79f19a5a"))
      expect(first).toContain(named)
    },
    60_000
  )
})
