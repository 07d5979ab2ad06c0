/** The floor of pages: the statement of a page, sent by a bare driver, and the encoding of the answer that it makes. */
import * as PgConnection from "@effect/sql-pg/PgConnection"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as ComputePlanStoreLayer from "../../src/layers/postgres/ComputePlanStore.ts"
import * as ComputeTaskStoreLayer from "../../src/layers/postgres/ComputeTaskStore.ts"
import { connectionConfig } from "../../src/layers/postgres/Connection.ts"
import { Readers, type Statement } from "../../src/layers/postgres/Session.ts"
import type { ChannelName } from "../../src/schema/Key.ts"
import { ComputePlanStore } from "../../src/services/store/ComputePlanStore.ts"
import { ComputeTaskStore } from "../../src/services/store/ComputeTaskStore.ts"

const page = Effect.fnUntraced(function* (kind: "tasks" | "plans", channel: string, limit: number) {
  const request = { cursor: Option.none(), limit, maxBytes: 1_000_000_000 }
  if (kind === "tasks") yield* (yield* ComputeTaskStore).page(channel as ChannelName, {}, request)
  else yield* (yield* ComputePlanStore).page(channel as ChannelName, {}, request)
})

/** Milliseconds that the statement of a first page takes, and `encode`, each of so many times. */
export const timeBare = (
  url: string,
  kind: "tasks" | "plans",
  channel: string,
  limit: number,
  encode: () => void,
  times: number
): Promise<ReadonlyArray<number>> =>
  Effect.gen(function* () {
    const connection = yield* PgConnection.make(yield* connectionConfig({ url: Redacted.make(url) }))
    const statements: Array<Statement> = []
    const query: Readers["Service"]["query"] = (sql, params) => {
      statements.push({ sql, params })
      return Effect.orDie(Effect.map(connection.query(sql, params), ({ rows }) => rows))
    }
    const stores = Layer.merge(ComputeTaskStoreLayer.layer, ComputePlanStoreLayer.layer).pipe(
      Layer.provide(Layer.succeed(Readers, Readers.of({ query })))
    )
    yield* Effect.provide(page(kind, channel, limit), stores)
    const [statement] = statements as [Statement]
    const millis: Array<number> = []
    for (let time = 0; time < times; time++) {
      const begun = performance.now()
      yield* connection.query(statement.sql, statement.params)
      encode()
      millis.push(performance.now() - begun)
    }
    return millis
  }).pipe(Effect.scoped, Effect.orDie, Effect.runPromise)
