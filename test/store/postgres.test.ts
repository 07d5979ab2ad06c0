/** The suites of the store on PostgreSQL. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as PostgresStore from "../../src/layers/postgres/PostgresStore.ts"
import { suite } from "../../src/testing/suites/Store.suite.ts"
import { createDatabase } from "../support/database.ts"

const store = Layer.unwrap(
  Effect.map(
    Effect.acquireRelease(Effect.promise(createDatabase), (database) => Effect.promise(database.drop)),
    ({ url }) => PostgresStore.layer({ url: Redacted.make(url), poolSize: 16 })
  )
)

suite("PostgreSQL", Layer.orDie(store))
