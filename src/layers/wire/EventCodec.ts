/**
 * Events in the contract's encoding. The timestamp is the log's to give, so it is put behind the stored message:
 * protobuf's fields may come in any order.
 */
import { BinaryWriter } from "@bufbuild/protobuf/wire"
import * as Layer from "effect/Layer"
import type { Asset, NewEvent } from "../../schema/Event.ts"
import type { Timestamp } from "../../schema/Timestamp.ts"
import { EventCodec } from "../../services/store/EventCodec.ts"
import { Event } from "./generated/event.ts"
import { Timestamp as TimestampMessage } from "./generated/google/protobuf/timestamp.ts"
import * as Messages from "./Messages.ts"

/** An asset as the message of its kind. */
export const assetOf = (of: Asset): Event["asset"] => {
  switch (of.kind) {
    case "ASSET_ORGANIZATION":
      return { $case: "organization", value: Messages.organization(of.asset) }
    case "ASSET_FUNCTION":
      return { $case: "function", value: Messages.fn(of.asset) }
    case "ASSET_DATA_MANAGER":
      return { $case: "dataManager", value: Messages.dataManager(of.asset) }
    case "ASSET_DATA_SAMPLE":
      return { $case: "dataSample", value: Messages.dataSample(of.asset) }
    case "ASSET_COMPUTE_PLAN":
      return { $case: "computePlan", value: Messages.computePlan(of.asset) }
    case "ASSET_COMPUTE_TASK":
      return { $case: "computeTask", value: Messages.computeTask(of.asset) }
    case "ASSET_MODEL":
      return { $case: "model", value: Messages.model(of.asset) }
    case "ASSET_PERFORMANCE":
      return { $case: "performance", value: Messages.performance(of.asset) }
    case "ASSET_FAILURE_REPORT":
      return { $case: "failureReport", value: Messages.failureReport(of.asset) }
    case "ASSET_COMPUTE_TASK_OUTPUT_ASSET":
      return { $case: "computeTaskOutputAsset", value: Messages.outputAsset(of.asset) }
    case "ASSET_PROFILING_STEP":
      return { $case: "profilingStep", value: Messages.profilingStep(of.asset) }
  }
}

const encode = (channel: string, id: string, assetKey: string, event: NewEvent): Uint8Array =>
  Event.encode({
    id,
    assetKey,
    assetKind: event.asset.kind,
    eventKind: event.eventKind,
    channel,
    timestamp: undefined,
    asset: assetOf(event.asset),
    metadata: new Map(event.reason === undefined ? [] : [["reason", event.reason]])
  }).finish()

/** Field 6, length-delimited. */
const timestampTag = (6 << 3) | 2

/** Events that follow each other share their time, all those of a transaction at least: the last field is kept. */
let lastTime: Timestamp | undefined
let lastField = new Uint8Array()

const timestampField = (time: Timestamp): Uint8Array => {
  if (time === lastTime) return lastField
  lastField = new BinaryWriter()
    .uint32(timestampTag)
    .bytes(TimestampMessage.encode(Messages.timestamp(time)).finish())
    .finish()
  lastTime = time
  return lastField
}

const complete = (message: Uint8Array, time: Timestamp): Uint8Array => behindPrefix(0, message, time)

/** The length-prefixed message of gRPC over HTTP/2. */
const prefixSize = 5

const frame = (message: Uint8Array, time: Timestamp): Uint8Array => {
  const whole = behindPrefix(prefixSize, message, time)
  whole[0] = 0
  whole.writeUInt32BE(whole.length - prefixSize, 1)
  return whole
}

/** The message in a frame. */
export const messageOf = (framed: Uint8Array): Uint8Array => framed.subarray(prefixSize)

const behindPrefix = (room: number, message: Uint8Array, time: Timestamp): Buffer => {
  const field = timestampField(time)
  const whole = Buffer.allocUnsafe(room + message.length + field.length)
  whole.set(message, room)
  whole.set(field, room + message.length)
  return whole
}

/** Tag and length, seconds with ten bytes at most, nanoseconds with five, a tag each. */
const timestampSize = 19

export const layer: Layer.Layer<EventCodec> = Layer.succeed(
  EventCodec,
  EventCodec.of({ encode, complete, frame, timestampSize })
)
