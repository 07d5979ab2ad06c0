/** Codecs for values that PostgreSQL and this service hold differently: timestamps keep their microseconds. */
import * as PgTypes from "@effect/sql-pg/PgTypes"
import * as Result from "effect/Result"
import { fromMicros, type Timestamp } from "../../schema/Timestamp.ts"

/** Microseconds between the Unix epoch and PostgreSQL's, 2000-01-01T00:00:00Z. */
const epochOffset = 946_684_800_000_000

const timestampCodec = {
  encode: (time: Timestamp) => {
    const bytes = new Uint8Array(8)
    new DataView(bytes.buffer).setBigInt64(0, BigInt(time - epochOffset))
    return Result.succeed(bytes)
  },
  // Without BigInt: every event of a replay has one.
  decode: (bytes: Uint8Array) => {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    return Result.succeed(fromMicros(view.getInt32(0) * 2 ** 32 + view.getUint32(4) + epochOffset))
  }
}

const timestamptzArrayOid = 1185

/** The registry that every connection of this store uses. */
export const registry = PgTypes.makeRegistry()
registry.register(PgTypes.OID.timestamptz, timestampCodec, { arrayOid: timestamptzArrayOid })

/** A timestamp as a statement's parameter. */
export const timestamp = (time: Timestamp): PgTypes.Parameter => PgTypes.timestamptz(time)

/** A 32-bit float as a statement's parameter: infinities and NaN are values. */
export const float4 = (value: number): PgTypes.Parameter => PgTypes.float4(value)

/** A number as a 64-bit integer parameter. */
export const int8 = (value: number): PgTypes.Parameter => PgTypes.int8(BigInt(value))

/** A timestamp that may be absent. */
export const optionalTimestamp = (time: Timestamp | undefined): PgTypes.Parameter | null =>
  time === undefined ? null : timestamp(time)

/** A list of timestamps, with absent ones, as a statement's parameter. */
export const timestamps = (times: ReadonlyArray<Timestamp | undefined>): PgTypes.Parameter =>
  Result.getOrThrow(
    PgTypes.array(
      times.map((time) => time ?? null),
      PgTypes.OID.timestamptz,
      registry
    )
  )
