/**
 * A fresh database for a test file, copied from a template that is prepared once a run.
 * The server behind it is started by postgres.setup.ts.
 */
import { randomBytes } from "node:crypto"
import * as PgConnection from "@effect/sql-pg/PgConnection"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import { migrate } from "../../src/layers/postgres/Migrator.ts"

/** What the setup hands to the tests; plain text, since it crosses processes. */
export interface TestServer {
  /** The superuser's connection to the database that no test uses. */
  readonly adminUrl: string
  /** The connection of the role `orchestrator`; a test's has another database name. */
  readonly url: string
}

declare module "vitest" {
  interface ProvidedContext {
    readonly postgres: TestServer
  }
}

export interface TestDatabase {
  readonly name: string
  /** The role `orchestrator`, which owns the database and is no superuser. */
  readonly url: string
  /** Ends connections that are still open. */
  readonly drop: () => Promise<void>
}

const template = "orchestrator_template"

/** Statements one by one on one connection: CREATE DATABASE refuses to run inside a transaction. */
export const execute = (url: string, ...statements: ReadonlyArray<string>): Promise<void> =>
  PgConnection.make({ url: Redacted.make(url) }).pipe(
    Effect.flatMap((connection) => Effect.forEach(statements, (sql) => connection.query(sql), { discard: true })),
    Effect.scoped,
    Effect.runPromise
  )

const inDatabase = (url: string, name: string): string => {
  const changed = new URL(url)
  changed.pathname = `/${name}`
  return changed.href
}

/** What every test database starts with: the newest schema. */
const prepareTemplate = (url: string): Promise<unknown> => Effect.runPromise(migrate({ url: Redacted.make(url) }))

/** Called once a run, before any test. Closing the template to connections keeps every copy possible. */
export const createTemplate = async ({ adminUrl, url }: TestServer): Promise<void> => {
  await execute(adminUrl, `CREATE DATABASE ${template} OWNER orchestrator`)
  await prepareTemplate(inDatabase(url, template))
  await execute(adminUrl, `ALTER DATABASE ${template} WITH ALLOW_CONNECTIONS false`)
}

/** Only inside a test file. Call `drop` in `afterAll`; what is not dropped goes with the server. */
export const createDatabase = async (): Promise<TestDatabase> => {
  const { inject } = await import("vitest") // which the setup, outside of the workers, cannot load
  const { adminUrl, url } = inject("postgres")
  const name = `test_${randomBytes(8).toString("hex")}`
  await execute(adminUrl, `CREATE DATABASE ${name} TEMPLATE ${template} OWNER orchestrator`)
  return {
    name,
    url: inDatabase(url, name),
    drop: () => execute(adminUrl, `DROP DATABASE IF EXISTS ${name} WITH (FORCE)`)
  }
}
