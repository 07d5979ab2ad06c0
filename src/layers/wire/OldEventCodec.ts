/**
 * Events of the earlier orchestrator, whose assets are proto3 JSON, in the contract's encoding. The library reads JSON
 * by the descriptors of the contract: defaults, enums, times to the nanosecond. What the contract does not know is refused.
 */
import { createFileRegistry, fromBinary, fromJson, type JsonValue, toBinary } from "@bufbuild/protobuf"
import { FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt"
import * as Result from "effect/Result"
import type { AssetKind } from "../../schema/AssetKind.ts"
import type { EventKind } from "../../schema/Event.ts"
import { difference } from "./Difference.ts"
import { fileDescriptorSet } from "./generated/descriptors.ts"
import { Event } from "./generated/event.ts"

const contract = createFileRegistry(fromBinary(FileDescriptorSetSchema, Buffer.from(fileDescriptorSet, "base64")))

const message = (() => {
  const found = contract.getMessage("orchestrator.Event")
  if (found === undefined) throw new Error("the contract has no orchestrator.Event")
  return found
})()

/** The event's field for an asset of a kind, by its name in JSON. */
const fields: Readonly<Record<AssetKind, string>> = {
  ASSET_ORGANIZATION: "organization",
  ASSET_FUNCTION: "function",
  ASSET_DATA_MANAGER: "dataManager",
  ASSET_DATA_SAMPLE: "dataSample",
  ASSET_COMPUTE_PLAN: "computePlan",
  ASSET_COMPUTE_TASK: "computeTask",
  ASSET_MODEL: "model",
  ASSET_PERFORMANCE: "performance",
  ASSET_FAILURE_REPORT: "failureReport",
  ASSET_COMPUTE_TASK_OUTPUT_ASSET: "computeTaskOutputAsset",
  ASSET_PROFILING_STEP: "profilingStep"
}

/** JSON holds a number where an enum has no name for it. Values of metadata are texts, so this finds enums alone. */
const unnamedEnum = /"(status|kind|assetKind|assetType|errorType)":\s*-?\d+/

export interface JsonEvent {
  readonly id: string
  readonly assetKey: string
  readonly assetKind: AssetKind
  readonly eventKind: EventKind
  readonly metadata: Readonly<Record<string, string>>
  /** The asset's message, proto3 JSON. */
  readonly asset: string
}

/** The message of an event but for its timestamp, as the log keeps it; or why its asset is no message. */
export const encode = (channel: string, event: JsonEvent): Result.Result<Uint8Array, string> => {
  const { asset, assetKey, assetKind, eventKind, id, metadata } = event
  const unnamed = unnamedEnum.exec(asset)
  if (unnamed !== null) return Result.fail(`asset: ${unnamed[0]} is not known to the contract`)
  const value = JSON.parse(asset) as JsonValue
  if (typeof value !== "object" || value === null || Array.isArray(value))
    return Result.fail("asset: must be an object")
  return Result.mapError(
    Result.try(() =>
      toBinary(
        message,
        fromJson(message, { id, assetKey, assetKind, eventKind, channel, metadata, [fields[assetKind]]: value })
      )
    ),
    (error) => `asset: ${error instanceof Error ? error.message : String(error)}`
  )
}

/** Where an old event's message and the one that was kept differ first; fields and entries of maps may stand in any order. */
export const eventDifference = (old: Uint8Array, kept: Uint8Array): string | undefined => {
  if (Buffer.compare(old, kept) === 0) return undefined
  const decoded = Result.try(() => Event.decode(kept))
  return Result.isSuccess(decoded)
    ? difference(Event.decode(old), decoded.success)
    : "its message here cannot be decoded"
}
