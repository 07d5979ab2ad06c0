/** The program's commands. Every flag means the same as its variable; `serve` is what happens without a command. */

import cluster from "node:cluster"
import { existsSync } from "node:fs"
import { relative } from "node:path"
import { fileURLToPath } from "node:url"
import * as Console from "effect/Console"
import * as Argument from "effect/cli/Argument"
import * as CliConfig from "effect/cli/CliConfig"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as GlobalFlag from "effect/cli/GlobalFlag"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as AppConfig from "../../layers/config/AppConfig.ts"
import * as Logging from "../../layers/Logging.ts"
import * as Migrator from "../../layers/postgres/Migrator.ts"
import { tables } from "../../schema/Adoption.ts"
import type { ChannelName } from "../../schema/Key.ts"
import { type Running, type StartError, start, startInMemory } from "../App.ts"
import { chooseDatabase, databaseToSee, hasDatabase } from "../ChosenStore.ts"
import { hostOf, reachable } from "../Ports.ts"
import { version } from "../Version.ts"
import * as Configuration from "./Configuration.ts"
import { count } from "./Count.ts"
import * as Doctor from "./Doctor.ts"
import * as EventsTail from "./EventsTail.ts"

/** What was asked for could not be done; the reasons have been printed. */
export class Unsuccessful extends Data.TaggedError("Unsuccessful")<{ readonly message: string }> {}

/** In the repository there is one, in the package there is none. */
const hasExample = existsSync(new URL("../../../examples/federated.ts", import.meta.url))

const clientPage = relative(process.cwd(), fileURLToPath(new URL("../../../docs/client.md", import.meta.url)))

/** A channel of the two organizations that the example has. */
const exampleChannel = ({ channels }: Running): string | undefined =>
  [...channels].find(([, ids]) => ["MyOrg1MSP", "MyOrg2MSP"].every((id) => ids.includes(id)))?.[0]

/** With the options that this server asks for, where they are not the example's own. */
const exampleCommand = (config: AppConfig.AppConfig, { address, grpcPort }: Running, channel: string): string => {
  const { ORCHESTRATOR_MTLS_ENABLED: mutual, ORCHESTRATOR_TLS_SERVER_CA_CERT: ca, tls } = config
  const reached = reachable(address)
  // With TLS it must be a name that the certificate has.
  const [host, standard] = tls === undefined ? [hostOf(reached), "127.0.0.1"] : ["localhost", "localhost"]
  const options = [
    ...(host === standard && grpcPort === 9000 ? [] : [`--address ${host}:${grpcPort}`]),
    ...(channel === "mychannel" ? [] : [`--channel ${JSON.stringify(channel)}`]),
    ...(tls === undefined ? [] : [`--ca ${ca === undefined ? "<the server's CA>" : JSON.stringify(ca)}`]),
    ...(tls === undefined || !mutual ? [] : ["--cert-dir <clients' certificates>"])
  ]
  return `npm run example${options.length === 0 ? "" : ` -- ${options.join(" ")}`}`
}

const next = (config: AppConfig.AppConfig, running: Running): string => {
  const channel = exampleChannel(running)
  return hasExample && channel !== undefined
    ? `Try next, in another terminal: ${exampleCommand(config, running, channel)}`
    : `Try next: a client, ${clientPage}`
}

const greeting = (config: AppConfig.AppConfig, running: Running): string =>
  [
    `substra-orchestrator ${version}`,
    `  gRPC      ${hostOf(running.address)}:${running.grpcPort}`,
    `  HTTP      http://${hostOf(running.address)}:${running.httpPort} (/healthz, /readyz, /metrics when enabled)`,
    `  data      ${running.data}`,
    `  channels  ${[...running.channels].map(([name, organizations]) => `${name}: ${organizations.join(", ")}`).join("; ")}`,
    "",
    next(config, running),
    ""
  ].join("\n")

const root = Command.make("substra-orchestrator").pipe(
  Command.withSharedFlags(Configuration.flags),
  Command.withDescription(
    "The single source of truth of a federated-learning network, over gRPC. Everything can be set by variables of the environment, or by flags of the same meaning. NO_COLOR in the environment leaves the colours out of logs on a terminal."
  )
)

const configuration = Effect.flatMap(root, (given) => Configuration.load(given))

/** For what works on the database alone. */
const withoutChannels = Effect.flatMap(root, (given) => Configuration.load(given, AppConfig.loadWithoutChannels))

/** For commands whose stdout is their result. */
const logsBeside = (config: AppConfig.AppConfig) =>
  Layer.merge(Logging.minimumLevel(config.LOG_LEVEL), Logging.besideResult)

/** An end by a signal is no success of a command that ends by itself: whoever waits for it goes on by its status. */
const unlessInterrupted = Effect.onInterrupt(() =>
  Effect.sync(() => {
    process.exitCode = 130
  })
)

type Begin = (config: AppConfig.AppConfig) => Effect.Effect<Running, StartError | Unsuccessful, Scope.Scope>

/** A database that somebody has named is to be used, not passed over; and the memory of one process is not another's. */
const inMemory: Begin = (config) => {
  const refuse = (message: string) => Effect.fail(new Unsuccessful({ message }))
  if (config.ORCHESTRATOR_DATABASE_URL !== undefined)
    return refuse("serve --memory keeps nothing: leave out ORCHESTRATOR_DATABASE_URL, or --memory to use that database")
  if (config.ORCHESTRATOR_WORKERS > 1)
    return refuse("serve --memory is one process: leave out ORCHESTRATOR_WORKERS, or --memory to use a database")
  return startInMemory(config)
}

const withDatabase: Begin = (config) =>
  config.ORCHESTRATOR_WORKERS === 1
    ? start(config)
    : // Not before they are asked for: most servers are one process.
      Effect.flatMap(
        Effect.promise(() => import("../workers/Primary.ts")),
        (Primary) =>
          Effect.mapError(Primary.start(config), (error) =>
            error._tag === "WorkerFailed" ? new Unsuccessful({ message: error.message }) : error
          )
      )

const serveWith = (given: Configuration.Given, begin: Begin) =>
  Effect.gen(function* () {
    if (cluster.isWorker) {
      const { run } = yield* Effect.promise(() => import("../workers/Worker.ts"))
      return yield* run(Configuration.load(given))
    }
    const config = yield* Configuration.load(given)
    let hasServed = false
    return yield* Effect.gen(function* () {
      const running = yield* begin(config)
      hasServed = true
      yield* Effect.sync(() => process.stdout.write(greeting(config, running)))
      return yield* Effect.never
    }).pipe(
      Effect.scoped,
      Effect.ensuring(Effect.suspend(() => (hasServed ? Effect.logInfo("stopped") : Effect.void))),
      Effect.provide(Logging.minimumLevel(config.LOG_LEVEL))
    )
  })

const memory = Flag.Boolean("memory").pipe(
  Flag.withDescription("Keep everything in memory, for tests: it is gone when the server ends"),
  Flag.withDefault(false)
)

const serve = Command.make("serve", { memory }, (flags) =>
  Effect.flatMap(root, (given) => serveWith(given, flags.memory ? inMemory : withDatabase))
).pipe(Command.withDescription("Start the server; this is what happens without a command"))

const migrate = Command.make("migrate", {}, () =>
  Effect.scoped(
    Effect.gen(function* () {
      const config = yield* withoutChannels
      const ran = yield* Effect.flatMap(chooseDatabase(config), (database) =>
        Migrator.waiting(Migrator.migrate(database), config.ORCHESTRATOR_DATABASE_WAIT)
      ).pipe(Effect.provide(logsBeside(config)))
      yield* Console.log(ran.length === 0 ? "the schema is up to date" : `migrated: ${ran.join(", ")}`)
    })
  ).pipe(unlessInterrupted)
).pipe(Command.withDescription("Bring the database to this server's schema, and end"))

const doctor = Command.make("doctor", {}, () =>
  Effect.gen(function* () {
    const findings = yield* Doctor.examineAll(yield* root)
    for (const { level, text, what } of findings) yield* Console.log(`${level.padEnd(8)} ${what}: ${text}`)
    const problems = findings.filter((finding) => finding.level === "problem").length
    if (problems > 0) return yield* new Unsuccessful({ message: count(problems, "problem") })
  }).pipe(unlessInterrupted)
).pipe(Command.withDescription("Look at configuration, certificates, database, clock and ports, and say what is wrong"))

const channels = Command.make("channels", {}, () =>
  Effect.gen(function* () {
    const config = yield* configuration
    for (const [name, organizations] of config.channels) yield* Console.log(`${name}: ${organizations.join(", ")}`)
  })
).pipe(Command.withDescription("Print the channels and their organizations"))

/** Nobody reads what is printed, as when the next of a pipe has ended. */
const readerGone = Effect.callback<void, Unsuccessful>((resume) => {
  const gone = ({ code, message }: NodeJS.ErrnoException) =>
    resume(code === "EPIPE" ? Effect.void : Effect.fail(new Unsuccessful({ message: `stdout: ${message}` })))
  process.stdout.once("error", gone)
  return Effect.sync(() => process.stdout.off("error", gone))
})

const tail = Command.make(
  "tail",
  {
    channel: Argument.String("channel").pipe(Argument.withDescription("The channel whose log is printed")),
    after: Flag.String("after").pipe(
      Flag.withDescription("The id of the event to begin after; without it, the log's beginning"),
      Flag.optional
    ),
    json: Flag.Boolean("json").pipe(Flag.withDescription("Whole events as JSON, one a line"), Flag.withDefault(false)),
    follow: Flag.Boolean("follow").pipe(Flag.withDescription("Wait for what comes"), Flag.withDefault(false))
  },
  ({ after, channel, follow, json }) => {
    const printed = Effect.scoped(
      Effect.gen(function* () {
        const config = yield* withoutChannels
        yield* Effect.flatMap(databaseToSee(config), (url) =>
          EventsTail.tail({
            url,
            earlyLockRelease: config.ORCHESTRATOR_EARLY_LOCK_RELEASE,
            channel: channel as ChannelName,
            after,
            json,
            follow
          })
        ).pipe(Effect.provide(logsBeside(config)))
      })
    ).pipe(Effect.raceFirst(readerGone))
    return follow ? printed : unlessInterrupted(printed)
  }
).pipe(Command.withDescription("Print the log of a channel"))

const events = Command.make("events").pipe(
  Command.withDescription("The log of events"),
  Command.withSubcommands([tail])
)

const adopt = Command.make(
  "adopt",
  {
    from: Flag.Redacted("from").pipe(
      Flag.withDescription("The old database: a PostgreSQL URL, as ORCHESTRATOR_DATABASE_URL")
    ),
    channel: Flag.String("channel").pipe(
      Flag.withDescription(
        "A channel to take over, more than once for several; without it, all that the old database has"
      ),
      Flag.atLeast(0)
    ),
    dryRun: Flag.Boolean("dry-run").pipe(
      Flag.withDescription("Look at everything, write nothing"),
      Flag.withDefault(false)
    ),
    verify: Flag.Boolean("verify").pipe(
      Flag.withDescription("Compare the two databases instead; exit status 1 when they differ"),
      Flag.withDefault(false)
    ),
    skipInvalid: Flag.Literals("skip-invalid", tables).pipe(
      Flag.withDescription(
        "Leave out rows of this old table that break a rule, and what needs them; more than once for several"
      ),
      Flag.atLeast(0)
    ),
    invalidFile: Flag.String("invalid-file").pipe(
      Flag.withDescription(
        "Where rows that break a rule are written, if there are any; default: a new file in this folder"
      ),
      Flag.optional
    )
  },
  ({ channel, dryRun, from, invalidFile, skipInvalid, verify }) =>
    Effect.scoped(
      Effect.gen(function* () {
        const config = yield* configuration
        // Not before it is asked for: a server has no use for its modules.
        const Adopt = yield* Effect.promise(() => import("./Adopt.ts"))
        const given = { from, configured: config.channels, channels: channel, skipInvalid }
        const file = Option.getOrElse(
          invalidFile,
          () => `adopt-invalid-${new Date().toISOString().replace(/[:.]/g, "-")}.jsonl`
        )
        const work = Effect.gen(function* () {
          if (verify) return yield* Adopt.verify({ ...given, target: yield* databaseToSee(config) })
          if (dryRun) {
            const target = hasDatabase(config) ? yield* databaseToSee(config) : undefined
            return yield* Adopt.adopt({ ...given, target, dryRun, invalidFile: file })
          }
          const { url: target } = yield* chooseDatabase(config)
          return yield* Adopt.adopt({ ...given, target, dryRun, invalidFile: file })
        })
        yield* Effect.provide(work, logsBeside(config))
      })
    ).pipe(unlessInterrupted)
).pipe(Command.withDescription("Take over the database of a Substra orchestrator 1.0.0, see docs/adopt.md"))

const versionCommand = Command.make("version", {}, () => Console.log(version)).pipe(
  Command.withDescription("Print the version")
)

/** The whole program, for the arguments of this process. */
export const main = root.pipe(
  Command.withHandler((given) => serveWith(given, withDatabase)),
  Command.withSubcommands([serve, migrate, adopt, doctor, events, channels, versionCommand]),
  Command.run({ version }),
  // LOG_LEVEL has a flag of its own, with the levels that deployments use.
  Effect.provideService(CliConfig.CliConfig, {
    builtIns: [GlobalFlag.Help, GlobalFlag.Version, GlobalFlag.Completions]
  })
)
