/** All migrations, in order. A released one is never changed: a new one follows. */
import { initial } from "./0001_initial.ts"
import { eventsByKind } from "./0002_events_by_kind.ts"
import type { Migration } from "./Migration.ts"

export const migrations: ReadonlyArray<Migration> = [
  { id: 1, name: "initial", oldestServer: 1, sql: initial },
  { id: 2, name: "events by kind", oldestServer: 1, sql: eventsByKind }
]
