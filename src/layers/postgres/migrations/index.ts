/** All migrations, in order. A released one is never changed: a new one follows. */
import { initial } from "./0001_initial.ts"
import { eventsChained } from "./0002_events_chained.ts"
import type { Migration } from "./Migration.ts"

export const migrations: ReadonlyArray<Migration> = [
  { id: 1, name: "initial", oldestServer: 1, sql: initial },
  { id: 2, name: "events chained, and by kind", oldestServer: 1, sql: eventsChained }
]
