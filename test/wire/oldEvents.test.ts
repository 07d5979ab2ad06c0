/** Events of the earlier orchestrator, proto3 JSON, become the contract's bytes as they are; what is no message is refused. */
import * as Result from "effect/Result"
import { describe, expect, it } from "vitest"
import { difference } from "../../src/layers/wire/Difference.ts"
import { Event } from "../../src/layers/wire/generated/event.ts"
import { encode, eventDifference, type JsonEvent } from "../../src/layers/wire/OldEventCodec.ts"

const key = "c9c91084-fa63-50b2-b620-869c75a1b9cf"

const event = (asset: unknown, assetKind: JsonEvent["assetKind"] = "ASSET_COMPUTE_TASK"): JsonEvent => ({
  id: "a7afdcf0-fb71-484b-bfea-135f18623223",
  assetKey: key,
  assetKind,
  eventKind: "EVENT_ASSET_UPDATED",
  metadata: { reason: "User action", ["__proto__"]: "a name like any other" },
  asset: JSON.stringify(asset)
})

const assetOf = (of: JsonEvent) => Event.decode(Result.getOrThrow(encode("mychannel", of))).asset

describe("an old event", () => {
  it("keeps all that surrounds its asset, and has no timestamp yet", () => {
    const { asset, ...rest } = Event.decode(Result.getOrThrow(encode("mychannel", event({ key }))))
    expect(asset?.$case).toBe("computeTask")
    expect(rest).toEqual({
      id: "a7afdcf0-fb71-484b-bfea-135f18623223",
      assetKey: key,
      assetKind: "ASSET_COMPUTE_TASK",
      eventKind: "EVENT_ASSET_UPDATED",
      channel: "mychannel",
      timestamp: undefined,
      metadata: new Map([
        ["reason", "User action"],
        ["__proto__", "a name like any other"]
      ])
    })
  })

  it("keeps times to the nanosecond, also before 1970", () => {
    const dateOf = (creationDate: string) =>
      (assetOf(event({ creationDate })) as { value: { creationDate: unknown } }).value.creationDate
    expect(dateOf("2026-11-23T21:34:09.123456789Z")).toEqual({ seconds: 1_795_469_649n, nanos: 123_456_789 })
    expect(dateOf("2026-11-23T21:34:09Z")).toEqual({ seconds: 1_795_469_649n, nanos: 0 })
    expect(dateOf("1969-12-31T23:59:59.5Z")).toEqual({ seconds: -1n, nanos: 500_000_000 })
  })

  it("gets defaults for what was left out", () => {
    expect(assetOf(event({ key }))).toMatchObject({
      value: { key, rank: 0, status: "STATUS_UNKNOWN", inputs: [], outputs: new Map(), creationDate: undefined }
    })
  })

  it("tells an image of empty texts from none", () => {
    expect(assetOf(event({ key, image: {} }, "ASSET_FUNCTION"))).toMatchObject({
      value: { image: { checksum: "", storageAddress: "" } }
    })
    expect(assetOf(event({ key }, "ASSET_FUNCTION"))).toMatchObject({ value: { image: undefined } })
  })

  it.each([
    ["an unknown field", { key, colour: "red" }, /colour/],
    ["a wrong type", { key: 5 }, /key/],
    ["an unknown name of an enum", { status: "STATUS_DREAMING" }, /STATUS_DREAMING/],
    ["a number of an enum", { status: 99 }, /"status":99 is not known/],
    ["a time that is none", { creationDate: "yesterday" }, /RFC 3339/],
    ["a number beyond 32 bits", { rank: 3_000_000_000 }, /rank/],
    ["a list", [], /must be an object/],
    ["a text", "asset", /must be an object/]
  ])("is refused with %s", (_what, asset, reason) => {
    const encoded = encode("mychannel", event(asset))
    expect(Result.isFailure(encoded) && encoded.failure).toMatch(reason)
  })
})

describe("a difference", () => {
  it("is none between messages whose fields stand in another order", () => {
    const bytes = Result.getOrThrow(encode("mychannel", event({ key, metadata: { a: "1", b: "2" } })))
    const other = Event.encode(
      Event.decode(Result.getOrThrow(encode("mychannel", event({ metadata: { b: "2", a: "1" }, key }))))
    ).finish()
    expect(eventDifference(bytes, other)).toBeUndefined()
  })

  it("names the first field, and both values", () => {
    const [one, other] = [{ rank: 1 }, { rank: 2 }].map((asset) => Result.getOrThrow(encode("mychannel", event(asset))))
    expect(eventDifference(one as Uint8Array, other as Uint8Array)).toBe(
      "asset.value.rank: 1 in the old database, 2 here"
    )
  })

  it("is told of bytes that are no message", () => {
    const bytes = Result.getOrThrow(encode("mychannel", event({ key })))
    expect(eventDifference(bytes, bytes.slice(0, -3))).toBe("its message here cannot be decoded")
  })

  it("looks into maps, lists, 64-bit integers and what is absent", () => {
    expect(difference({ a: new Map([["x", 1n]]) }, { a: new Map([["x", 2n]]) })).toBe(
      'a.x: "1" in the old database, "2" here'
    )
    expect(difference({ a: [1, 2] }, { a: [1] })).toBe("a.1: 2 in the old database, nothing here")
    expect(difference({ a: undefined }, {})).toBeUndefined()
    expect(difference({ a: [] }, { a: {} })).toMatch(/^a: /)
    expect(difference(Number.NaN, Number.NaN)).toBeUndefined()
  })
})
