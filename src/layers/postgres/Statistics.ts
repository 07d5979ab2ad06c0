/**
 * Statistics of tables that grow fast. PostgreSQL's own look comes once a minute, and until then plans are those of empty
 * tables: a foreign key may go through all tasks of a channel for each row. So tables that have grown by half are
 * analyzed within seconds; what PostgreSQL does by itself goes on as ever, and a table that somebody else analyzes or
 * vacuums is left to them.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { Readers } from "./Session.ts"

const interval = Duration.seconds(2)

/** Fewer changed rows than that change no plan. */
const grown = `SELECT relname FROM pg_stat_user_tables
  WHERE schemaname = 'orchestrator' AND n_mod_since_analyze > 500 AND n_mod_since_analyze > n_live_tup / 2`

/** Looks for as long as the layer lives. A look that fails is made up for by the next. */
export const layer: Layer.Layer<never, never, Readers> = Layer.effectDiscard(
  Effect.gen(function* () {
    const { query } = yield* Readers
    const look = Effect.flatMap(query(grown, []), (rows) =>
      Effect.forEach(
        rows,
        ({ relname }) => query(`ANALYZE (SKIP_LOCKED) orchestrator."${String(relname)}"`, [], { slow: true }),
        { discard: true }
      )
    )
    yield* Effect.forkScoped(Effect.forever(Effect.andThen(Effect.sleep(interval), Effect.ignore(look))))
  })
)
