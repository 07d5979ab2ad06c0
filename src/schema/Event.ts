/**
 * Events: what happened to which asset, with the asset as it was after it (behaviour.md, section 5).
 * A channel's events stand in one order, by their position: 1, 2, 3, … without gaps.
 */

import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type { AssetKind } from "./AssetKind.ts"
import type { ComputePlan } from "./ComputePlan.ts"
import type { ComputeTask, ComputeTaskOutputAsset } from "./ComputeTask.ts"
import type { DataManager } from "./DataManager.ts"
import type { DataSample } from "./DataSample.ts"
import type { FailureReport } from "./FailureReport.ts"
import type { Function } from "./Function.ts"
import { type ChannelName, parse } from "./Key.ts"
import type { Model } from "./Model.ts"
import { InvalidAsset } from "./OrchestratorError.ts"
import type { Organization } from "./Organization.ts"
import { keyOf, type Performance } from "./Performance.ts"
import type { ProfilingStep } from "./ProfilingStep.ts"
import { ceil, floor, type Timestamp, TimestampInput } from "./Timestamp.ts"
import * as Validation from "./Validation.ts"

export const EventKind = Schema.Literals(["EVENT_ASSET_CREATED", "EVENT_ASSET_UPDATED", "EVENT_ASSET_DISABLED"])
export type EventKind = typeof EventKind.Type

/** An asset of any kind, named by its kind. */
export type Asset =
  | { readonly kind: "ASSET_ORGANIZATION"; readonly asset: Organization }
  | { readonly kind: "ASSET_DATA_SAMPLE"; readonly asset: DataSample }
  | { readonly kind: "ASSET_DATA_MANAGER"; readonly asset: DataManager }
  | { readonly kind: "ASSET_FUNCTION"; readonly asset: Function }
  | { readonly kind: "ASSET_COMPUTE_TASK"; readonly asset: ComputeTask }
  | { readonly kind: "ASSET_COMPUTE_PLAN"; readonly asset: ComputePlan }
  | { readonly kind: "ASSET_MODEL"; readonly asset: Model }
  | { readonly kind: "ASSET_PERFORMANCE"; readonly asset: Performance }
  | { readonly kind: "ASSET_FAILURE_REPORT"; readonly asset: FailureReport }
  | { readonly kind: "ASSET_COMPUTE_TASK_OUTPUT_ASSET"; readonly asset: ComputeTaskOutputAsset }
  | { readonly kind: "ASSET_PROFILING_STEP"; readonly asset: ProfilingStep }

/** The key under which an asset's events are found. */
export const assetKey = (of: Asset): string => {
  switch (of.kind) {
    case "ASSET_ORGANIZATION":
      return of.asset.id
    case "ASSET_PERFORMANCE":
      return keyOf(of.asset.computeTaskKey, of.asset.computeTaskOutputIdentifier)
    case "ASSET_COMPUTE_TASK_OUTPUT_ASSET":
      return of.asset.computeTaskKey
    case "ASSET_FAILURE_REPORT":
    case "ASSET_PROFILING_STEP":
      return of.asset.assetKey
    default:
      return of.asset.key
  }
}

/** An event that a transaction makes; the log gives it its id, channel, timestamp and position. */
export interface NewEvent {
  readonly eventKind: EventKind
  readonly asset: Asset
  /** Why a task or function changed its state; no other event has metadata. */
  readonly reason?: string
  /**
   * Whether the change is refused when it makes the event larger than consumers take: so it is for registrations,
   * updates and reasons that clients write, never for changes of state.
   */
  readonly bounded: boolean
}

/** An asset was registered. */
export const created = (asset: Asset): NewEvent => ({ eventKind: "EVENT_ASSET_CREATED", asset, bounded: true })

/** An owner changed an asset. */
export const updated = (asset: Asset): NewEvent => ({ eventKind: "EVENT_ASSET_UPDATED", asset, bounded: true })

/** An asset changed its state. */
export const changed = (
  asset: Asset,
  change: { readonly reason?: string; readonly bounded?: boolean } = {}
): NewEvent => ({
  eventKind: "EVENT_ASSET_UPDATED",
  asset,
  ...(change.reason === undefined ? {} : { reason: change.reason }),
  bounded: change.bounded ?? false
})

/** A model lost its address. */
export const disabled = (asset: Asset): NewEvent => ({ eventKind: "EVENT_ASSET_DISABLED", asset, bounded: false })

/**
 * An event of the log: where it stands, and its message in the contract's encoding but for the timestamp, which is
 * the log's to give. The message is kept as it was, whatever becomes of the asset's table or rules.
 */
export interface LoggedEvent {
  readonly channel: ChannelName
  readonly position: number
  readonly id: string
  readonly timestamp: Timestamp
  readonly message: Uint8Array
}

/** Which events a query wants, all conditions together. */
export interface EventFilter {
  readonly assetKey?: string
  readonly assetKind?: AssetKind
  readonly eventKind?: EventKind
  /** Pairs that the event's metadata contains. */
  readonly metadata: ReadonlyMap<string, string>
  /** Inclusive. */
  readonly start?: Timestamp
  /** Inclusive. */
  readonly end?: Timestamp
}

const TimeRange = Schema.Struct({
  filter: Schema.Struct({ start: Schema.optional(TimestampInput), end: Schema.optional(TimestampInput) })
})

/** Checks the times of a filter: what no timestamp can hold is OE0101. */
export const validateTimes = (
  filter: (typeof TimeRange.Encoded)["filter"]
): Effect.Effect<{ readonly start?: Timestamp; readonly end?: Timestamp }, InvalidAsset> =>
  Effect.map(validateRange({ filter }), ({ filter: { end, start } }) => ({
    ...(start === undefined ? {} : { start: ceil(start) }),
    ...(end === undefined ? {} : { end: floor(end) })
  }))

const validateRange = Validation.make("event", TimeRange)

/** The key in a filter as events hold it: a UUID, also one before `|`, in lower case, any other text as it is. */
export const normalizeAssetKey = (text: string): string => {
  const bar = text.indexOf("|")
  const head = bar < 0 ? text : text.slice(0, bar)
  return Option.match(parse(head), { onNone: () => text, onSome: (key) => key + text.slice(head.length) })
}

/** The id of the event that a subscriber saw last: a UUID. */
export const parseStartEventId = (text: string): Effect.Effect<string, InvalidAsset> =>
  Option.match(parse(text), {
    onNone: () =>
      Effect.fail(
        InvalidAsset.fields("event", [
          { field: "start_event_id", description: "must be empty or the id of an event, a UUID" }
        ])
      ),
    onSome: Effect.succeed
  })
