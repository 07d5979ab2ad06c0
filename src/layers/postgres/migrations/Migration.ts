/** What a migration is. All of them are in index.ts, Migrator.ts runs them. */

/** One step from a schema to the next. */
export interface Migration {
  /** The schema that it leads to: 1, 2, 3, … */
  readonly id: number
  readonly name: string
  /** The oldest servers that may still run on the new schema, by the last schema that they know. */
  readonly oldestServer: number
  readonly sql: string
}
