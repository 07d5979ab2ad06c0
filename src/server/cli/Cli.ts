/** The program's commands. Every flag means the same as its variable; `serve` is what happens without a command. */

import { existsSync } from "node:fs"
import * as Console from "effect/Console"
import * as Argument from "effect/cli/Argument"
import * as CliConfig from "effect/cli/CliConfig"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as GlobalFlag from "effect/cli/GlobalFlag"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as AppConfig from "../../layers/config/AppConfig.ts"
import * as Logging from "../../layers/Logging.ts"
import * as Migrator from "../../layers/postgres/Migrator.ts"
import type { ChannelName } from "../../schema/Key.ts"
import { chooseDatabase, type Running, type StartError, start, startInMemory, version } from "../App.ts"
import * as Configuration from "./Configuration.ts"
import * as Doctor from "./Doctor.ts"
import * as EventsTail from "./EventsTail.ts"

/** What was asked for could not be done; the reasons have been printed. */
export class Unsuccessful extends Data.TaggedError("Unsuccessful")<{ readonly message: string }> {}

/** An address as it stands before a port. */
const hostOf = (address: string): string => (address.includes(":") ? `[${address}]` : address)

/** In the repository there is one, in the package there is none. */
const hasExample = existsSync(new URL("../../../examples/federated.ts", import.meta.url))

const greeting = (running: Running): string =>
  [
    `substra-orchestrator ${version}`,
    `  gRPC      ${hostOf(running.address)}:${running.grpcPort}`,
    `  HTTP      http://${hostOf(running.address)}:${running.httpPort} (/healthz, /readyz, /metrics when enabled)`,
    `  data      ${running.data}`,
    `  channels  ${[...running.channels].map(([name, organizations]) => `${name}: ${organizations.join(", ")}`).join("; ")}`,
    "",
    hasExample ? "Try next, in another terminal: npm run example" : "Try next: a client, docs/client.md of the package",
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

/** A database that somebody has named is to be used, not passed over. */
const inMemory = (config: AppConfig.AppConfig): Effect.Effect<Running, StartError | Unsuccessful, Scope.Scope> =>
  config.ORCHESTRATOR_DATABASE_URL === undefined
    ? startInMemory(config)
    : Effect.fail(
        new Unsuccessful({
          message: "serve --memory keeps nothing: leave out ORCHESTRATOR_DATABASE_URL, or --memory to use that database"
        })
      )

const serveWith = (given: Configuration.Given, begin: typeof inMemory) =>
  Effect.gen(function* () {
    const config = yield* Configuration.load(given)
    return yield* Effect.gen(function* () {
      const running = yield* begin(config)
      yield* Effect.sync(() => process.stdout.write(greeting(running)))
      return yield* Effect.never
    }).pipe(Effect.scoped, Effect.provide(Logging.minimumLevel(config.LOG_LEVEL)))
  })

const memory = Flag.Boolean("memory").pipe(
  Flag.withDescription("Keep everything in memory, for tests: it is gone when the server ends"),
  Flag.withDefault(false)
)

const serve = Command.make("serve", { memory }, (flags) =>
  Effect.flatMap(root, (given) => serveWith(given, flags.memory ? inMemory : start))
).pipe(Command.withDescription("Start the server; this is what happens without a command"))

const migrate = Command.make("migrate", {}, () =>
  Effect.scoped(
    Effect.gen(function* () {
      const config = yield* withoutChannels
      const ran = yield* Migrator.waiting(
        Migrator.migrate(yield* chooseDatabase(config)),
        config.ORCHESTRATOR_DATABASE_WAIT
      )
      yield* Console.log(ran.length === 0 ? "the schema is up to date" : `migrated: ${ran.join(", ")}`)
    })
  )
).pipe(Command.withDescription("Bring the database to this server's schema, and end"))

const doctor = Command.make("doctor", {}, () =>
  Effect.gen(function* () {
    const findings = yield* Doctor.examine(yield* configuration)
    for (const { level, text, what } of findings) yield* Console.log(`${level.padEnd(8)} ${what}: ${text}`)
    const problems = findings.filter((finding) => finding.level === "problem").length
    if (problems > 0) return yield* new Unsuccessful({ message: `${problems} problems` })
  })
).pipe(Command.withDescription("Look at configuration, certificates, database, clock and ports, and say what is wrong"))

const channels = Command.make("channels", {}, () =>
  Effect.gen(function* () {
    const config = yield* configuration
    for (const [name, organizations] of config.channels) yield* Console.log(`${name}: ${organizations.join(", ")}`)
  })
).pipe(Command.withDescription("Print the channels and their organizations"))

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
  ({ after, channel, follow, json }) =>
    Effect.scoped(
      Effect.gen(function* () {
        const { url } = yield* chooseDatabase(yield* withoutChannels)
        yield* EventsTail.tail({ url, channel: channel as ChannelName, after, json, follow })
      })
    )
).pipe(Command.withDescription("Print the log of a channel"))

const events = Command.make("events").pipe(
  Command.withDescription("The log of events"),
  Command.withSubcommands([tail])
)

const versionCommand = Command.make("version", {}, () => Console.log(version)).pipe(
  Command.withDescription("Print the version")
)

/** The whole program, for the arguments of this process. */
export const main = root.pipe(
  Command.withHandler((given) => serveWith(given, start)),
  Command.withSubcommands([serve, migrate, doctor, events, channels, versionCommand]),
  Command.run({ version }),
  // LOG_LEVEL has a flag of its own, with the levels that deployments use.
  Effect.provideService(CliConfig.CliConfig, {
    builtIns: [GlobalFlag.Help, GlobalFlag.Version, GlobalFlag.Completions]
  })
)
