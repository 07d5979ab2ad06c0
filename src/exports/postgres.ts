/** `substra-orchestrator/postgres`: the store on PostgreSQL, its migrations, and a PostgreSQL that comes with the package. */
export * as EmbeddedPostgres from "../layers/EmbeddedPostgres.ts"
export * as Migrator from "../layers/postgres/Migrator.ts"
export * as PostgresStore from "../layers/postgres/PostgresStore.ts"
