/** The kinds of assets, by their names in the contract. */
import * as Schema from "effect/Schema"

export const AssetKind = Schema.Literals([
  "ASSET_ORGANIZATION",
  "ASSET_DATA_SAMPLE",
  "ASSET_DATA_MANAGER",
  "ASSET_FUNCTION",
  "ASSET_COMPUTE_TASK",
  "ASSET_COMPUTE_PLAN",
  "ASSET_MODEL",
  "ASSET_PERFORMANCE",
  "ASSET_FAILURE_REPORT",
  "ASSET_COMPUTE_TASK_OUTPUT_ASSET",
  "ASSET_PROFILING_STEP"
])
export type AssetKind = typeof AssetKind.Type

/** What goes into a task. */
export const InputKind = Schema.Literals(["ASSET_MODEL", "ASSET_DATA_SAMPLE", "ASSET_DATA_MANAGER"])
export type InputKind = typeof InputKind.Type

/** What comes out of a task. */
export const OutputKind = Schema.Literals(["ASSET_MODEL", "ASSET_PERFORMANCE"])
export type OutputKind = typeof OutputKind.Type
