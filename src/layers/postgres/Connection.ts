/** Where the database is and how a connection to it is set up: libpq's URL, TLS files included, and session settings. */

import { readFileSync } from "node:fs"
import type { ConnectionOptions } from "node:tls"
import type * as PgConnection from "@effect/sql-pg/PgConnection"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import { ConnectionError, SqlError } from "effect/sql/SqlError"
import { fileProblem } from "../FileProblem.ts"
import { certificatesIn, privateKeyIn, refusedByTls } from "../tls/Pem.ts"
import { registry } from "./Codecs.ts"
import { unreadableUrl } from "./SqlErrors.ts"

export interface ConnectionConfig {
  /** A PostgreSQL URL with libpq's parameters; `sslmode`, `sslrootcert`, `sslcert` and `sslkey` as libpq means them. */
  readonly url: Redacted.Redacted
}

export interface StatementLogging {
  /** Whether every statement is logged, at level DEBUG, without the values of its parameters. */
  readonly logStatements?: boolean
}

/**
 * Locks and statements that wait too long fail, and a transaction whose owner is gone ends by itself. Every statement
 * goes by an index, also where PostgreSQL knows a table as empty that has grown since (Statistics.ts).
 */
const sessionSettings = {
  search_path: "orchestrator",
  timezone: "UTC",
  enable_seqscan: "off",
  enable_hashjoin: "off",
  enable_mergejoin: "off",
  // Before PostgreSQL 18 what cannot go by an index costs so much on paper that it would be compiled first.
  jit: "off",
  lock_timeout: "5s",
  statement_timeout: "30s",
  idle_in_transaction_session_timeout: "10s",
  // The embedded PostgreSQL refuses the setting on Windows, which has no such look.
  ...(process.platform === "win32" ? {} : { client_connection_check_interval: "1s" })
}

/**
 * Without an answer for this long a connection is lost, whatever it was asked: more than `statement_timeout`, at which
 * PostgreSQL itself gives a statement up. TCP goes on for a quarter of an hour.
 */
export const defaultAnswerTimeout = Duration.seconds(35)

/** What a statement fails with that was not answered in time. */
export const noAnswer = new SqlError({
  reason: new ConnectionError({
    cause: new Error("the database did not answer"),
    message: "the database did not answer",
    operation: "execute"
  })
})

/** Larger than any row that the contract's 2 GiB bound on messages lets in. */
const maxMessageSize = 1024 * 1024 * 1024

const tlsParameters = ["sslmode", "sslrootcert", "sslcert", "sslkey"]

/**
 * TLS as libpq's `sslmode` asks for it: `require` encrypts and verifies only where there is a root certificate,
 * `verify-ca` verifies the certificate's chain, `verify-full` its host name too.
 */
const tlsOptions = (url: URL): ConnectionOptions | undefined => {
  const mode = url.searchParams.get("sslmode")
  if (mode !== "require" && mode !== "verify-ca" && mode !== "verify-full") return undefined
  const file = (name: string, check: (content: Buffer) => unknown) => {
    const path = url.searchParams.get(name)
    if (path === null) return undefined
    try {
      const content = readFileSync(path)
      check(content)
      return content
    } catch (error) {
      throw new Error(`its ${name}, ${path}: ${fileProblem(error)}`)
    }
  }
  const ca = file("sslrootcert", certificatesIn)
  const cert = file("sslcert", certificatesIn)
  const key = file("sslkey", privateKeyIn)
  // Where a connection begins, what TLS refuses would end the process.
  const refused = refusedByTls({ ca, cert, key })
  if (refused !== undefined) throw new Error(`TLS cannot use its files: ${refused}`)
  return {
    rejectUnauthorized: mode !== "require" || ca !== undefined,
    ...(mode === "verify-full" ? {} : { checkServerIdentity: () => undefined }),
    ...(ca === undefined ? {} : { ca }),
    ...(cert === undefined ? {} : { cert }),
    ...(key === undefined ? {} : { key })
  }
}

/** The driver's configuration. Fails when the URL cannot be read, or a file that it names. */
export const connectionConfig = (options: ConnectionConfig): Effect.Effect<PgConnection.Config, SqlError> =>
  Effect.try({
    try: (): PgConnection.Config => {
      const url = new URL(Redacted.value(options.url))
      const ssl = tlsOptions(url)
      if (ssl !== undefined) for (const name of tlsParameters) url.searchParams.delete(name)
      return {
        url: Redacted.make(url.toString()),
        ...(ssl === undefined ? {} : { ssl }),
        applicationName: "substra-orchestrator",
        startupParameters: sessionSettings,
        keepAlive: "10 seconds",
        types: registry,
        preparedStatementCacheSize: 500,
        maxMessageSize
      }
    },
    catch: (cause) =>
      new SqlError({
        reason: new ConnectionError({
          cause,
          message: unreadableUrl,
          operation: "connect"
        })
      })
  })
