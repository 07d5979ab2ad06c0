/** Databases as Substra orchestrator 1.0.0 leaves them: tables, the given rows, and how to break them. */
import { readFileSync } from "node:fs"
import { join } from "node:path"
import * as PgConnection from "@effect/sql-pg/PgConnection"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import { type Database, emptyDatabase } from "../server/Program.ts"
import { execute } from "../support/database.ts"

const read = (file: string): string => readFileSync(join(import.meta.dirname, file), "utf8")

/** The statements of a script: none of these has a semicolon at the end of a line inside. */
const statements = (script: string): ReadonlyArray<string> =>
  script.split(/;\n/).flatMap((statement) => (statement.trim() === "" ? [] : [statement]))

/** The tables, without rows but for those of names. */
export const createTables = (url: string): Promise<void> =>
  execute(url, ...statements(read("tables.sql")), ...statements(read("data.sql")).filter((row) => names.test(row)))

const names =
  /INTO public\.(asset_kinds|event_kinds|error_types|failed_asset_kinds|function_statuses|compute_task_statuses) /

/** The rows of data.sql beside those of names. */
export const loadRows = (url: string): Promise<void> =>
  execute(url, "BEGIN", ...statements(read("data.sql")).filter((row) => !names.test(row)), "COMMIT")

/** A database that an old server made. */
export const oldDatabase = async (): Promise<Database> => {
  const made = await emptyDatabase()
  await createTables(made.url)
  await loadRows(made.url)
  return made
}

/** Foreign keys and checks are gone, as after a repair by hand: rows can be broken. */
export const dropConstraints = `DO $$ DECLARE c record; BEGIN
  FOR c IN SELECT conrelid::regclass AS tab, conname FROM pg_constraint
            WHERE contype IN ('f', 'c') AND connamespace = 'public'::regnamespace LOOP
    EXECUTE format('ALTER TABLE %s DROP CONSTRAINT %I', c.tab, c.conname);
  END LOOP; END $$`

export type Row = Readonly<Record<string, unknown>>

/** The rows of one statement. */
export const rows = (url: string, sql: string, params: ReadonlyArray<unknown> = []): Promise<ReadonlyArray<Row>> =>
  PgConnection.make({ url: Redacted.make(url) }).pipe(
    Effect.flatMap((connection) => connection.query(sql, params, false)),
    Effect.map((result) => result.rows as ReadonlyArray<Row>),
    Effect.scoped,
    Effect.runPromise
  )

/** What the old server answered, by channel and rpc. */
export const answers = JSON.parse(read("answers.json"))

/** Runs something while nobody else can write a table, or read it either. */
export const whileLocked = <A>(url: string, table: string, what: () => Promise<A>, mode = "SHARE"): Promise<A> =>
  PgConnection.make({ url: Redacted.make(url) }).pipe(
    Effect.tap((connection) => connection.query("BEGIN")),
    Effect.tap((connection) => connection.query(`LOCK TABLE ${table} IN ${mode} MODE`)),
    Effect.flatMap(() => Effect.promise(what)),
    Effect.scoped,
    Effect.runPromise
  )
