/** PostgreSQL's errors in the words of the store's ports. The only place that knows SQLSTATEs and constraint names. */
import type { SqlError } from "effect/sql/SqlError"
import { type AssetName, Conflict, Internal, Unavailable } from "../../schema/OrchestratorError.ts"
import { Contended, type Contention, type ReadError, type WriteError } from "../../services/store/StoreError.ts"

/** Which asset a unique constraint or index guards. */
const uniqueConstraints: Record<string, AssetName> = {
  organizations_pkey: "organization",
  functions_pkey: "function",
  functions_key: "function",
  data_managers_pkey: "datamanager",
  data_managers_key: "datamanager",
  data_samples_pkey: "datasample",
  data_samples_key: "datasample",
  compute_plans_pkey: "computeplan",
  compute_plans_key: "computeplan",
  compute_tasks_pkey: "computetask",
  compute_tasks_key: "computetask",
  models_pkey: "model",
  models_key: "model",
  performances_pkey: "performance",
  failure_reports_pkey: "failurereport"
}

interface Fields {
  readonly code?: string
  readonly message?: string
  readonly constraint?: string
  readonly detail?: string
}

const fieldsOf = (error: SqlError): Fields => (error.reason.cause ?? {}) as Fields

/** The taken key, from `Key (channel, key)=(mychannel, 3c…) already exists.`: the columns after the channel. */
const takenKey = (detail: string | undefined): string => {
  const match = /^Key \((.*?)\)=\((.*)\) already exists/.exec(detail ?? "")
  if (match === null) return "unknown"
  const [, columns = "", values = ""] = match
  const parts = columns.startsWith("channel, ") ? values.split(", ").slice(1) : [values]
  return parts.join("|")
}

/** What a transaction was lost to. */
const contentions: Readonly<Record<string, Contention>> = {
  "40001": "serialization",
  "40P01": "deadlock",
  "55P03": "lock timeout"
}
/** Failed transaction: an earlier statement of the batch says why. */
const inFailedTransaction = "25P02"

/** Whether this error only follows from another in the same transaction. */
export const isFollowUp = (error: SqlError): boolean => fieldsOf(error).code === inFailedTransaction

/** Whether the connection was lost: a statement in flight may have been carried out. */
export const isConnectionLoss = (error: SqlError): boolean => {
  const code = fieldsOf(error).code
  // 57P01 to 57P05: shut down, crashed, starting up, dropped, idle; 25P03, 25P04: a transaction idle, or open, for too long.
  return error.reason._tag === "ConnectionError" || (code !== undefined && /^(08|57P0[1-5]|25P0[34])/.test(code))
}

/** What the operating system says of a database that is not there, or not to be reached. */
const networkCodes = new Set([
  "ECONNREFUSED",
  "ECONNRESET",
  "EPIPE",
  "ETIMEDOUT",
  "EHOSTUNREACH",
  "ENETUNREACH",
  "ENOTFOUND",
  "EAI_AGAIN"
])

/** Of an error that comes before any connection. */
export const unreadableUrl = "the database URL, or a file that it names, cannot be read"

/** What the driver says of a URL that it cannot use, and of an answer that is not PostgreSQL's. */
const wrongUrl = /No username configured|percent-encoding/
const noPostgres = /Message length \d+ exceeds/

/**
 * Whether the database is away, and may come by itself: it does not listen, its name is not known yet, it starts, stops
 * or has no connection left. What only a person can mend is none of this: passwords, names, TLS.
 */
export const isAway = (error: SqlError): boolean => {
  const { code, message: said = "", syscall } = fieldsOf(error) as Fields & { readonly syscall?: string }
  // 57P01 to 57P03: shut down, crashed, starting up; 53300: too many connections.
  if (code !== undefined && (/^57P0[1-3]$|^53300$/.test(code) || networkCodes.has(code))) return true
  // The file of a Unix socket, not one that the URL names.
  if (code === "ENOENT") return syscall === "connect"
  // The driver's own: no answer in time, or closed without a word. A server without TLS is one too.
  const { message } = error.reason
  return (
    code === undefined &&
    error.reason._tag === "ConnectionError" &&
    message !== unreadableUrl &&
    message?.includes("refused TLS") !== true &&
    !wrongUrl.test(said) &&
    !noPostgres.test(said)
  )
}

interface Reason {
  /** In a few words, which name no host, role or password. */
  readonly short: string
  /** For those who set the server up. */
  readonly wayOut: string
}

const url = "ORCHESTRATOR_DATABASE_URL"

const stops: Reason = { short: "it starts or stops", wayOut: "Wait until it has started" }

const noWay: Reason = {
  short: "no network leads to its host",
  wayOut: `Look at the host in ${url}, and at the network`
}

const broken: Reason = {
  short: "the connection was lost",
  wayOut: `Look whether PostgreSQL runs where ${url} says`
}

/** By SQLSTATE, or by the operating system's and TLS's codes. */
const reasons: Readonly<Record<string, Reason>> = {
  "28P01": {
    short: "the password is refused",
    wayOut: `Look at the password in ${url}: there @ : / ? # and % are written %40 %3A %2F %3F %23 and %25`
  },
  "28000": {
    short: "the role is refused",
    wayOut: `Look at the role in ${url}: it must be there, with LOGIN, and pg_hba.conf must let it in from here`
  },
  "3D000": {
    short: "there is no such database",
    wayOut: `Create it, CREATE DATABASE … OWNER …, or name another in ${url}`
  },
  "25006": {
    short: "it is read-only",
    wayOut: `It is a standby, or default_transaction_read_only is on for the role or the database: look at both, and at the host in ${url}`
  },
  "42501": {
    short: "the role may not do that",
    wayOut: `Make the role of ${url} the owner of the schema orchestrator and of all that is in it, as it is of what it makes itself`
  },
  "53300": {
    short: "it has too many connections",
    wayOut:
      "Raise its max_connections, or the CONNECTION LIMIT of the role or the database, or lower ORCHESTRATOR_DATABASE_POOL_SIZE on every server"
  },
  "55P03": { short: "somebody has it locked", wayOut: "Look at pg_locks for who holds it" },
  "57P01": stops,
  "57P02": stops,
  "57P03": stops,
  ECONNREFUSED: {
    short: "the connection is refused",
    wayOut: `Nobody listens there: start PostgreSQL, or look at host and port in ${url}`
  },
  ENOTFOUND: { short: "there is no such host", wayOut: `Look at the host in ${url}` },
  EAI_AGAIN: { short: "its host is not found", wayOut: `Look at the host in ${url}, and at the name service` },
  ETIMEDOUT: {
    short: "it does not answer",
    wayOut: `Look at host and port in ${url}, and at firewalls between here and there`
  },
  ENOENT: { short: "there is no such socket", wayOut: `Start PostgreSQL, or look at the socket's folder in ${url}` },
  EHOSTUNREACH: noWay,
  ENETUNREACH: noWay,
  ECONNRESET: broken,
  EPIPE: broken
}

const withoutTls: Reason = {
  short: "it has no TLS",
  wayOut: `Turn TLS on there (ssl = on in postgresql.conf), or leave it out, on a trusted network only: sslmode=disable in ${url}`
}

const untrusted: Reason = {
  short: "its certificate is not trusted",
  wayOut: `sslrootcert in ${url} must name the file of its CA, and the host must be one of the certificate's names`
}

const noPassword: Reason = {
  short: "it asks for a password",
  wayOut: `There is none in ${url}: postgresql://role:password@host:5432/database`
}

const strange: Reason = {
  short: "what answers there is no PostgreSQL",
  wayOut: `Look at host and port in ${url}`
}

const outside = "its pg_hba.conf does not let the role in"

const notLetIn: Reason = { short: outside, wayOut: "Give the role an entry in pg_hba.conf, for this database" }

/** Which of both it is does not show. */
const notLetInPlain: Reason = {
  short: outside,
  wayOut: `Give the role an entry in pg_hba.conf, for this database and from here; if it has one for TLS, hostssl, ask for TLS in ${url}: sslmode=verify-full with sslrootcert`
}

const notLetInTls: Reason = {
  short: outside,
  wayOut: `Give the role an entry in pg_hba.conf, for this database and from here; if it has one without TLS, hostnossl, ask for none in ${url}: sslmode=disable`
}

/** PostgreSQL calls both rights by the name of the database. */
const mayNot = (right: "CONNECT" | "CREATE"): Reason => ({
  short: "the role may not do that",
  wayOut: `Give the role of ${url} the right, GRANT ${right} ON DATABASE … TO …, or make it the owner of the database; where the schema orchestrator is there already, use the role that owns it`
})

const unreadable: Reason = {
  short: "its URL, or a file that it names, cannot be read",
  wayOut: `Look at ${url}, and at the files that it names`
}

const unknown: Reason = {
  short: "the connection failed",
  wayOut: `Look at ${url}, and whether the database runs and lets this role in`
}

/** Why a database cannot be used, and what to do about it. */
export const reasonOf = (error: SqlError): Reason => {
  const { code, detail, message = "" } = fieldsOf(error)
  if (error.reason.message === unreadableUrl || wrongUrl.test(message)) return unreadable
  if (noPostgres.test(message)) return strange
  if (message.includes("requested password authentication")) return noPassword
  if (code === "28000" && message.includes("pg_hba.conf")) {
    if (message.includes("[local]")) return notLetIn
    return message.includes("no encryption") ? notLetInPlain : notLetInTls
  }
  if (code === "42501" && message.startsWith("permission denied for database")) {
    return mayNot(detail?.includes("CONNECT") ? "CONNECT" : "CREATE")
  }
  if (code !== undefined && /CERT|SELF_SIGNED|UNABLE_TO_|ALTNAME/.test(code)) return untrusted
  const known = code === undefined ? undefined : reasons[code]
  if (known !== undefined) return known
  if (error.reason.message?.includes("refused TLS")) return withoutTls
  return error.reason.message?.includes("did not answer") ? (reasons.ETIMEDOUT as Reason) : unknown
}

/** What a caller of the ports sees of a driver's error. */
export const translate = (error: SqlError): WriteError => {
  const { code, constraint, detail } = fieldsOf(error)
  const contention = code === undefined ? undefined : contentions[code]
  if (contention !== undefined) return new Contended({ reason: contention, cause: error })
  if (code === "23505" && constraint !== undefined) {
    const asset = uniqueConstraints[constraint]
    if (asset !== undefined) return Conflict.exists(asset, takenKey(detail))
  }
  if (isConnectionLoss(error) || error.reason.operation === "connect" || error.reason._tag === "AuthenticationError") {
    return new Unavailable({ message: "the database is out of reach, try again later", cause: error })
  }
  if (code === "57014") return new Unavailable({ message: "the database took too long, try again later", cause: error })
  // 53xxx: out of connections, memory or disk; 25006: a standby, or a primary that became one.
  if (code !== undefined && (code.startsWith("53") || code === "25006")) {
    return new Unavailable({ message: "the database cannot serve this now, try again later", cause: error })
  }
  return new Internal({ cause: error })
}

/** The same of a statement that makes no asset, and so takes no key. */
export const translateRead = (error: SqlError): ReadError => {
  const translated = translate(error)
  return translated._tag === "Conflict" ? new Internal({ cause: error }) : translated
}
