/**
 * The old tables of assets: a statement for each that brings whole assets of channel $1, and what makes a value of this
 * server of a row. JSON travels as text, `missing` lists rows that are referred to and are not there.
 * Statements join sets, so that their cost does not depend on the old database's indexes.
 */
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { type AssetTable, assetTables, type StoredAsset } from "../../../schema/Adoption.ts"
import { ComputePlan } from "../../../schema/ComputePlan.ts"
import { ComputeTask } from "../../../schema/ComputeTask.ts"
import { DataManager } from "../../../schema/DataManager.ts"
import { DataSample } from "../../../schema/DataSample.ts"
import type { Asset } from "../../../schema/Event.ts"
import { FailureReport } from "../../../schema/FailureReport.ts"
import { Function } from "../../../schema/Function.ts"
import type { Key } from "../../../schema/Key.ts"
import { Model } from "../../../schema/Model.ts"
import { Organization } from "../../../schema/Organization.ts"
import { keyOf, Performance } from "../../../schema/Performance.ts"
import { violations } from "../../../schema/Validation.ts"
import type { Row } from "../Session.ts"

/** A row that another one needs: it must be there, and not be left out. */
export interface Reference {
  readonly table: AssetTable
  readonly key: string
}

export interface OldTable {
  readonly table: AssetTable
  readonly sql: string
  readonly keyOf: (row: Row) => string
  /** The rows that this one needs. */
  readonly needs: (row: Row) => ReadonlyArray<Reference>
  /** The asset, or what is wrong with the row. */
  readonly decode: (row: Row) => Result.Result<StoredAsset, string>
}

const address = (of: string) =>
  `CASE WHEN ${of}.storage_address IS NOT NULL
     THEN json_build_object('storageAddress', ${of}.storage_address, 'checksum', coalesce(${of}.checksum, ''))::text END`

const addresses = (...joins: ReadonlyArray<readonly [name: string, column: string]>) =>
  joins
    .map(([name, column]) => `LEFT JOIN public.addressables ${name} ON ${name}.storage_address = ${column}`)
    .join("\n  ")

const missing = (...cases: ReadonlyArray<readonly [absent: string, name: string]>) =>
  `array_to_string(ARRAY[${cases.map(([absent, name]) => `CASE WHEN ${absent} THEN ${name} END`).join(", ")}], ', ') AS missing`

/** Which tasks wait for which: by their inputs, and by the table of parents, which should say the same. */
export const edges = `(SELECT compute_task_key AS child, parent_task_key AS parent FROM public.compute_task_inputs
     WHERE parent_task_key IS NOT NULL
    UNION SELECT child_task_key, parent_task_key FROM public.compute_task_parents)`

const sql: Readonly<Record<AssetTable, string>> = {
  organizations: `SELECT id, address, creation_date FROM public.organizations WHERE channel = $1 ORDER BY id COLLATE "C"`,

  functions: `SELECT f.key, f.name, f.owner, f.status, f.creation_date, f.permissions::text, f.metadata::text,
       ${address("d")} AS description, ${address("a")} AS archive, ${address("i")} AS image,
       fi.inputs, fo.outputs
  FROM public.functions f
  ${addresses(["d", "f.description"], ["a", "f.archive_address"], ["i", "f.image_address"])}
  LEFT JOIN (SELECT function_key, json_agg(json_build_object('identifier', identifier, 'kind', kind,
                      'multiple', multiple, 'optional', optional))::text AS inputs
               FROM public.function_inputs GROUP BY function_key) fi ON fi.function_key = f.key
  LEFT JOIN (SELECT function_key, json_agg(json_build_object('identifier', identifier, 'kind', kind,
                      'multiple', multiple))::text AS outputs
               FROM public.function_outputs GROUP BY function_key) fo ON fo.function_key = f.key
 WHERE f.channel = $1 ORDER BY f.key`,

  datamanagers: `SELECT m.key, m.name, m.owner, m.creation_date, m.permissions::text, m.logs_permission::text,
       m.metadata::text, ${address("d")} AS description, ${address("o")} AS opener
  FROM public.datamanagers m
  ${addresses(["d", "m.description"], ["o", "m.opener"])}
 WHERE m.channel = $1 ORDER BY m.key`,

  datasamples: `SELECT s.key, s.owner, s.checksum, s.creation_date, l.managers, l.missing
  FROM public.datasamples s
  LEFT JOIN (SELECT l.datasample_key, array_agg(l.datamanager_key ORDER BY m.creation_date, l.datamanager_key) AS managers,
                    string_agg('datamanagers ' || l.datamanager_key, ', ') FILTER (WHERE m.key IS NULL) AS missing
               FROM (SELECT DISTINCT datasample_key, datamanager_key FROM public.datasample_datamanagers) l
               LEFT JOIN public.datamanagers m ON m.key = l.datamanager_key AND m.channel = $1
              GROUP BY l.datasample_key) l ON l.datasample_key = s.key
 WHERE s.channel = $1 ORDER BY s.key`,

  compute_plans: `SELECT key, owner, name, tag, creation_date, cancelation_date, failure_date, metadata::text
  FROM public.compute_plans WHERE channel = $1 ORDER BY key`,

  compute_tasks: `SELECT t.key, t.owner, t.worker, t.compute_plan_key, t.function_key, t.rank, t.status, t.creation_date,
       t.logs_permission::text, t.metadata::text, i.inputs, o.outputs, e.parents,
       ${missing(
         ["p.key IS NULL", "'compute_plans ' || t.compute_plan_key"],
         ["f.key IS NULL", "'functions ' || t.function_key"],
         ["w.id IS NULL", "'organizations ' || t.worker"],
         ["e.missing IS NOT NULL", "e.missing"]
       )}
  FROM public.compute_tasks t
  LEFT JOIN public.compute_plans p ON p.key = t.compute_plan_key AND p.channel = $1
  LEFT JOIN public.functions f ON f.key = t.function_key AND f.channel = $1
  LEFT JOIN public.organizations w ON w.id = t.worker AND w.channel = $1
  LEFT JOIN (SELECT compute_task_key, json_agg(json_build_object('identifier', identifier, 'assetKey', asset_key,
                      'parentTaskKey', parent_task_key, 'outputIdentifier', parent_task_output_identifier)
                      ORDER BY position)::text AS inputs
               FROM public.compute_task_inputs GROUP BY compute_task_key) i ON i.compute_task_key = t.key
  LEFT JOIN (SELECT compute_task_key, json_agg(json_build_object('identifier', identifier,
                      'permissions', permissions, 'transient', transient))::text AS outputs
               FROM public.compute_task_outputs GROUP BY compute_task_key) o ON o.compute_task_key = t.key
  LEFT JOIN (SELECT e.child, array_agg(e.parent ORDER BY e.parent) AS parents,
                    string_agg('compute_tasks ' || e.parent, ', ') FILTER (WHERE p.key IS NULL) AS missing
               FROM ${edges} e LEFT JOIN public.compute_tasks p ON p.key = e.parent AND p.channel = $1
              GROUP BY e.child) e ON e.child = t.key
 WHERE t.channel = $1 ORDER BY t.key`,

  // Within an output the position is the order of registration; among outputs it is the date, which never goes back here.
  models: `SELECT m.*, row_number() OVER (PARTITION BY m.compute_task_key
                             ORDER BY m.registered, m.position, m.output COLLATE "C", m.key) AS ordinal
  FROM (SELECT m.key, m.owner, m.compute_task_key, m.creation_date, m.permissions::text, m.address AS location,
               ${address("a")} AS address, o.compute_task_output_identifier AS output, o.position,
               max(m.creation_date) OVER (PARTITION BY m.compute_task_key, o.compute_task_output_identifier
                                          ORDER BY o.position) AS registered,
               ${missing(["t.key IS NULL", "'compute_tasks ' || m.compute_task_key"])}
          FROM public.models m
          ${addresses(["a", "m.address"])}
          LEFT JOIN public.compute_task_output_assets o
            ON o.asset_key = m.key::text AND o.compute_task_key = m.compute_task_key
          LEFT JOIN public.compute_tasks t ON t.key = m.compute_task_key AND t.channel = $1
         WHERE m.channel = $1) m
 ORDER BY m.key`,

  performances: `SELECT p.compute_task_key, p.compute_task_output_identifier AS output, p.performance_value::text AS value,
       p.creation_date, ${missing(["t.key IS NULL", "'compute_tasks ' || p.compute_task_key"])}
  FROM public.performances p
  LEFT JOIN public.compute_tasks t ON t.key = p.compute_task_key AND t.channel = $1
 WHERE p.channel = $1 ORDER BY p.compute_task_key, p.compute_task_output_identifier COLLATE "C"`,

  failure_reports: `SELECT r.asset_key, r.asset_type, r.error_type, r.owner, r.creation_date,
       r.logs_address AS location, ${address("a")} AS address
  FROM public.failure_reports r
  ${addresses(["a", "r.logs_address"])}
 WHERE r.channel = $1 ORDER BY r.asset_key`
}

/** The tasks below these ones ($2), each with one parent that brings it here. */
export const descendants = `WITH RECURSIVE below (child, parent) AS (
    SELECT e.child, e.parent FROM ${edges} e WHERE e.parent = ANY ($2::text[]::uuid[])
    UNION SELECT e.child, e.parent FROM ${edges} e JOIN below b ON e.parent = b.child)
  SELECT DISTINCT ON (t.key) t.key, b.parent FROM below b JOIN public.compute_tasks t ON t.key = b.child
   WHERE t.channel = $1 AND NOT t.key = ANY ($2::text[]::uuid[]) ORDER BY t.key, b.parent`

/** Pairs of child and parent of a channel. */
export const parents = `SELECT e.child, e.parent FROM ${edges} e JOIN public.compute_tasks t ON t.key = e.child
  WHERE t.channel = $1 ORDER BY e.child, e.parent`

type Json = Readonly<Record<string, unknown>>

const json = (text: unknown): unknown => (typeof text === "string" ? JSON.parse(text) : undefined)

const isObject = (value: unknown): value is Json => typeof value === "object" && value !== null && !Array.isArray(value)

/** What is left out of the old JSON is false, or empty. What is no object stays, for the schema to refuse. */
const permission = (value: unknown): unknown =>
  isObject(value) ? { public: value.public ?? false, authorizedIds: value.authorizedIds ?? [] } : value

const permissions = (value: unknown): unknown =>
  isObject(value) ? { process: permission(value.process), download: permission(value.download) } : value

/** Metadata: an object, or JSON null for none. */
const metadata = (text: unknown): unknown => {
  const value = json(text)
  return value === null ? new Map() : isObject(value) ? new Map(Object.entries(value)) : value
}

/** Rows of a table beside the asset's, as the map that they are. */
const byIdentifier = (text: unknown, value: (row: Json) => unknown): ReadonlyMap<string, unknown> =>
  new Map(((json(text) ?? []) as ReadonlyArray<Json>).map((row) => [String(row.identifier), value(row)]))

const given = (name: string, value: unknown): Json => (value === null || value === undefined ? {} : { [name]: value })

const taskInput = ({ assetKey, identifier, outputIdentifier, parentTaskKey }: Json): Json => ({
  identifier,
  ...given("assetKey", assetKey),
  ...(parentTaskKey === null && outputIdentifier === null
    ? {}
    : { parentTaskOutput: { parentTaskKey, outputIdentifier } })
})

/** The asset that a row should be, for its schema to check. */
const candidates: Readonly<Record<AssetTable, (row: Row) => Json>> = {
  organizations: (row) => ({ id: row.id, address: row.address, creationDate: row.creation_date }),
  functions: (row) => ({
    key: row.key,
    name: row.name,
    owner: row.owner,
    status: row.status,
    creationDate: row.creation_date,
    description: json(row.description),
    archive: json(row.archive),
    image: json(row.image),
    permissions: permissions(json(row.permissions)),
    metadata: metadata(row.metadata),
    inputs: byIdentifier(row.inputs, ({ kind, multiple, optional }) => ({ kind, multiple, optional })),
    outputs: byIdentifier(row.outputs, ({ kind, multiple }) => ({ kind, multiple }))
  }),
  datamanagers: (row) => ({
    key: row.key,
    name: row.name,
    owner: row.owner,
    creationDate: row.creation_date,
    description: json(row.description),
    opener: json(row.opener),
    permissions: permissions(json(row.permissions)),
    logsPermission: permission(json(row.logs_permission)),
    metadata: metadata(row.metadata)
  }),
  datasamples: (row) => ({
    key: row.key,
    owner: row.owner,
    checksum: row.checksum,
    creationDate: row.creation_date,
    dataManagerKeys: row.managers ?? []
  }),
  compute_plans: (row) => ({
    key: row.key,
    owner: row.owner,
    name: row.name,
    tag: row.tag,
    creationDate: row.creation_date,
    metadata: metadata(row.metadata),
    ...given("cancelationDate", row.cancelation_date),
    ...given("failureDate", row.failure_date)
  }),
  compute_tasks: (row) => ({
    key: row.key,
    owner: row.owner,
    worker: row.worker,
    computePlanKey: row.compute_plan_key,
    functionKey: row.function_key,
    rank: row.rank,
    status: row.status,
    creationDate: row.creation_date,
    logsPermission: permission(json(row.logs_permission)),
    metadata: metadata(row.metadata),
    inputs: ((json(row.inputs) ?? []) as ReadonlyArray<Json>).map(taskInput),
    outputs: byIdentifier(row.outputs, (output) => ({
      permissions: permissions(output.permissions),
      transient: output.transient
    }))
  }),
  models: (row) => ({
    key: row.key,
    owner: row.owner,
    computeTaskKey: row.compute_task_key,
    creationDate: row.creation_date,
    permissions: permissions(json(row.permissions)),
    ...given("address", json(row.address))
  }),
  performances: (row) => ({
    computeTaskKey: row.compute_task_key,
    computeTaskOutputIdentifier: row.output,
    performanceValue: Math.fround(Number(row.value)),
    creationDate: row.creation_date
  }),
  failure_reports: (row) => ({
    assetKey: row.asset_key,
    assetType: row.asset_type,
    errorType: row.error_type,
    owner: row.owner,
    creationDate: row.creation_date,
    ...given("logsAddress", json(row.address))
  })
}

const hasNoAddressable = (row: Row): string | undefined =>
  row.location !== null && row.address === null
    ? `address: ${JSON.stringify(row.location)} is not in addressables`
    : undefined

/** Rules beyond the shape of an asset. */
const rules: { readonly [T in AssetTable]?: (row: Row, candidate: Json) => string | undefined } = {
  compute_tasks: (row, { inputs }) => {
    if (Number(row.rank) < 0) return "rank: must not be negative"
    const unclear = (inputs as ReadonlyArray<Json>).findIndex(
      ({ assetKey, parentTaskOutput }) => (assetKey === undefined) === (parentTaskOutput === undefined)
    )
    return unclear < 0 ? undefined : `inputs[${unclear}].ref: must be an asset_key or a parent_task_output`
  },
  models: (row) =>
    row.output === null ? "no row of compute_task_output_assets says which output holds it" : hasNoAddressable(row),
  performances: (row, { performanceValue }) =>
    Number.isFinite(performanceValue) || /^(?:NaN|-?Infinity)$/.test(String(row.value))
      ? undefined
      : `performance_value: ${row.value} is no 32-bit float`,
  failure_reports: (row) =>
    hasNoAddressable(row) ??
    ((row.location === null) === (row.error_type === "ERROR_TYPE_INTERNAL")
      ? undefined
      : row.location === null
        ? "logs_address: must be there for this error type"
        : "logs_address: must be absent for this error type")
}

const schemas = {
  organizations: [Organization, "ASSET_ORGANIZATION"],
  functions: [Function, "ASSET_FUNCTION"],
  datamanagers: [DataManager, "ASSET_DATA_MANAGER"],
  datasamples: [DataSample, "ASSET_DATA_SAMPLE"],
  compute_plans: [ComputePlan, "ASSET_COMPUTE_PLAN"],
  compute_tasks: [ComputeTask, "ASSET_COMPUTE_TASK"],
  models: [Model, "ASSET_MODEL"],
  performances: [Performance, "ASSET_PERFORMANCE"],
  failure_reports: [FailureReport, "ASSET_FAILURE_REPORT"]
} as const satisfies Record<AssetTable, readonly [Schema.Codec<unknown, unknown>, Asset["kind"]]>

/** The key of a row, as events name its asset. */
const keys: Readonly<Record<AssetTable, (row: Row) => string>> = {
  organizations: (row) => String(row.id),
  functions: (row) => String(row.key),
  datamanagers: (row) => String(row.key),
  datasamples: (row) => String(row.key),
  compute_plans: (row) => String(row.key),
  compute_tasks: (row) => String(row.key),
  models: (row) => String(row.key),
  performances: (row) => keyOf(row.compute_task_key as Key, String(row.output)),
  failure_reports: (row) => String(row.asset_key)
}

const reference = (table: AssetTable, key: unknown): Reference => ({ table, key: String(key) })

const needs: { readonly [T in AssetTable]?: (row: Row) => ReadonlyArray<Reference> } = {
  datasamples: (row) => ((row.managers ?? []) as ReadonlyArray<string>).map((key) => reference("datamanagers", key)),
  compute_tasks: (row) => [
    reference("compute_plans", row.compute_plan_key),
    reference("functions", row.function_key),
    reference("organizations", row.worker),
    // Else it would run on less than it was given. What kind of asset a key is of, its row does not say.
    ...((json(row.inputs) ?? []) as ReadonlyArray<Json>).flatMap(({ assetKey }) =>
      typeof assetKey === "string" ? [reference("datamanagers", assetKey), reference("datasamples", assetKey)] : []
    )
  ],
  models: (row) => [reference("compute_tasks", row.compute_task_key)],
  performances: (row) => [reference("compute_tasks", row.compute_task_key)],
  failure_reports: (row) => [reference("compute_tasks", row.asset_key), reference("functions", row.asset_key)]
}

/** Names what is wrong, with values where they are short. */
const explain = (schema: Schema.Codec<unknown, unknown>, candidate: Json): string =>
  violations(schema, candidate, [])
    .map(({ description, field }) => {
      const value = candidate[field]
      return `${field}: ${description}${typeof value === "string" ? ` (it is ${JSON.stringify(value.slice(0, 100))})` : ""}`
    })
    .join("; ")

const extras = (table: AssetTable, row: Row): Partial<StoredAsset> =>
  table === "models"
    ? { output: { identifier: String(row.output), ordinal: Number(row.ordinal) } }
    : table === "compute_tasks"
      ? { parents: (row.parents ?? []) as ReadonlyArray<Key> }
      : {}

const oldTable = (table: AssetTable): OldTable => {
  const [schema, kind] = schemas[table] as readonly [Schema.Codec<unknown, unknown>, Asset["kind"]]
  const decode = Schema.decodeUnknownResult(schema)
  return {
    table,
    sql: sql[table],
    keyOf: keys[table],
    needs: needs[table] ?? (() => []),
    decode: (row) => {
      if (typeof row.missing === "string" && row.missing !== "") {
        return Result.fail(`refers to what is not there in this channel: ${row.missing}`)
      }
      const candidate = candidates[table](row)
      const decoded = decode(candidate)
      if (Result.isFailure(decoded)) return Result.fail(explain(schema, candidate))
      const broken = rules[table]?.(row, candidate)
      return broken === undefined
        ? Result.succeed({
            key: keys[table](row),
            asset: { kind, asset: decoded.success } as Asset,
            ...extras(table, row)
          })
        : Result.fail(broken)
    }
  }
}

/** All of them, in the order in which their rows need one another. */
export const oldTables: ReadonlyArray<OldTable> = assetTables.map(oldTable)

/** The keys of these that a table of the channel has. */
export const presentKeys: Readonly<Record<AssetTable, string>> = Object.fromEntries(
  assetTables.map((table) => {
    const key =
      {
        organizations: "id",
        performances: "compute_task_key || '|' || compute_task_output_identifier",
        failure_reports: "asset_key::text"
      }[table as string] ?? "key::text"
    return [table, `SELECT ${key} AS key FROM public.${table} WHERE channel = $1 AND ${key} = ANY ($2::text[])`]
  })
) as Record<AssetTable, string>
