/** What the configuration chooses to keep assets and events in: a database, the embedded one, or memory. */
import { availableParallelism } from "node:os"
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import type * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import type { AppConfig } from "../layers/config/AppConfig.ts"
import * as EmbeddedPostgres from "../layers/EmbeddedPostgres.ts"
import * as MemoryStore from "../layers/memory/MemoryStore.ts"
import * as Migrator from "../layers/postgres/Migrator.ts"
import * as PostgresStore from "../layers/postgres/PostgresStore.ts"
import type { Store } from "../services/store/Store.ts"

/** A PostgreSQL database, and where it is kept when it is the embedded one. */
export interface Database {
  readonly url: Redacted.Redacted
  readonly dataDir: string | undefined
}

/** The operator's database, or the embedded one, started for as long as the scope is open. */
export const chooseDatabase = (
  config: AppConfig
): Effect.Effect<Database, EmbeddedPostgres.EmbeddedPostgresError, Scope.Scope> =>
  config.ORCHESTRATOR_DATABASE_URL !== undefined
    ? Effect.succeed({ url: config.ORCHESTRATOR_DATABASE_URL, dataDir: undefined })
    : Effect.map(
        EmbeddedPostgres.start(
          config.ORCHESTRATOR_DATA_DIR === undefined ? {} : { dataDir: config.ORCHESTRATOR_DATA_DIR }
        ),
        ({ dataDir, url }) => ({ url, dataDir })
      )

/** Whether there is one to look at: the embedded one is made when it is first started. */
export const hasDatabase = (config: AppConfig): boolean =>
  config.ORCHESTRATOR_DATABASE_URL !== undefined || EmbeddedPostgres.exists(config.ORCHESTRATOR_DATA_DIR)

/** The same to look at: the embedded one also where a server has started it, and only where there is one. */
export const databaseToSee = (
  config: AppConfig
): Effect.Effect<Redacted.Redacted, EmbeddedPostgres.EmbeddedPostgresError, Scope.Scope> =>
  Effect.gen(function* () {
    if (config.ORCHESTRATOR_DATABASE_URL !== undefined) return config.ORCHESTRATOR_DATABASE_URL
    yield* EmbeddedPostgres.mustExist(config.ORCHESTRATOR_DATA_DIR)
    const running = yield* EmbeddedPostgres.running(config.ORCHESTRATOR_DATA_DIR)
    return running ?? (yield* chooseDatabase(config)).url
  })

/** What a server keeps its assets and events in. */
export interface ChosenStore<E> {
  readonly layer: Layer.Layer<Store, E>
  readonly data: string
  /** Whether it is for development only: such a server is not for the network. */
  readonly isLocal: boolean
}

/** The database, with this server's schema. */
export const migrated = (
  config: AppConfig
): Effect.Effect<Database, EmbeddedPostgres.EmbeddedPostgresError | Migrator.DatabaseUnusable, Scope.Scope> =>
  Effect.tap(chooseDatabase(config), (database) =>
    Migrator.waiting(Migrator.migrate(database), config.ORCHESTRATOR_DATABASE_WAIT)
  )

/** A process works on one core: more connections than these would only be taken from other servers. */
const mostByCores = 8

/** Connections of a process. Workers have a share of the cores each. */
export const poolSize = (config: AppConfig): number =>
  config.ORCHESTRATOR_DATABASE_POOL_SIZE ??
  Math.min(mostByCores, Math.ceil(availableParallelism() / config.ORCHESTRATOR_WORKERS)) + 8

export const onDatabase = (config: AppConfig, { dataDir, url }: Database): ChosenStore<Migrator.DatabaseUnusable> => ({
  layer: PostgresStore.layer({
    url,
    poolSize: poolSize(config),
    logStatements: config.LOG_SQL_VERBOSE,
    earlyLockRelease: config.ORCHESTRATOR_EARLY_LOCK_RELEASE
  }),
  data: dataDir ?? "in the database of ORCHESTRATOR_DATABASE_URL",
  isLocal: dataDir !== undefined
})

export const inMemory: ChosenStore<never> = {
  layer: MemoryStore.layer,
  data: "in memory: nothing is kept, it is gone when the server ends",
  isLocal: true
}

/** The address that both ports are on. */
export const addressOf = (config: AppConfig, { isLocal }: { readonly isLocal: boolean }): string =>
  config.ORCHESTRATOR_LISTEN_ADDRESS ?? (isLocal ? "127.0.0.1" : "0.0.0.0")
