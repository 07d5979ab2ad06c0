/** The old log: events of a channel in the order of delivery. */

import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { AssetKind } from "../../../schema/AssetKind.ts"
import { EventKind } from "../../../schema/Event.ts"
import type { Timestamp } from "../../../schema/Timestamp.ts"
import type { Row } from "../Session.ts"

/** An old event; `asset` is the asset's message in proto3 JSON, not yet looked at. */
export interface OldEvent {
  readonly id: string
  readonly timestamp: Timestamp
  readonly assetKey: string
  readonly assetKind: AssetKind
  readonly eventKind: EventKind
  readonly metadata: Readonly<Record<string, string>>
  readonly asset: string
}

export const sql = `SELECT id, asset_key, asset_kind, event_kind, "timestamp", metadata::text, asset::text
  FROM public.events WHERE channel = $1 ORDER BY position`

const isAssetKind = Schema.is(AssetKind)
const isEventKind = Schema.is(EventKind)
const isMetadata = Schema.is(Schema.NullOr(Schema.Record(Schema.String, Schema.String)))

/** The event, or what is wrong with the row. */
export const decode = (row: Row): Result.Result<OldEvent, string> => {
  if (!isAssetKind(row.asset_kind)) return Result.fail(`asset_kind: ${row.asset_kind} is of no asset`)
  if (!isEventKind(row.event_kind)) return Result.fail(`event_kind: ${row.event_kind} is not known`)
  if (!Number.isSafeInteger(row.timestamp)) return Result.fail("timestamp: no time that a message can hold")
  const metadata: unknown = typeof row.metadata === "string" ? JSON.parse(row.metadata) : null
  if (!isMetadata(metadata)) return Result.fail("metadata: must be an object of texts, or null")
  return Result.succeed({
    id: String(row.id),
    timestamp: row.timestamp as Timestamp,
    assetKey: String(row.asset_key),
    assetKind: row.asset_kind,
    eventKind: row.event_kind,
    metadata: metadata ?? {},
    asset: String(row.asset)
  })
}

/** The ids of these that the log of the channel has. */
export const presentIds =
  "SELECT id::text AS key FROM public.events WHERE channel = $1 AND id = ANY ($2::text[]::uuid[])"
