/**
 * The floor of writes: the statements of the server's own calls, with their parameters, from a bare driver that does
 * nothing else. They are recorded by running the services on transactions that are rolled back, then sent as the
 * server sends them: reads together, writes with COMMIT behind them, at the same concurrency, from as many connections.
 */
import * as PgConnection from "@effect/sql-pg/PgConnection"
import * as PgPool from "@effect/sql-pg/PgPool"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Scope from "effect/Scope"
import { appendEvents } from "../../../src/layers/postgres/AppendEvents.ts"
import { connectionConfig } from "../../../src/layers/postgres/Connection.ts"
import { beginning, share } from "../../../src/layers/postgres/Database.ts"
import type { DatabaseUnusable } from "../../../src/layers/postgres/Migrator.ts"
import * as PostgresStore from "../../../src/layers/postgres/PostgresStore.ts"
import { Readers, Session, type Statement } from "../../../src/layers/postgres/Session.ts"
import { layer as servicesLayer } from "../../../src/layers/Services.ts"
import { RegisterTasksParam } from "../../../src/layers/wire/generated/computetask.ts"
import { ApplyFunctionActionParam } from "../../../src/layers/wire/generated/function.ts"
import type { NewEvent } from "../../../src/schema/Event.ts"
import type { OrchestratorError } from "../../../src/schema/OrchestratorError.ts"
import type { Timestamp } from "../../../src/schema/Timestamp.ts"
import { Database } from "../../../src/services/store/Database.ts"
import type { Store } from "../../../src/services/store/Store.ts"
import { UnitOfWork } from "../../../src/services/store/UnitOfWork.ts"
import * as build from "../../../test/blackbox/Builders.ts"
import * as calls from "../../../test/concurrency/calls.ts"
import { inParallel, runAs } from "./child.ts"

export interface StatementsJob {
  readonly url: string
  readonly kind: "registerPlan" | "registerTasks" | "executing" | "done" | "functionAction"
  readonly width: number
  readonly count: number
  readonly channels: ReadonlyArray<string>
  readonly keys?: ReadonlyArray<string>
  readonly requests?: ReadonlyArray<string>
  readonly poolSize: number
}

export interface StatementsResult {
  readonly seconds: number
  readonly millis: ReadonlyArray<number>
  readonly errors: ReadonlyArray<string>
}

const bytesAt = ({ requests = [] }: StatementsJob, index: number): Buffer =>
  Buffer.from(requests[index] as string, "base64")

type Call = (
  as: calls.Caller,
  job: StatementsJob,
  index: number
) => Effect.Effect<unknown, OrchestratorError, Layer.Success<ReturnType<typeof servicesLayer>>>

const kinds: Readonly<Record<StatementsJob["kind"], Call>> = {
  registerPlan: (as) => calls.registerPlan(as, build.newPlan()),
  registerTasks: (as, job, index) => calls.registerTasks(as, ...RegisterTasksParam.decode(bytesAt(job, index)).tasks),
  executing: (as, job, index) => calls.moveTask(as, job.keys?.[index] as string, "EXECUTING"),
  done: (as, job, index) => calls.moveTask(as, job.keys?.[index] as string, "DONE"),
  functionAction: (as, job, index) => {
    const { action, functionKey } = ApplyFunctionActionParam.decode(bytesAt(job, index))
    return calls.moveFunction(as, functionKey, action.replace("FUNCTION_ACTION_", "") as calls.FunctionMove)
  }
}

interface Recorded {
  readonly reads: ReadonlyArray<Statement>
  readonly writes: ReadonlyArray<Statement>
}

/** A database that notes the statements of each transaction, and commits none. */
const recording = (connection: PgConnection.PgConnection, into: Array<Recorded>) =>
  Layer.effect(
    Database,
    Effect.gen(function* () {
      const database = yield* Database
      const readers = yield* Readers
      const run: Database["Service"]["run"] = (channel, { body, finish, prepare }) =>
        Effect.gen(function* () {
          const reads: Array<Statement> = [beginning]
          const writes: Array<Statement> = []
          const events: Array<NewEvent> = []
          const query = (sql: string, params: ReadonlyArray<unknown>) => {
            reads.push({ sql, params })
            return Effect.map(Effect.orDie(connection.query(sql, params)), ({ rows }) => rows)
          }
          const now = yield* Effect.cached(
            Effect.map(query("SELECT clock_timestamp() AS now", []), ([row]) => row?.now as Timestamp)
          )
          // The stores alone ask for the session: no body's type tells of it.
          const context: Context.Context<UnitOfWork> = Context.make(
            Session,
            Session.of({
              readers,
              isOpen: true,
              query,
              defer: (sql, params) => void writes.push({ sql, params })
            })
          ).pipe(
            Context.add(
              UnitOfWork,
              UnitOfWork.of({ now, emit: (more) => Effect.sync(() => void events.push(...more)) })
            )
          )
          yield* Effect.orDie(connection.query(beginning.sql))
          const answer = yield* finish(yield* Effect.provide(body, context))
          writes.push(appendEvents(channel, yield* now, yield* prepare(events)))
          yield* Effect.orDie(connection.query("ROLLBACK"))
          into.push({ reads, writes })
          return answer
        })
      return Database.of({ ...database, run })
    })
  )

const record = async (job: StatementsJob): Promise<ReadonlyArray<Recorded>> => {
  const recorded: Array<Recorded> = []
  const program = Effect.gen(function* () {
    const config = yield* connectionConfig({ url: Redacted.make(job.url) })
    const connection = yield* PgConnection.make(config)
    // The readers are there for its own stores: its type does not tell of them.
    const store = PostgresStore.layer({ url: Redacted.make(job.url), poolSize: 3 }) as Layer.Layer<
      Store | Readers,
      DatabaseUnusable
    >
    const services = servicesLayer({
      version: "bench",
      retryBudget: Duration.seconds(10),
      maxEventSize: 2 ** 22,
      ring: { maxEvents: 1, maxBytes: 1 },
      batchSize: 100
    }).pipe(Layer.provideMerge(recording(connection, recorded)), Layer.provideMerge(store))
    const context = yield* Layer.build(services)
    for (let index = 0; index < job.count; index++) {
      const as = calls.caller("MyOrg1MSP", job.channels[index % job.channels.length] as string)
      yield* Effect.provideContext(kinds[job.kind](as, job, index), context)
    }
  })
  await Effect.runPromise(Effect.scoped(program))
  return recorded
}

await runAs<StatementsJob>(async (job) => {
  const recorded = await record(job)
  const scope = Scope.makeUnsafe()
  const pool = await Effect.runPromise(
    Effect.flatMap(connectionConfig({ url: Redacted.make(job.url) }), (config) =>
      PgPool.make({
        ...config,
        multiplex: true,
        multiplexConcurrency: 1,
        minConnections: Math.min(job.width, share(job.poolSize).writers),
        maxConnections: share(job.poolSize).writers
      })
    ).pipe(Effect.provideService(Scope.Scope, scope))
  )
  const errors: Array<string> = []
  const call = ({ reads, writes }: Recorded) =>
    pool.use((connection) => {
      const send = (statements: ReadonlyArray<Statement>) =>
        Effect.all(
          statements.map(({ params, sql }) => connection.query(sql, params)),
          { concurrency: "unbounded", discard: true }
        )
      return Effect.andThen(send(reads), send([...writes, { sql: "COMMIT", params: [] }]))
    })
  return {
    work: async () => {
      const { millis, seconds } = await inParallel(job.width, job.count, async (index) => {
        const exit = await Effect.runPromiseExit(call(recorded[index] as Recorded))
        if (Exit.isFailure(exit)) errors.push(String(exit.cause))
      })
      return { seconds, millis, errors } satisfies StatementsResult
    }
  }
})
