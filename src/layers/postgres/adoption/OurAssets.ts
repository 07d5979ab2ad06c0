/** This server's assets and events by their keys, with all that an adoption writes: what a verification compares with. */
import * as Effect from "effect/Effect"
import type { AssetTable, StoredAsset, Table } from "../../../schema/Adoption.ts"
import { type Asset, assetKey } from "../../../schema/Event.ts"
import type { Key } from "../../../schema/Key.ts"
import type { StoredDataInvalid } from "../../../schema/OrchestratorError.ts"
import type { Timestamp } from "../../../schema/Timestamp.ts"
import * as ComputePlanStore from "../ComputePlanStore.ts"
import * as ComputeTaskStore from "../ComputeTaskStore.ts"
import * as DataManagerStore from "../DataManagerStore.ts"
import * as DataSampleStore from "../DataSampleStore.ts"
import * as FailureReportStore from "../FailureReportStore.ts"
import * as FunctionStore from "../FunctionStore.ts"
import * as ModelStore from "../ModelStore.ts"
import * as OrganizationStore from "../OrganizationStore.ts"
import * as PerformanceStore from "../PerformanceStore.ts"
import type { Row } from "../Session.ts"

type Decode<A> = (rows: ReadonlyArray<Row>) => Effect.Effect<ReadonlyArray<A>, StoredDataInvalid>

interface OurTable {
  /** Assets of channel $1 with the keys $2. */
  readonly sql: string
  readonly decode: Decode<StoredAsset>
}

const keyed = (table: string, columns: string) =>
  `SELECT ${columns} FROM ${table} WHERE channel = $1 AND key = ANY ($2::text[]::uuid[])`

/** Decodes with the store's decoder, and adds what the row says beyond the asset. */
const table = <A>(
  kind: Asset["kind"],
  sql: string,
  decode: Decode<A>,
  extras: (row: Row) => Partial<StoredAsset> = () => ({})
): OurTable => ({
  sql,
  decode: (rows) =>
    Effect.map(decode(rows), (assets) =>
      assets.map((value, index): StoredAsset => {
        const asset = { kind, asset: value } as Asset
        return { key: assetKey(asset), asset, ...extras(rows[index] as Row) }
      })
    )
})

const performanceKey = "compute_task_key || '|' || output_identifier"

export const ourTables: Readonly<Record<AssetTable, OurTable>> = {
  organizations: table(
    "ASSET_ORGANIZATION",
    `SELECT id, address, creation_date AS "creationDate" FROM organizations WHERE channel = $1 AND id = ANY ($2::text[])`,
    OrganizationStore.decode
  ),
  functions: table("ASSET_FUNCTION", keyed("functions", FunctionStore.columns), FunctionStore.decode),
  datamanagers: table("ASSET_DATA_MANAGER", keyed("data_managers", DataManagerStore.columns), DataManagerStore.decode),
  datasamples: table("ASSET_DATA_SAMPLE", keyed("data_samples", DataSampleStore.columns), DataSampleStore.decode),
  compute_plans: table("ASSET_COMPUTE_PLAN", keyed("compute_plans", ComputePlanStore.columns), ComputePlanStore.decode),
  compute_tasks: table(
    "ASSET_COMPUTE_TASK",
    keyed(
      "compute_tasks t",
      `${ComputeTaskStore.columns}, ARRAY(SELECT parent_key FROM task_parents e
         WHERE e.channel = t.channel AND e.child_key = t.key ORDER BY parent_key) AS parents`
    ),
    ComputeTaskStore.decode,
    (row) => ({ parents: row.parents as ReadonlyArray<Key> })
  ),
  models: table("ASSET_MODEL", keyed("models", `${ModelStore.columns}, ordinal`), ModelStore.decode, (row) => ({
    output: { identifier: String(row.output_identifier), ordinal: Number(row.ordinal) }
  })),
  performances: table(
    "ASSET_PERFORMANCE",
    `SELECT ${PerformanceStore.columns} FROM performances WHERE channel = $1 AND (compute_task_key, output_identifier) IN
       (SELECT left(k, 36)::uuid, substr(k, 38) FROM unnest($2::text[]) k)`,
    PerformanceStore.decode
  ),
  failure_reports: table(
    "ASSET_FAILURE_REPORT",
    `SELECT asset_key, asset_type, error_type, logs_address, creation_date, owner FROM failure_reports
      WHERE channel = $1 AND asset_key = ANY ($2::text[]::uuid[])`,
    FailureReportStore.decode
  )
}

/** The keys of all that the channel $1 has, as the old table of the same thing has them. */
export const ourKeys: Readonly<Record<Table, string>> = {
  organizations: "SELECT id AS key FROM organizations WHERE channel = $1",
  functions: "SELECT key::text FROM functions WHERE channel = $1",
  datamanagers: "SELECT key::text FROM data_managers WHERE channel = $1",
  datasamples: "SELECT key::text FROM data_samples WHERE channel = $1",
  compute_plans: "SELECT key::text FROM compute_plans WHERE channel = $1",
  compute_tasks: "SELECT key::text FROM compute_tasks WHERE channel = $1",
  models: "SELECT key::text FROM models WHERE channel = $1",
  performances: `SELECT ${performanceKey} AS key FROM performances WHERE channel = $1`,
  failure_reports: "SELECT asset_key::text AS key FROM failure_reports WHERE channel = $1",
  events: "SELECT id::text AS key FROM events WHERE channel = $1"
}

/** An event of the log with its columns, which filters look at. */
export interface OurEvent {
  readonly position: number
  readonly timestamp: Timestamp
  readonly assetKey: string
  readonly assetKind: string
  readonly eventKind: string
  readonly metadata: Readonly<Record<string, string>>
  readonly message: Uint8Array
}

export const ourEvents = `SELECT id, position, "timestamp", asset_key, asset_kind, event_kind, metadata, message FROM events
  WHERE channel = $1 AND id = ANY ($2::text[]::uuid[])`

export const ourEvent = (row: Row): OurEvent => ({
  position: Number(row.position),
  timestamp: row.timestamp as Timestamp,
  assetKey: String(row.asset_key),
  assetKind: String(row.asset_kind),
  eventKind: String(row.event_kind),
  metadata: (row.metadata ?? {}) as Readonly<Record<string, string>>,
  message: row.message as Uint8Array
})
