/** Profiling steps on PostgreSQL. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { ProfilingStore } from "../../services/store/ProfilingStore.ts"
import { int8 } from "./Codecs.ts"
import { sql } from "./Session.ts"

export const layer = Layer.effect(
  ProfilingStore,
  Effect.map(sql, ({ locking }) =>
    ProfilingStore.of({
      add: (channel, { assetKey, duration, step }) =>
        Effect.map(
          locking(
            `INSERT INTO profiling_steps (channel, asset_key, step, duration) VALUES ($1, $2, $3, $4)
             ON CONFLICT DO NOTHING RETURNING step`,
            [channel, assetKey, step, int8(duration)]
          ),
          (rows) => rows.length > 0
        )
    })
  )
)
