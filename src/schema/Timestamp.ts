/**
 * Points in time as whole microseconds since 1970-01-01T00:00:00Z: what the store and the contract's dates hold.
 * A number holds them exactly until the year 2255.
 */
import * as Schema from "effect/Schema"

/** Microseconds since the Unix epoch, an integer. */
export const Timestamp = Schema.Int.pipe(Schema.brand("Timestamp"))
export type Timestamp = typeof Timestamp.Type

/** The timestamp of these microseconds. */
export const fromMicros = (micros: number): Timestamp => micros as Timestamp

/** The bounds of a protobuf Timestamp, in seconds: the years 1 to 9999. */
const minSeconds = -62_135_596_800n
const maxSeconds = 253_402_300_799n

/** A protobuf Timestamp as it comes from a client, or why it holds no time. */
export const TimestampInput = Schema.Struct({ seconds: Schema.BigInt, nanos: Schema.Int }).check(
  Schema.makeFilter(({ nanos, seconds }: { readonly seconds: bigint; readonly nanos: number }) =>
    seconds < minSeconds || seconds > maxSeconds || nanos < 0 || nanos > 999_999_999
      ? "must be a time between 0001-01-01T00:00:00Z and 9999-12-31T23:59:59.999999999Z"
      : undefined
  )
)

/** A protobuf Timestamp. */
interface ProtoTimestamp {
  readonly seconds: bigint
  readonly nanos: number
}

/** The last microsecond that is not after a time. */
export const floor = (time: ProtoTimestamp): Timestamp =>
  fromMicros(Number(time.seconds) * 1_000_000 + Math.floor(time.nanos / 1000))

/** The first microsecond that is not before a time. */
export const ceil = (time: ProtoTimestamp): Timestamp =>
  fromMicros(Number(time.seconds) * 1_000_000 + Math.ceil(time.nanos / 1000))
