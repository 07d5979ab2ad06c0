/**
 * Sets of assets into this server's tables, each with its own dates, which the stores' own inserts share in a call.
 * A statement takes every column as one array.
 */
import * as PgTypes from "@effect/sql-pg/PgTypes"
import * as Result from "effect/Result"
import type { AssetTable, StoredAsset } from "../../../schema/Adoption.ts"
import type { Asset } from "../../../schema/Event.ts"
import type { Timestamp } from "../../../schema/Timestamp.ts"
import { registry, timestamps } from "../Codecs.ts"
import { mapJson, type Statement } from "../Session.ts"
import type { OurEvent } from "./OurAssets.ts"

type Text = string | null

interface Column<A> {
  readonly name: string
  /** The type that a text becomes; dates and bytes go as what they are. */
  readonly type: string
  readonly of: (value: A) => Text | Timestamp | Uint8Array | undefined
}

const column = <A>(name: string, type: string, of: Column<A>["of"]): Column<A> => ({ name, type, of })

const parameter = <A>({ of, type }: Column<A>, values: ReadonlyArray<A>): unknown => {
  if (type === "timestamptz") return timestamps(values.map((value) => of(value) as Timestamp | undefined))
  const oid = type === "bytea" ? PgTypes.OID.bytea : PgTypes.OID.text
  return Result.getOrThrow(
    PgTypes.array(
      values.map((value) => of(value) ?? null),
      oid,
      registry
    )
  )
}

const source = ({ type }: Column<never>, place: number): string =>
  type === "timestamptz" || type === "bytea" ? `$${place}::${type}[]` : `$${place}::text[]`

/** One statement for all of these. A column whose type is text[] of something is cast value by value. */
export const insertion = <A>(
  table: string,
  channel: string,
  columns: ReadonlyArray<Column<A>>,
  values: ReadonlyArray<A>,
  suffix = ""
): Statement => {
  const names = columns.map(({ name }) => `"${name}"`).join(", ")
  const cast = columns.map(({ name, type }) => `v."${name}"::${type}`).join(", ")
  const from = columns.map((each, index) => source(each as Column<never>, index + 2)).join(", ")
  return {
    sql: `INSERT INTO ${table} (channel, ${names}) SELECT $1, ${cast} FROM unnest(${from}) AS v (${names})${suffix}`,
    params: [channel, ...columns.map((each) => parameter(each, values))]
  }
}

type Of<K extends Asset["kind"]> = Extract<Asset, { readonly kind: K }>["asset"]

const json = JSON.stringify

/** About how many bytes the asset takes in a message: its texts, and a little for every column. */
const sized = <A>(columns: ReadonlyArray<Column<A>>): ReadonlyArray<Column<A>> => [
  ...columns,
  column("size", "integer", (value) =>
    String(columns.reduce((sum, { of }) => sum + 8 + String(of(value) ?? "").length, 0))
  )
]

const functions = sized<Of<"ASSET_FUNCTION">>([
  column("key", "uuid", (fn) => fn.key),
  column("owner", "text", (fn) => fn.owner),
  column("name", "text", (fn) => fn.name),
  column("status", "function_status", (fn) => fn.status),
  column("creation_date", "timestamptz", (fn) => fn.creationDate),
  column("description", "jsonb", (fn) => json(fn.description)),
  column("archive", "jsonb", (fn) => json(fn.archive)),
  column("image", "jsonb", (fn) => json(fn.image)),
  column("permissions", "jsonb", (fn) => json(fn.permissions)),
  column("metadata", "jsonb", (fn) => mapJson(fn.metadata)),
  column("inputs", "jsonb", (fn) => mapJson(fn.inputs)),
  column("outputs", "jsonb", (fn) => mapJson(fn.outputs))
])

const dataManagers = sized<Of<"ASSET_DATA_MANAGER">>([
  column("key", "uuid", (manager) => manager.key),
  column("owner", "text", (manager) => manager.owner),
  column("name", "text", (manager) => manager.name),
  column("creation_date", "timestamptz", (manager) => manager.creationDate),
  column("description", "jsonb", (manager) => json(manager.description)),
  column("opener", "jsonb", (manager) => json(manager.opener)),
  column("permissions", "jsonb", (manager) => json(manager.permissions)),
  column("logs_permission", "jsonb", (manager) => json(manager.logsPermission)),
  column("metadata", "jsonb", (manager) => mapJson(manager.metadata))
])

const dataSamples = sized<Of<"ASSET_DATA_SAMPLE">>([
  column("key", "uuid", (sample) => sample.key),
  column("owner", "text", (sample) => sample.owner),
  column("checksum", "text", (sample) => sample.checksum),
  column("creation_date", "timestamptz", (sample) => sample.creationDate),
  column("data_manager_keys", "uuid[]", (sample) => `{${sample.dataManagerKeys.join(",")}}`)
])

const computePlans = sized<Of<"ASSET_COMPUTE_PLAN">>([
  column("key", "uuid", (plan) => plan.key),
  column("owner", "text", (plan) => plan.owner),
  column("name", "text", (plan) => plan.name),
  column("tag", "text", (plan) => plan.tag),
  column("creation_date", "timestamptz", (plan) => plan.creationDate),
  column("cancelation_date", "timestamptz", (plan) => plan.cancelationDate),
  column("failure_date", "timestamptz", (plan) => plan.failureDate),
  column("metadata", "jsonb", (plan) => mapJson(plan.metadata))
])

const computeTasks = sized<Of<"ASSET_COMPUTE_TASK">>([
  column("key", "uuid", (task) => task.key),
  column("owner", "text", (task) => task.owner),
  column("worker", "text", (task) => task.worker),
  column("compute_plan_key", "uuid", (task) => task.computePlanKey),
  column("function_key", "uuid", (task) => task.functionKey),
  column("rank", "integer", (task) => String(task.rank)),
  column("status", "task_status", (task) => task.status),
  column("creation_date", "timestamptz", (task) => task.creationDate),
  column("logs_permission", "jsonb", (task) => json(task.logsPermission)),
  column("metadata", "jsonb", (task) => mapJson(task.metadata)),
  column("inputs", "jsonb", (task) => json(task.inputs)),
  column("outputs", "jsonb", (task) => mapJson(task.outputs))
])

const organizations: ReadonlyArray<Column<Of<"ASSET_ORGANIZATION">>> = [
  column("id", "text", (organization) => organization.id),
  column("address", "text", (organization) => organization.address),
  column("creation_date", "timestamptz", (organization) => organization.creationDate)
]

const models: ReadonlyArray<Column<StoredAsset>> = [
  ...(
    [
      column("key", "uuid", (model) => model.key),
      column("owner", "text", (model) => model.owner),
      column("compute_task_key", "uuid", (model) => model.computeTaskKey),
      column("creation_date", "timestamptz", (model) => model.creationDate),
      column("address", "jsonb", (model) => (model.address === undefined ? null : json(model.address))),
      column("permissions", "jsonb", (model) => json(model.permissions))
    ] satisfies ReadonlyArray<Column<Of<"ASSET_MODEL">>>
  ).map(({ name, of, type }) => column<StoredAsset>(name, type, ({ asset }) => of(asset.asset as Of<"ASSET_MODEL">))),
  column("output_identifier", "text", ({ output }) => output?.identifier),
  column("ordinal", "integer", ({ output }) => String(output?.ordinal))
]

const performances: ReadonlyArray<Column<Of<"ASSET_PERFORMANCE">>> = [
  column("compute_task_key", "uuid", (performance) => performance.computeTaskKey),
  column("output_identifier", "text", (performance) => performance.computeTaskOutputIdentifier),
  column("value", "real", (performance) => String(performance.performanceValue)),
  column("creation_date", "timestamptz", (performance) => performance.creationDate)
]

const failureReports: ReadonlyArray<Column<Of<"ASSET_FAILURE_REPORT">>> = [
  column("asset_key", "uuid", (report) => report.assetKey),
  column("asset_type", "failed_asset_kind", (report) => report.assetType),
  column("error_type", "error_type", (report) => report.errorType),
  column("logs_address", "jsonb", (report) => (report.logsAddress === undefined ? null : json(report.logsAddress))),
  column("owner", "text", (report) => report.owner),
  column("creation_date", "timestamptz", (report) => report.creationDate)
]

const pair = (one: string, other: string): ReadonlyArray<Column<readonly [string, string]>> => [
  column(one, "uuid", ([value]) => value),
  column(other, "uuid", ([, value]) => value)
]

/** Child and parent. */
export const parentsInsertion = (channel: string, edges: ReadonlyArray<readonly [string, string]>): Statement =>
  insertion("task_parents", channel, pair("child_key", "parent_key"), edges)

/** The statements that put assets of one old table into ours, in order. */
export const insertions = (
  table: AssetTable,
  channel: string,
  stored: ReadonlyArray<StoredAsset>
): ReadonlyArray<Statement> => {
  const of = <K extends Asset["kind"]>(into: string, columns: ReadonlyArray<Column<Of<K>>>) =>
    insertion(
      into,
      channel,
      columns,
      stored.map(({ asset }) => asset.asset as Of<K>)
    )
  switch (table) {
    case "organizations":
      return [of<"ASSET_ORGANIZATION">("organizations", organizations)]
    case "functions":
      return [of<"ASSET_FUNCTION">("functions", functions)]
    case "datamanagers":
      return [of<"ASSET_DATA_MANAGER">("data_managers", dataManagers)]
    case "datasamples": {
      const links = stored.flatMap(({ asset }) => {
        const { dataManagerKeys, key } = asset.asset as Of<"ASSET_DATA_SAMPLE">
        return dataManagerKeys.map((manager) => [manager, key] as const)
      })
      return [
        of<"ASSET_DATA_SAMPLE">("data_samples", dataSamples),
        insertion("data_manager_samples", channel, pair("data_manager_key", "data_sample_key"), links)
      ]
    }
    case "compute_plans":
      return [of<"ASSET_COMPUTE_PLAN">("compute_plans", computePlans)]
    case "compute_tasks":
      return [of<"ASSET_COMPUTE_TASK">("compute_tasks", computeTasks)]
    case "models":
      return [insertion("models", channel, models, stored)]
    case "performances":
      return [of<"ASSET_PERFORMANCE">("performances", performances)]
    case "failure_reports":
      return [of<"ASSET_FAILURE_REPORT">("failure_reports", failureReports)]
  }
}

/** An event for its place in the log. */
export interface PlacedEvent extends OurEvent {
  readonly id: string
}

const events: ReadonlyArray<Column<PlacedEvent>> = [
  column("position", "bigint", (event) => String(event.position)),
  column("id", "uuid", (event) => event.id),
  column("timestamp", "timestamptz", (event) => event.timestamp),
  column("asset_key", "text", (event) => event.assetKey),
  column("asset_kind", "asset_kind", (event) => event.assetKind),
  column("event_kind", "event_kind", (event) => event.eventKind),
  column("metadata", "jsonb", ({ metadata }) => (Object.keys(metadata).length === 0 ? null : json(metadata))),
  column("message", "bytea", (event) => event.message)
]

export const eventsInsertion = (channel: string, placed: ReadonlyArray<PlacedEvent>): Statement =>
  insertion("events", channel, events, placed)

const profilingSteps: ReadonlyArray<Column<Of<"ASSET_PROFILING_STEP">>> = [
  column("asset_key", "uuid", (step) => step.assetKey),
  column("step", "text", (step) => step.step),
  column("duration", "bigint", (step) => String(step.duration))
]

/** A step that is there already stays as it was first. */
export const stepsInsertion = (channel: string, steps: ReadonlyArray<Of<"ASSET_PROFILING_STEP">>): Statement =>
  insertion("profiling_steps", channel, profilingSteps, steps, " ON CONFLICT DO NOTHING")
