/**
 * Federated learning through an orchestrator, as the organizations' backends do it: `npm start` in one terminal, then
 * `npm run example` in another. Every organization keeps its data; only models travel. `--help` lists the options.
 */
import { isIP } from "node:net"
import { join } from "node:path"
import { parseArgs } from "node:util"
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as Cause from "effect/Cause"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import type { OrchestratorClient } from "../src/client/Client.ts"
import type { ClientError } from "../src/client/ClientError.ts"
import type { InvalidClientOptions } from "../src/client/ClientOptions.ts"
import { ComputePlanAction } from "../src/layers/wire/generated/computeplan.ts"
import * as Display from "./federated/Display.ts"
import * as Organization from "./federated/Organization.ts"
import * as Plan from "./federated/Plan.ts"
import * as Progress from "./federated/Progress.ts"
import * as Registration from "./federated/Registration.ts"
import { Scheduling } from "./federated/Scheduling.ts"
import { Storage, type StorageError } from "./federated/Storage.ts"

class Failure extends Data.TaggedError("Failure")<{ readonly message: string }> {}

const usage = `Usage: npm run example -- [options]
  --organizations <number>   how many organizations learn together (2): MyOrg1MSP, MyOrg2MSP, …
  --rounds <number>          how often they train and share what they learned (3)
  --address <host:port>      the orchestrator's gRPC port (127.0.0.1:9000; localhost:9000 with --ca)
  --channel <name>           the channel in which all is registered (mychannel)
  --seed <number>            the same seed gives the same data, and the same accuracies (1)

For an orchestrator with TLS:
  --ca <file>                the CA that the orchestrator's certificate comes from, PEM
  --cert-dir <folder>        with mutual TLS: a folder for each organization, named by its id, with tls.crt and tls.key`

interface Settings {
  readonly organizations: ReadonlyArray<string>
  readonly rounds: number
  readonly address: string
  readonly channel: string
  readonly seed: number
  readonly tls: Organization.Network["tls"]
}

const options = {
  organizations: { type: "string", default: "2" },
  rounds: { type: "string", default: "3" },
  address: { type: "string" },
  ca: { type: "string" },
  "cert-dir": { type: "string" },
  channel: { type: "string", default: "mychannel" },
  seed: { type: "string", default: "1" },
  help: { type: "boolean", default: false }
} as const

const readSettings = (): Settings => {
  const { values } = parseArgs({ options })
  const positive = (name: "organizations" | "rounds" | "seed") => {
    if (/^[1-9]\d{0,5}$/.test(values[name])) return Number(values[name])
    throw new Error(`--${name} must be a whole number above 0, not "${values[name]}"`)
  }
  const organizations = Array.from({ length: positive("organizations") }, (_, index) => `MyOrg${index + 1}MSP`)
  const { ca, "cert-dir": certificates, channel } = values
  const address = values.address ?? (ca === undefined ? "127.0.0.1:9000" : "localhost:9000")
  if (ca === undefined && certificates !== undefined) throw new Error("--cert-dir needs --ca, the server's CA")
  if (ca !== undefined && isIP(address.replace(/:\d+$/, "").replace(/^\[|\]$/g, "")) !== 0) {
    throw new Error(
      `--address must be a name that the server's certificate has, such as localhost:9000, not "${address}"`
    )
  }
  const certificatesOf = (folder: string, id: string) => ({
    certificate: join(folder, id, "tls.crt"),
    key: join(folder, id, "tls.key")
  })
  const tls: Settings["tls"] = (id) =>
    ca === undefined ? undefined : { ca, ...(certificates === undefined ? {} : certificatesOf(certificates, id)) }
  return { organizations, rounds: positive("rounds"), address, channel, seed: positive("seed"), tls }
}

const tlsHint = `
It must have TLS, a certificate of --ca for the name in --address and, if it has mutual TLS, know the CAs of --cert-dir.`

const plainHint = " One with TLS needs --ca, and with mutual TLS --cert-dir."

/** The part that says why, of what gRPC says: the rest is about tries and names. */
const networkReason = (details: string): string =>
  /\bE[A-Z]{4,}[^(;]*/.exec(details)?.[0].trim() ??
  details.replace(/^No connection established\. Last error: | \(\d{4}-[^)]*\)|\.? Resolution note:.*$/gs, "")

const explain = (settings: Settings, error: ClientError | InvalidClientOptions | StorageError | Failure): string => {
  const { address, channel, organizations, tls } = settings
  switch (error._tag) {
    case "Unavailable":
    case "Untrusted":
    case "DeadlineExceeded":
      if (error.details.startsWith("the database")) return `The orchestrator at ${address} says: ${error.details}.`
      return `No orchestrator can be reached at ${address} (${networkReason(error.details)}).
Start one with "npm start", or say with --address where it is.${tls(organizations[0] ?? "") === undefined ? plainHint : tlsHint}`
    case "PermissionDenied":
      if (error.details.includes("invalid MSPID")) {
        return `The orchestrator refuses an organization's certificate: ${error.details}
It must name the organization as O, and come from a CA in the organization's folder in ORCHESTRATOR_TLS_CLIENT_CA_CERT_DIR.`
      }
      return `The orchestrator refuses an organization: ${error.details}
Its channel file must know all of them. Write this to a file, and start it again with the file's path in ORCHESTRATOR_CHANNEL_CONFIG:

channels:
  ${channel}: [${organizations.join(", ")}]`
    default:
      return error.message
  }
}

/** What a worker wrote into the log of its failure report, if it made one: not for tasks that failed with another. */
const reasonOf = Effect.fnUntraced(
  function* (client: OrchestratorClient, assetKey: string) {
    const { download } = yield* Storage
    const { logsAddress } = yield* client.getFailureReport({ assetKey })
    return logsAddress === undefined ? "an internal error" : yield* download(logsAddress)
  },
  Effect.catchIf(
    (error) => error._tag === "NotFound",
    () => Effect.succeed(undefined)
  )
)

/** Ends when the plan is done. The plan's owner follows the events for that, as the organizations' workers do. */
const watch = Effect.fnUntraced(function* (
  { client }: Organization.Organization,
  since: string,
  progress: Progress.Progress,
  display: Display.Display
) {
  const silence = Stream.fail(
    new Failure({ message: "Nothing has happened to the plan for 60 seconds. Is the orchestrator running?" })
  )
  yield* client.events(since).pipe(
    Stream.map(progress.see),
    Stream.filter((change) => change !== undefined),
    Stream.timeoutOrElse({ duration: "60 seconds", orElse: () => silence }),
    Stream.tap((change) => Effect.sync(() => display.show(change))),
    Stream.takeUntil(() => progress.isDone() || progress.problem() !== undefined),
    Stream.runDrain
  )
  const problem = progress.problem()
  if (problem === undefined) return
  const reasons = yield* Effect.forEach(progress.failed, ([key, what]) =>
    Effect.map(reasonOf(client, key), (reason) => (reason === undefined ? [] : [`${what} failed: ${reason}`]))
  )
  return yield* new Failure({ message: [`The example has no result: ${problem}.`, ...reasons.flat()].join("\n") })
})

const program = Effect.fnUntraced(function* (settings: Settings) {
  const { organizations: ids, rounds, seed } = settings
  const started = performance.now()
  const organizations = yield* Effect.forEach(ids, (id) => Organization.join(settings, id))
  const owner = organizations[0]
  if (owner === undefined) return
  const version = yield* owner.client.queryVersion()
  const at = `${settings.address} (version ${version.orchestrator}, channel ${settings.channel})`
  console.log(`${ids.length} organizations learn together in ${rounds} rounds, with the orchestrator at ${at}.\n`)

  // All that belongs to this run comes after this event, however much is in the channel already.
  const since = yield* owner.client.newestEvent()
  const datasets = yield* Effect.forEach(organizations, (organization, number) =>
    Organization.shareData(organization, { others: ids, number, seed })
  )
  const plan = Plan.make(datasets, rounds)
  const progress = Progress.make(plan)

  const workers = Effect.forEach(organizations, (organization) => Organization.work(organization, plan, since), {
    concurrency: "unbounded",
    discard: true
  })
  const registration = Registration.register(owner, plan)
  const watching = watch(owner, since, progress, Display.make(progress, started))
  const action = ComputePlanAction.PLAN_ACTION_CANCELED
  const cancel = owner.client
    .applyPlanAction({ key: plan.key, action })
    .pipe(
      Effect.andThen(Effect.sync(() => console.log("\nStopped: the plan is canceled."))),
      Effect.timeout("2 seconds"),
      Effect.ignore
    )
  yield* Effect.all([registration, watching], { concurrency: "unbounded", discard: true }).pipe(
    Effect.raceFirst(workers),
    Effect.onInterrupt(() => cancel)
  )
  Display.summary(progress, yield* Scheduling, started)
})

const fail = (message: string) => {
  process.exitCode = 1
  console.error(`\n${message}`)
}

const main = (settings: Settings) =>
  NodeRuntime.runMain(
    program(settings).pipe(
      Effect.scoped,
      Effect.provide(Layer.merge(Storage.layer, Scheduling.layer).pipe(Layer.provide(NodeFileSystem.layer))),
      Effect.catch((error) => Effect.sync(() => fail(explain(settings, error)))),
      Effect.catchDefect((defect) => Effect.sync(() => fail(Cause.pretty(Cause.die(defect)))))
    )
  )

try {
  if (parseArgs({ options }).values.help) console.log(usage)
  else main(readSettings())
} catch (error) {
  fail(`${error instanceof Error ? error.message : error}\n\n${usage}`)
}
