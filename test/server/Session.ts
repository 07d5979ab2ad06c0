/** A connection to a server's database beside the server's own: it holds locks, and sees who waits for them. */
import * as PgConnection from "@effect/sql-pg/PgConnection"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Redacted from "effect/Redacted"
import * as Scope from "effect/Scope"
import { vi } from "vitest"

export interface Session extends AsyncDisposable {
  readonly query: (sql: string) => Promise<ReadonlyArray<Readonly<Record<string, unknown>>>>
}

export const open = async (url: string): Promise<Session> => {
  const scope = Scope.makeUnsafe()
  const connection = await Effect.runPromise(
    Effect.provideService(PgConnection.make({ url: Redacted.make(url) }), Scope.Scope, scope)
  )
  return {
    query: async (sql) => (await Effect.runPromise(connection.query(sql))).rows,
    [Symbol.asyncDispose]: () => Effect.runPromise(Scope.close(scope, Exit.void))
  }
}

/** Locks this plan until the session says ROLLBACK: a call that changes it waits. */
export const lockPlan = async (session: Session, key: string): Promise<void> => {
  await session.query("BEGIN")
  await session.query(`SELECT 1 FROM orchestrator.compute_plans WHERE key = '${key}' FOR UPDATE`)
}

/** Resolves once this many calls of servers wait for a row that the session has locked. */
export const waiters = (session: Session, count = 1): Promise<void> =>
  vi.waitFor(
    async () => {
      const [row] = await session.query(
        `SELECT count(*)::int AS waiting FROM pg_stat_activity
         WHERE pg_backend_pid() = ANY (pg_blocking_pids(pid)) AND datname = current_database()`
      )
      if (row?.waiting !== count) throw new Error(`${row?.waiting} calls wait for the row`)
    },
    { timeout: 20_000, interval: 10 }
  )
