/** All migrations, in order. A released one is never changed: a new one follows. */
import { initial } from "./0001_initial.ts"
import type { Migration } from "./Migration.ts"

export const migrations: ReadonlyArray<Migration> = [{ id: 1, name: "initial", oldestServer: 1, sql: initial }]
