/** The calls of a run, what became of each, and which marks its events leave in the log. */
import type { Event } from "../../src/layers/wire/generated/event.ts"
import { CallError } from "../../test/blackbox/CallError.ts"

/** `acknowledged` stands, `refused` left nothing, `in doubt` may be either, but whole. */
export type Outcome = "acknowledged" | "refused" | "in doubt"

export interface Call {
  readonly rpc: string
  readonly channel: string
  /** Marks of all the events that it makes. */
  readonly marks: ReadonlyArray<string>
  /** Whether no other call can leave these marks. */
  readonly isOnly: boolean
  outcome: Outcome
}

const refusals = new Set([
  "INVALID_ARGUMENT",
  "NOT_FOUND",
  "ALREADY_EXISTS",
  "PERMISSION_DENIED",
  "FAILED_PRECONDITION",
  "UNIMPLEMENTED",
  "RESOURCE_EXHAUSTED"
])

export const outcomeOf = (error: unknown): Outcome => {
  if (!(error instanceof CallError)) throw error
  return refusals.has(error.code) ? "refused" : "in doubt"
}

/** What can be told of an event: a call names those of its own. */
export const marksOf = ({ asset, assetKey, eventKind, metadata }: Event): ReadonlyArray<string> => {
  if (asset === undefined) return []
  if (eventKind === "EVENT_ASSET_DISABLED") return [`disabled ${assetKey}`]
  const created = eventKind === "EVENT_ASSET_CREATED"
  switch (asset.$case) {
    case "computeTask":
      return created ? [`task ${assetKey}`] : [`reason ${metadata.get("reason")}`]
    case "computePlan":
      if (created) return [`plan ${assetKey}`]
      return [`named ${asset.value.name}`, ...(asset.value.cancelationDate ? [`canceled ${assetKey}`] : [])]
    case "function":
      return created ? [`function ${assetKey}`] : [`named ${asset.value.name}`, `${assetKey} ${asset.value.status}`]
    case "dataManager":
      return created ? [`manager ${assetKey}`] : [`named ${asset.value.name}`]
    case "dataSample":
      return created ? [`sample ${assetKey}`] : asset.value.dataManagerKeys.map((key) => `${assetKey} of ${key}`)
    case "computeTaskOutputAsset":
      return [`output ${asset.value.assetKey}`]
    case "profilingStep":
      return [`step ${asset.value.step}`]
    default:
      return [`${asset.$case} ${assetKey}`]
  }
}
