/**
 * How events leave on a stream. grpc-js sends a message only when the one before is through, and counts messages where
 * bytes count. So the frames of many events go out as one write of the HTTP/2 stream below, a private field of grpc-js;
 * where that is not found, events are written one by one. A stream holds one piece at most that its client has not taken.
 */
import { constants, type ServerHttp2Stream } from "node:http2"
import type { Writable } from "node:stream"
import type { ServerWritableStream } from "@grpc/grpc-js"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { messageOf } from "../layers/wire/EventCodec.ts"
import { Unavailable } from "../schema/OrchestratorError.ts"
import type { EncodedEvent } from "../services/EventRing.ts"

export type EventCall = ServerWritableStream<Buffer, Uint8Array>

/** Bytes of one write: as much as HTTP/2 lets a client leave unread unless it says otherwise. */
const pieceBytes = 64 * 1024

/** How long a client has to take the status that ends its stream, behind what it has not read: then it is reset. */
const lastWords = 2000

/** The HTTP/2 stream of a call, below any interceptors. */
export const http2StreamOf = (call: EventCall): ServerHttp2Stream | undefined => {
  type Layered = { readonly nextCall?: Layered; readonly stream?: ServerHttp2Stream }
  let layer = (call as unknown as { readonly call?: Layered }).call
  while (layer?.nextCall !== undefined) layer = layer.nextCall
  return typeof layer?.stream?.respond === "function" ? layer.stream : undefined
}

/** One write, and what is then missing of its last message. */
interface Piece {
  readonly bytes: Uint8Array
  readonly rest?: Uint8Array
}

/**
 * Sends events once the call's headers are sent. Waits for the transport: who takes nothing holds up itself alone, and
 * not for ever. Fails with what `ended` fails with; the status then comes behind whole messages.
 */
export const send = <E>(
  call: EventCall,
  events: ReadonlyArray<EncodedEvent>,
  ended: Effect.Effect<never, E>,
  patience: Duration.Duration
): Effect.Effect<void, E | Unavailable> => {
  const stream = http2StreamOf(call)
  const transport: Writable = stream ?? (call as unknown as Writable)
  return Effect.gen(function* () {
    for (const { bytes, rest } of stream === undefined ? messages(events) : pieces(events)) {
      // A stream that is gone takes nothing more: its call is cancelled.
      if (stream?.destroyed === true || stream?.closed === true) return yield* Effect.never
      if (transport.write(bytes)) continue
      yield* Effect.raceFirst(drained(transport), ended).pipe(
        Effect.timeoutOrElse({ duration: patience, orElse: () => Effect.fail(stalled(patience)) }),
        Effect.tapError(() => Effect.sync(() => rest !== undefined && transport.write(rest)))
      )
    }
  })
}

function* messages(events: ReadonlyArray<EncodedEvent>): Generator<Piece> {
  for (const { frame } of events) yield { bytes: messageOf(frame) }
}

/** Frames in few pieces: small ones together, a large one cut. */
function* pieces(events: ReadonlyArray<EncodedEvent>): Generator<Piece> {
  let parts: Array<Uint8Array> = []
  let size = 0
  for (const { frame } of events) {
    if (size > 0 && size + frame.length > pieceBytes) {
      yield { bytes: joined(parts, size) }
      parts = []
      size = 0
    }
    let start = 0
    for (; frame.length - start > pieceBytes; start += pieceBytes) {
      const end = start + pieceBytes
      yield { bytes: frame.subarray(start, end), rest: frame.subarray(end) }
    }
    parts.push(start === 0 ? frame : frame.subarray(start))
    size += frame.length - start
  }
  if (size > 0) yield { bytes: joined(parts, size) }
}

const joined = (parts: ReadonlyArray<Uint8Array>, size: number): Uint8Array =>
  parts.length === 1 ? (parts[0] as Uint8Array) : Buffer.concat(parts, size)

const drained = (transport: Writable): Effect.Effect<void> =>
  Effect.callback((resume) => {
    // It may have drained between the write and now.
    if (!transport.writableNeedDrain) return resume(Effect.void)
    const onDrain = () => resume(Effect.void)
    transport.once("drain", onDrain)
    return Effect.sync(() => transport.off("drain", onDrain))
  })

const stalled = (patience: Duration.Duration): Unavailable =>
  new Unavailable({
    message: `the subscriber took nothing for ${Duration.format(patience)}, subscribe again from the last id`
  })

/**
 * Resets a stream whose status its client does not come to read. REFUSED_STREAM is UNAVAILABLE to gRPC clients, as the
 * status would be.
 */
export const resetUnread = (call: EventCall): void => {
  const stream = http2StreamOf(call)
  if (stream === undefined || stream.closed) return
  const timer = setTimeout(() => stream.close(constants.NGHTTP2_REFUSED_STREAM), lastWords)
  stream.once("close", () => clearTimeout(timer))
}
