/**
 * What is taken over from a database of the earlier orchestrator (docs/adopt.md): its tables, what a row of them
 * becomes, and what is said of a row that breaks a rule of this server.
 */
import type { Asset } from "./Event.ts"
import type { Key } from "./Key.ts"

/** The old tables of assets, in the order in which their rows need one another. */
export const assetTables = [
  "organizations",
  "functions",
  "datamanagers",
  "datasamples",
  "compute_plans",
  "compute_tasks",
  "models",
  "performances",
  "failure_reports"
] as const
export type AssetTable = (typeof assetTables)[number]

/** The old tables whose rows can be left out, by name. */
export const tables = [...assetTables, "events"] as const
export type Table = (typeof tables)[number]

/** An asset with what the store knows of it beyond its message. */
export interface StoredAsset {
  /** The key under which events name the asset. */
  readonly key: string
  readonly asset: Asset
  /** Of a model: which output of its task holds it, and its place among the models of the task. */
  readonly output?: { readonly identifier: string; readonly ordinal: number }
  /** Of a task: the tasks that it waits for, each once, in the order of keys. */
  readonly parents?: ReadonlyArray<Key>
}

/** A row that breaks a rule. */
export interface Problem {
  readonly channel: string
  readonly table: Table
  readonly key: string
  readonly reason: string
  /** The row as it was read, to be kept where it is left out. */
  readonly row: unknown
}
