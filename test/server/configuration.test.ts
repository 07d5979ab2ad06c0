/** What is wrong with the configuration is told at once, all of it, each with its variable; nothing is ignored. */
import { createPrivateKey } from "node:crypto"
import * as fs from "node:fs/promises"
import { join } from "node:path"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"
import { beforeAll, describe, expect, it } from "vitest"
import * as AppConfig from "../../src/layers/config/AppConfig.ts"
import { makePki } from "../tls/Pki.ts"
import * as Program from "./Program.ts"
import { channelFile, type Env, run } from "./Program.ts"

/** The problems in the message of a start that fails for its configuration, each a line that names its variable. */
const problemsIn = (message: string): ReadonlyArray<string> => {
  const [heading, ...lines] = message.split("\n")
  expect(heading).toBe("the configuration cannot be used:")
  for (const line of lines) expect(line).toMatch(/^ {2}[A-Z_]+: /)
  return lines.map((line) => line.trim())
}

/** What a start with these variables would say. */
const problemsOf = async (env: Env): Promise<ReadonlyArray<string>> => {
  const provider = ConfigProvider.fromEnvRecord(env)
  const loaded = Effect.provideService(AppConfig.load, ConfigProvider.ConfigProvider, provider)
  return problemsIn((await Effect.runPromise(Effect.flip(loaded))).message)
}

const namesIn = (problems: ReadonlyArray<string>): ReadonlyArray<string> =>
  problems.map((problem) => problem.split(":", 1)[0] ?? "").sort()

/** A text for each type of variable that is none. A text can be any; so can a path: what it leads to can be wrong. */
const wrongByType: Env = {
  bool: "tRUE",
  duration: "10",
  integer: "1.5",
  level: "TRACE",
  "IP address": "localhost",
  "PostgreSQL URL": "mysql://somebody:geheim@127.0.0.1/orchestrator"
}

/** The variables that deployments know, with their defaults. */
const known: Env = {
  LOG_LEVEL: "INFO",
  LOG_SQL_VERBOSE: "false",
  METRICS_ENABLED: "false",
  ORCHESTRATOR_CHANNEL_CONFIG: "two development channels, with the embedded database only",
  ORCHESTRATOR_DATABASE_POOL_SIZE: "8 more than its share of the machine's cores, 16 at most",
  ORCHESTRATOR_DATABASE_URL: "an embedded PostgreSQL",
  ORCHESTRATOR_DATA_DIR: "in the user's data folder",
  ORCHESTRATOR_GRPC_KEEPALIVE_POLICY_MIN_TIME: "30s",
  ORCHESTRATOR_GRPC_KEEPALIVE_POLICY_PERMIT_WITHOUT_STREAM: "false",
  ORCHESTRATOR_GRPC_MAX_REQUEST_SIZE: "67108864",
  ORCHESTRATOR_GRPC_MAX_RESPONSE_SIZE: "4194304",
  ORCHESTRATOR_GRPC_PORT: "9000",
  ORCHESTRATOR_HTTP_PORT: "8484",
  ORCHESTRATOR_LISTEN_ADDRESS: "0.0.0.0; 127.0.0.1 with the embedded database",
  ORCHESTRATOR_MTLS_ENABLED: "false",
  ORCHESTRATOR_REPLAY_EVENTS_BATCH_SIZE: "100",
  ORCHESTRATOR_TLS_CERT_PATH: "",
  ORCHESTRATOR_TLS_CLIENT_CA_CERT_DIR: "",
  ORCHESTRATOR_TLS_ENABLED: "false",
  ORCHESTRATOR_TLS_KEY_PATH: "",
  ORCHESTRATOR_TLS_SERVER_CA_CERT: "",
  ORCHESTRATOR_TX_RETRY_BUDGET: "10s",
  ORCHESTRATOR_VERIFY_CLIENT_MSP_ID: "false"
}

interface Variable {
  readonly name: string
  readonly type: string
  readonly standard: string
}
let variables: ReadonlyArray<Variable> = []
let help = ""
beforeAll(async () => {
  const { code, stderr, stdout } = await run({}, "--help").exited
  expect([code, stderr]).toEqual([0, ""])
  help = stdout
  const rows = stdout.matchAll(/ ([A-Z_]+) \(([^;)]+)(?:; default: (.*?))?\): /g)
  variables = Array.from(rows, ([, name = "", type = "", standard = ""]) => ({ name, type, standard }))
})

it("--help names every variable with its default", () => {
  expect(Object.fromEntries(variables.map(({ name, standard }) => [name, standard]))).toMatchObject(known)
  expect(help).toContain("NO_COLOR")
})

it("a start with values that cannot be used tells all of them in one message, nothing else, and exits with 1", async () => {
  const wrong = Object.fromEntries(
    variables
      .filter(({ type }) => type !== "path" && type !== "text")
      .map(({ name, type }) => [name, wrongByType[type] ?? `no wrong value for a variable of type ${type}`])
  )
  const { code, stderr, stdout } = await run({ ...wrong, ORCHESTRATOR_CHANNEL_CONFIG: "/nowhere/channels.yaml" }).exited
  expect([code, stdout]).toEqual([1, ""])
  const told = problemsIn(stderr.trimEnd())
  expect(namesIn(told)).toEqual([...Object.keys(wrong), "ORCHESTRATOR_CHANNEL_CONFIG"].sort())
  expect(stderr).not.toContain("geheim")
})

it.each([
  ["ORCHESTRATOR_GRPC_PORT", "65536"],
  ["ORCHESTRATOR_HTTP_PORT", "-1"],
  ["ORCHESTRATOR_LISTEN_ADDRESS", "256.0.0.1"],
  ["ORCHESTRATOR_DATABASE_POOL_SIZE", "2"],
  ["ORCHESTRATOR_REPLAY_EVENTS_BATCH_SIZE", "0"],
  ["ORCHESTRATOR_GRPC_MAX_REQUEST_SIZE", "64MiB"],
  ["ORCHESTRATOR_GRPC_MAX_RESPONSE_SIZE", "1"],
  ["ORCHESTRATOR_GRPC_CALL_TIMEOUT", "-1s"],
  ["ORCHESTRATOR_TX_RETRY_BUDGET", "1h30"],
  ["METRICS_ENABLED", "yes"],
  ["LOG_LEVEL", "VERBOSE"],
  ["ORCHESTRATOR_DATABASE_URL", "postgresql://127.0.0.1/orchestrator?sslmode=verify"],
  ["ORCHESTRATOR_DATABASE_WAIT", "60"],
  ["ORCHESTRATOR_DRAIN_TIMEOUT", "20 s"],
  ["ORCHESTRATOR_SLOW_CALL", "1S"],
  ["ORCHESTRATOR_GRPC_KEEPALIVE_POLICY_MIN_TIME", "half a minute"],
  ["ORCHESTRATOR_EVENT_RING_SIZE", "0"],
  ["ORCHESTRATOR_EVENT_RING_BYTES", "1000"],
  ["ORCHESTRATOR_MAX_CALLS", "0"],
  ["ORCHESTRATOR_MAX_CALLS_PER_ORGANIZATION", "0"],
  ["ORCHESTRATOR_MAX_WAITING_CALLS_PER_ORGANIZATION", "-1"],
  ["ORCHESTRATOR_MAX_STREAMS_PER_ORGANIZATION", "0"]
])("%s cannot be %s", async (name, value) => {
  const env = { ORCHESTRATOR_CHANNEL_CONFIG: await channelFile(), [name]: value }
  expect(namesIn(await problemsOf(env))).toEqual([name])
})

it.each([
  "ORCHESTRATOR_RELOAD_INTERVAL",
  "ORCHESTRATOR_GRPC_CALL_TIMEOUT",
  "ORCHESTRATOR_STALLED_SUBSCRIBER_TIMEOUT",
  "ORCHESTRATOR_MAX_EVENT_LOOP_DELAY"
])("%s cannot be 0s", async (name) => {
  expect(namesIn(await problemsOf({ [name]: "0s" }))).toEqual([name])
})

it("files of TLS that are not there are told", async () => {
  const problems = await problemsOf({
    ORCHESTRATOR_TLS_ENABLED: "true",
    ORCHESTRATOR_TLS_CERT_PATH: "/nowhere/tls.crt",
    ORCHESTRATOR_TLS_KEY_PATH: "/nowhere/tls.key",
    ORCHESTRATOR_TLS_SERVER_CA_CERT: "/nowhere/ca.crt",
    ORCHESTRATOR_MTLS_ENABLED: "true",
    ORCHESTRATOR_TLS_CLIENT_CA_CERT_DIR: "/nowhere/clients",
    ORCHESTRATOR_VERIFY_CLIENT_MSP_ID: "true"
  })
  expect(namesIn(problems)).toEqual([
    "ORCHESTRATOR_TLS_CERT_PATH",
    "ORCHESTRATOR_TLS_CLIENT_CA_CERT_DIR",
    "ORCHESTRATOR_TLS_KEY_PATH",
    "ORCHESTRATOR_TLS_SERVER_CA_CERT"
  ])
})

describe("a file of TLS that cannot be used is told with its variable and its path:", async () => {
  const pki = await makePki()
  const { ORCHESTRATOR_TLS_CERT_PATH: certificate = "", ORCHESTRATOR_TLS_KEY_PATH: key = "" } = pki.env
  const locked = pki.path("locked.key")
  await pki.write(
    "locked.key",
    createPrivateKey(await fs.readFile(key)).export({
      type: "pkcs8",
      format: "pem",
      cipher: "aes-256-cbc",
      passphrase: "geheim"
    })
  )
  const folder = await Program.folder()
  await fs.mkdir(join(folder, "MyOrg1MSP"))

  it.each([
    ["a key that has a passphrase", "ORCHESTRATOR_TLS_KEY_PATH", locked],
    ["a certificate for a key", "ORCHESTRATOR_TLS_KEY_PATH", certificate],
    ["a folder for a key", "ORCHESTRATOR_TLS_KEY_PATH", folder],
    ["a key for a certificate", "ORCHESTRATOR_TLS_CERT_PATH", key],
    ["a key for a CA", "ORCHESTRATOR_TLS_SERVER_CA_CERT", key],
    ["an organization without certificates", "ORCHESTRATOR_TLS_CLIENT_CA_CERT_DIR", folder],
    ["a file for a folder of CAs", "ORCHESTRATOR_TLS_CLIENT_CA_CERT_DIR", key]
  ])("%s", async (_, variable, path) => {
    const problems = await problemsOf({ ...pki.env, [variable]: path })
    expect(problems).toEqual([expect.stringContaining(`${variable}: ${path}`)])
    expect(problems[0]).not.toContain("geheim")
  })

  it("and a certificate without its key", async () => {
    expect(await problemsOf({ ...pki.env, ORCHESTRATOR_TLS_KEY_PATH: "" })).toEqual([
      expect.stringMatching(/^ORCHESTRATOR_TLS_KEY_PATH: it must name the key/)
    ])
  })

  it("and those that are named where others are missing, or TLS_ENABLED cannot be used", async () => {
    expect(
      namesIn(
        await problemsOf({
          ...pki.env,
          ORCHESTRATOR_TLS_CERT_PATH: "",
          ORCHESTRATOR_TLS_KEY_PATH: locked,
          ORCHESTRATOR_TLS_SERVER_CA_CERT: key,
          ORCHESTRATOR_TLS_CLIENT_CA_CERT_DIR: folder
        })
      )
    ).toEqual([
      "ORCHESTRATOR_TLS_CERT_PATH",
      "ORCHESTRATOR_TLS_CLIENT_CA_CERT_DIR",
      "ORCHESTRATOR_TLS_KEY_PATH",
      "ORCHESTRATOR_TLS_SERVER_CA_CERT"
    ])
    const unclear = { ...pki.env, ORCHESTRATOR_TLS_ENABLED: "yes", ORCHESTRATOR_TLS_KEY_PATH: locked }
    expect(namesIn(await problemsOf(unclear))).toEqual(["ORCHESTRATOR_TLS_ENABLED", "ORCHESTRATOR_TLS_KEY_PATH"])
  })
})

it.each([
  ["ORCHESTRATOR_TLS_ENABLED", ["ORCHESTRATOR_TLS_CERT_PATH", "ORCHESTRATOR_TLS_KEY_PATH"]],
  ["ORCHESTRATOR_MTLS_ENABLED", ["ORCHESTRATOR_MTLS_ENABLED", "ORCHESTRATOR_TLS_CLIENT_CA_CERT_DIR"]],
  ["ORCHESTRATOR_VERIFY_CLIENT_MSP_ID", ["ORCHESTRATOR_TLS_CLIENT_CA_CERT_DIR", "ORCHESTRATOR_VERIFY_CLIENT_MSP_ID"]]
])("%s without what it needs is refused, not ignored", async (name, told) => {
  expect(namesIn(await problemsOf({ [name]: "true" }))).toEqual(told)
})

it("a folder of CAs that is not named is told once, whatever needs it", async () => {
  const problems = await problemsOf({ ORCHESTRATOR_MTLS_ENABLED: "true", ORCHESTRATOR_VERIFY_CLIENT_MSP_ID: "true" })
  expect(namesIn(problems)).toEqual(["ORCHESTRATOR_MTLS_ENABLED", "ORCHESTRATOR_TLS_CLIENT_CA_CERT_DIR"])
})

it("a database of one's own needs a file of channels", async () => {
  expect(await problemsOf({ ORCHESTRATOR_DATABASE_URL: "postgresql://127.0.0.1/orchestrator" })).toEqual([
    expect.stringContaining("ORCHESTRATOR_CHANNEL_CONFIG: it must name the file of channels")
  ])
  expect(namesIn(await problemsOf({ ORCHESTRATOR_DATABASE_URL: "http://127.0.0.1/orchestrator" }))).toEqual([
    "ORCHESTRATOR_CHANNEL_CONFIG",
    "ORCHESTRATOR_DATABASE_URL"
  ])
})

it.each([
  ["a channel twice", "channels:\n  mychannel: [MyOrg1MSP]\n  mychannel: [MyOrg2MSP]\n", /Duplicate key 'mychannel'/],
  ["tabs", "channels:\n\tmychannel: [MyOrg1MSP]\n", /Tabs cannot be used for YAML indentation at line 2/],
  ["a channel without organizations", "channels: { mychannel: [] }\n", /channel "mychannel": it must have an organ/],
  ["a channel with nothing", "channels:\n  mychannel:\n", /channel "mychannel": it must have an organization/],
  ["one organization for a list", "channels: { a: MyOrg1MSP }\n", /channel "a": it must be a list .*not "MyOrg1MSP"/],
  ["a number for an id", "channels: { a: [7] }\n", /channel "a": organization 7 must be text, in quotes/],
  [
    "a list that is indented in two ways",
    "channels:\n  a:\n    - MyOrg1MSP\n      - MyOrg2MSP\n",
    /channel "a": organization "MyOrg1MSP - MyOrg2MSP" is a list whose lines are not all indented alike/
  ],
  ["a comma in an id", "channels: { mychannel: ['A,B'] }\n", /channel "mychannel": organization "A,B" must be/],
  ["no channels", "channel: { mychannel: [MyOrg1MSP] }\n", /it must hold channels with lists of organizations/]
])("a file of channels with %s is refused with its path", async (_, text, why) => {
  const file = await channelFile(text)
  const problems = await problemsOf({ ORCHESTRATOR_CHANNEL_CONFIG: file })
  expect(problems).toEqual([expect.stringMatching(why)])
  expect(problems[0]).toContain(`ORCHESTRATOR_CHANNEL_CONFIG: ${file}: `)
})

it("ports that are the same are refused, unless both are free ones", async () => {
  const ports = (port: string) => ({ ORCHESTRATOR_GRPC_PORT: port, ORCHESTRATOR_HTTP_PORT: port })
  expect(await problemsOf(ports("9001"))).toEqual([
    "ORCHESTRATOR_HTTP_PORT: it must be another than ORCHESTRATOR_GRPC_PORT, 9001"
  ])
  expect(namesIn(await problemsOf({ ...ports("0"), LOG_LEVEL: "x" }))).toEqual(["LOG_LEVEL"])
})

it("a value that cannot be used is shown, unless it may be secret", async () => {
  const env = { ORCHESTRATOR_GRPC_PORT: " 9001", ORCHESTRATOR_DATABASE_URL: "geheim", LOG_LEVEL: "x".repeat(100) }
  const problems = (await problemsOf(env)).join("\n")
  expect(problems).toContain('ORCHESTRATOR_GRPC_PORT: it must be a whole number from 0 to 65535, not " 9001"')
  expect(problems).toContain(`not "${"x".repeat(60)}…"`)
  expect(problems).not.toContain("geheim")
})

it("files that the URL of the database names, and that cannot be used, are told with everything else", async () => {
  const key = join(await Program.folder(), "bad.key")
  await fs.writeFile(key, "-----BEGIN PRIVATE KEY-----\nabc\n-----END PRIVATE KEY-----\n")
  const url = "postgresql://me:geheim@localhost/db?sslmode=verify-full"
  const problems = async (parameters: string) =>
    problemsOf({
      LOG_LEVEL: "x",
      ORCHESTRATOR_CHANNEL_CONFIG: await channelFile(),
      ORCHESTRATOR_DATABASE_URL: `${url}&${parameters}`
    })
  expect(await problems("sslrootcert=/no/such/file.pem")).toEqual([
    expect.stringMatching(/^LOG_LEVEL: /),
    "ORCHESTRATOR_DATABASE_URL: its sslrootcert, /no/such/file.pem: there is no such file"
  ])
  expect(await problems(`sslkey=${key}`)).toEqual([
    expect.stringMatching(/^LOG_LEVEL: /),
    `ORCHESTRATOR_DATABASE_URL: its sslkey, ${key}: it must hold an unencrypted PEM private key`
  ])
})

it("a password that is not percent-encoded is told before a piece of it is taken for a host", async () => {
  const env = { ORCHESTRATOR_CHANNEL_CONFIG: await channelFile() }
  for (const password of ["p@ss/w:rd", "p/w@x", "p#w@x"]) {
    const problems = await problemsOf({ ...env, ORCHESTRATOR_DATABASE_URL: `postgresql://me:${password}@localhost/db` })
    expect(problems).toEqual([
      expect.stringMatching(/^ORCHESTRATOR_DATABASE_URL: (user and password|it must be a URL)/)
    ])
  }
})

it("an empty list of channels is refused", async () => {
  const file = await channelFile("channels: {}\n")
  expect(namesIn(await problemsOf({ ORCHESTRATOR_CHANNEL_CONFIG: file }))).toEqual(["ORCHESTRATOR_CHANNEL_CONFIG"])
})
