/**
 * One server of several processes: this one starts the database, brings up its schema, hands connections to workers in
 * turn, and answers on the HTTP port for all of them. A worker that ends is replaced. Nothing is shared between workers
 * but the database: each is to the others as a server elsewhere.
 */
import cluster, { type Worker as Process } from "node:cluster"
import * as Data from "effect/Data"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Metric from "effect/Metric"
import * as PrometheusMetrics from "effect/observability/PrometheusMetrics"
import * as Redacted from "effect/Redacted"
import * as Ref from "effect/Ref"
import * as Result from "effect/Result"
import type * as Scope from "effect/Scope"
import type { AppConfig } from "../../layers/config/AppConfig.ts"
import type { Running, StartError } from "../App.ts"
import { addressOf, type Database, migrated, onDatabase } from "../ChosenStore.ts"
import * as HttpServer from "../HttpServer.ts"
import { cannotListen, hostOf, ListenError, portProblem } from "../Ports.ts"
import { counted, format, type Measured, merge, parse } from "./MergedMetrics.ts"
import type { Order, Question, Report } from "./Protocol.ts"

const serving = Metric.gauge("orc_workers", { description: "Worker processes that serve" })
const replaced = Metric.counter("orc_worker_restarts_total", {
  description: "Worker processes that ended before the server did",
  incremental: true
})

/** How long a worker may take to answer: as long as the database may take to answer it. */
const patience = Duration.seconds(3)

/** A worker that ends at once is not started again and again without a pause: it doubles from the first to the last. */
const pauses = { first: Duration.millis(100), last: Duration.seconds(10) }

/** After the calls' time to end, what a worker has to close its connections. */
const lastGrace = Duration.seconds(5)

/** A worker cannot start, so that the server does not. The message says why. */
export class WorkerFailed extends Data.TaggedError("WorkerFailed")<{ readonly message: string }> {}

/** A process that serves, or is about to. */
class Worker {
  /** Its gRPC port, or why it cannot serve. */
  readonly started = Deferred.makeUnsafe<number, string>()
  /** How it ended. */
  readonly ended = Deferred.makeUnsafe<string>()
  isServing = false
  /** When it was last asked. */
  measured: Measured = new Map()
  private readonly process: Process
  private readonly questions = new Map<number, (text: string) => void>()
  private asked = 0

  constructor(order: Order & { readonly kind: "serve" }) {
    this.process = cluster.fork()
    this.process.on("message", (report: Report) => this.hear(report))
    // Of one that there is, what cannot be sent to it any more: its end is told by itself.
    this.process.on("error", (error) => {
      if (this.pid === undefined) this.end(`before it began: ${error.message}`)
    })
    this.process.on("exit", (code, signal) => this.end(signal === null ? `with exit status ${code}` : `by ${signal}`))
    this.send(order)
  }

  get pid(): number | undefined {
    return this.process.process.pid
  }

  private end(how: string): void {
    this.isServing = false
    Deferred.doneUnsafe(this.started, Effect.fail(`a worker process ended ${how} while starting`))
    Deferred.doneUnsafe(this.ended, Effect.succeed(how))
  }

  private hear(report: Report): void {
    if (report.kind === "serving") {
      this.isServing = true
      Deferred.doneUnsafe(this.started, Effect.succeed(report.grpcPort))
    } else if (report.kind === "failed") Deferred.doneUnsafe(this.started, Effect.fail(report.message))
    else {
      this.questions.get(report.id)?.(report.text)
      this.questions.delete(report.id)
    }
  }

  send(order: Order): void {
    if (this.process.isConnected()) this.process.send(order)
  }

  kill(): void {
    this.process.process.kill("SIGKILL")
  }

  /** Undefined: it does not answer in time. */
  ask(question: Question): Effect.Effect<string | undefined> {
    return Effect.callback<string>((resume) => {
      const id = ++this.asked
      this.questions.set(id, (text) => resume(Effect.succeed(text)))
      this.send({ kind: "ask", id, question })
      return Effect.sync(() => this.questions.delete(id))
    }).pipe(Effect.timeoutOrElse({ duration: patience, orElse: () => Effect.succeed(undefined) }))
  }
}

/** The workers of a server, by their numbers. */
class Workers {
  readonly current = new Map<number, Worker>()
  /** Of processes that have ended: what they counted until they were last asked. */
  private past: Measured = new Map()
  isDraining = false

  private get serving(): ReadonlyArray<Worker> {
    return [...this.current.values()].filter((worker) => worker.isServing)
  }

  /** Why none of them is ready: while one is, the server can do its work. */
  readonly readiness: Effect.Effect<string | undefined> = Effect.gen({ self: this }, function* () {
    if (this.isDraining) return "the server is shutting down"
    const all = this.serving
    if (all.length === 0) return "no worker process serves"
    const answers = yield* Effect.forEach(all, (worker) => worker.ask("readiness"), { concurrency: "unbounded" })
    if (answers.includes("")) return undefined
    return answers.find((answer) => answer !== undefined) ?? "no worker process answers"
  })

  readonly metrics: Effect.Effect<string> = Effect.gen({ self: this }, function* () {
    const all = this.serving
    const ask = Effect.fnUntraced(function* (worker: Worker) {
      const text = yield* worker.ask("metrics")
      // Of one that does not answer what it said last: nothing that was counted may be less the next time.
      if (text !== undefined) worker.measured = parse(text)
    })
    yield* Effect.forEach(all, ask, { concurrency: "unbounded", discard: true })
    yield* Metric.update(serving, all.length)
    const own = parse(yield* PrometheusMetrics.format())
    return format(merge([own, this.past, ...[...this.current.values()].map((worker) => worker.measured)]))
  })

  remove(number: number, worker: Worker): void {
    this.past = merge([this.past, counted(worker.measured)])
    this.current.delete(number)
  }

  killAll(): void {
    for (const worker of this.current.values()) worker.kill()
  }
}

/** One process, from its fork to its end: whether it has served, and what became of it. */
const life = Effect.fnUntraced(function* (
  workers: Workers,
  order: Order & { readonly kind: "serve" },
  serves: (worker: Worker, grpcPort: number) => Effect.Effect<void>
) {
  const forked = yield* Effect.result(
    Effect.try({
      try: () => new Worker(order),
      catch: (cause) => `a worker process could not be made: ${cause instanceof Error ? cause.message : cause}`
    })
  )
  if (Result.isFailure(forked)) return { hasServed: false, what: forked.failure }
  const worker = forked.success
  workers.current.set(order.worker, worker)
  const started = yield* Effect.result(Deferred.await(worker.started))
  if (Result.isSuccess(started)) yield* serves(worker, started.success)
  const how = yield* Deferred.await(worker.ended)
  workers.remove(order.worker, worker)
  return Result.isFailure(started)
    ? { hasServed: false, what: started.failure }
    : { hasServed: true, what: `process ${worker.pid} ended ${how}` }
})

/** Keeps one worker of this number, until the server drains. If the first cannot serve, there is no other. */
const keep = Effect.fnUntraced(function* (
  workers: Workers,
  database: Database,
  number: number,
  first: Deferred.Deferred<number, WorkerFailed>
) {
  const log = Effect.annotateLogs("worker", number)
  const order = {
    kind: "serve",
    worker: number,
    database: { url: Redacted.value(database.url), dataDir: database.dataDir }
  } as const
  let pause = pauses.first
  while (!workers.isDraining) {
    const { hasServed, what } = yield* life(workers, order, (worker, grpcPort) =>
      Effect.andThen(
        log(Effect.logInfo(`process ${worker.pid} serves`)),
        Effect.sync(() => {
          Deferred.doneUnsafe(first, Effect.succeed(grpcPort))
          pause = pauses.first
        })
      )
    )
    if (workers.isDraining) return
    if (!hasServed && !Deferred.isDoneUnsafe(first)) {
      Deferred.doneUnsafe(first, Effect.fail(new WorkerFailed({ message: what })))
      return
    }
    yield* Metric.update(replaced, 1)
    yield* log(Effect.logError(`${what}; another takes its place`))
    yield* Effect.sleep(pause)
    pause = Duration.min(Duration.times(pause, 2), pauses.last)
  }
})

/** All at once; what still runs after its calls' time is killed. */
const drain = (workers: Workers, limit: Duration.Duration): Effect.Effect<void> =>
  Effect.gen(function* () {
    workers.isDraining = true
    yield* Effect.logInfo("shutting down")
    const all = [...workers.current.values()]
    for (const worker of all) worker.send({ kind: "drain" })
    const ended = Effect.forEach(all, (worker) => Deferred.await(worker.ended), { discard: true })
    yield* Effect.timeoutOrElse(ended, {
      duration: Duration.sum(limit, lastGrace),
      orElse: () =>
        Effect.andThen(
          Effect.sync(() => workers.killAll()),
          ended
        )
    })
  })

/** Starts the database and all workers; it all ends, in the opposite order, when the scope closes. */
export const start = (config: AppConfig): Effect.Effect<Running, StartError | WorkerFailed, Scope.Scope> =>
  Effect.gen(function* () {
    const database = yield* migrated(config)
    const store = onDatabase(config, database)
    const address = addressOf(config, store)
    const workers = new Workers()
    const grpcPort = yield* Ref.make(0)
    const http = yield* HttpServer.serve({
      address,
      port: config.ORCHESTRATOR_HTTP_PORT,
      readiness: workers.readiness,
      metrics: config.METRICS_ENABLED ? workers.metrics : undefined,
      grpcPort,
      wantedGrpcPort: config.ORCHESTRATOR_GRPC_PORT
    })
    // Before there are processes that would each find it out.
    const { ORCHESTRATOR_GRPC_PORT: wanted } = config
    const problem = yield* portProblem(address, wanted)
    if (problem !== undefined) {
      return yield* new ListenError({ message: cannotListen(`${hostOf(address)}:${wanted}`, "gRPC", problem) })
    }
    // The second signal ends this process at once, and its workers with it.
    yield* Effect.acquireRelease(
      Effect.sync(() => {
        const killAll = () => workers.killAll()
        process.once("exit", killAll)
        return killAll
      }),
      (killAll) => Effect.sync(() => process.off("exit", killAll))
    )
    const numbers = Array.from({ length: config.ORCHESTRATOR_WORKERS }, (_, index) => index + 1)
    const firsts = yield* Effect.forEach(numbers, (number) =>
      Effect.gen(function* () {
        const first = yield* Deferred.make<number, WorkerFailed>()
        yield* Effect.forkScoped(keep(workers, database, number, first))
        return first
      })
    )
    yield* Effect.addFinalizer(() => drain(workers, config.ORCHESTRATOR_DRAIN_TIMEOUT))
    const [port = 0] = yield* Effect.forEach(firsts, Deferred.await, { concurrency: "unbounded" })
    yield* Ref.set(grpcPort, port)
    return { address, grpcPort: port, httpPort: http.port, data: store.data, channels: config.channels }
  })
