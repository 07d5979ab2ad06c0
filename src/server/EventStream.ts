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
import type { Subscription } from "../services/EventHub.ts"
import type { EncodedEvent } from "../services/EventRing.ts"

export type EventCall = ServerWritableStream<Buffer, Uint8Array>

/** Bytes of one write: as much as HTTP/2 lets a client leave unread unless it says otherwise. */
const pieceBytes = 64 * 1024

/** How long a client has to take the status that ends its stream, behind what it has not read: then it is reset. */
const lastWords = 2000

/** The HTTP/2 stream of a call, below any interceptors. */
export const http2StreamOf = (call: Pick<EventCall, "metadata">): ServerHttp2Stream | undefined => {
  type Layered = { readonly nextCall?: Layered; readonly stream?: ServerHttp2Stream }
  let layer = (call as unknown as { readonly call?: Layered }).call
  while (layer?.nextCall !== undefined) layer = layer.nextCall
  return typeof layer?.stream?.respond === "function" ? layer.stream : undefined
}

/**
 * Sends a subscriber its events, once the call's headers are sent, until the subscription ends. Waits for the transport:
 * who takes nothing while there is something to take holds up itself alone, and not for ever. Fails with the end of the
 * subscription; the status then comes behind whole messages. `delivered` hears of how many events were sent.
 */
export const deliver = <E>(
  call: EventCall,
  subscription: Subscribed<E>,
  patience: Duration.Duration,
  delivered: (events: number) => void
): Effect.Effect<never, E | Unavailable> => {
  const stream = http2StreamOf(call)
  const transport = new Transport(stream ?? (call as unknown as Writable))
  return Effect.forever(
    Effect.gen(function* () {
      const events = yield* subscription.take
      const all = stream === undefined ? messages(events) : pieces(events)
      yield* send(transport, all, subscription.ended, patience)
      delivered(events.length)
      if (stream === undefined) return
      const unsent = yield* sendReady(transport, subscription, delivered)
      yield* send(transport, unsent.pieces, subscription.ended, patience)
      delivered(unsent.events)
    })
  ).pipe(Effect.onExit(() => Effect.sync(() => transport.finish())))
}

/** What takes the bytes, and what it still misses of the message that it has begun. */
class Transport {
  readonly to: Writable
  private missing: Uint8Array | undefined

  constructor(to: Writable) {
    this.to = to
  }

  /** Whether there is room for more. */
  write({ bytes, missing }: Piece): boolean {
    this.missing = missing
    return this.to.write(bytes)
  }

  /** However the stream ends, by its subscription or because it is interrupted: what comes next comes behind a message. */
  finish(): void {
    if (this.missing !== undefined && !this.to.destroyed && !this.to.writableEnded) this.to.write(this.missing)
  }
}

/** What a subscription of the hub is to its stream. */
export interface Subscribed<E> {
  readonly take: Effect.Effect<ReadonlyArray<EncodedEvent>, E>
  readonly takeReady: Subscription["takeReady"]
  readonly watch: Subscription["watch"]
  readonly ended: Effect.Effect<never, E>
}

/** Events that were taken and did not all fit in the transport. */
interface Unsent {
  readonly pieces: ReadonlyArray<Piece>
  readonly events: number
}

/**
 * At the end of the log: what comes is written where it is heard of, without a turn of the fiber. Resumes when there is
 * more to do than that: the transport is full, or events must be taken elsewhere.
 */
const sendReady = <E>(
  transport: Transport,
  { takeReady, watch }: Subscribed<E>,
  delivered: (events: number) => void
): Effect.Effect<Unsent> =>
  Effect.callback((resume) => {
    let unwatch = () => {}
    const leave = (unsent: Unsent) => {
      unwatch()
      resume(Effect.succeed(unsent))
    }
    const pump = () => {
      while (!transport.to.destroyed && !transport.to.writableNeedDrain) {
        const events = takeReady()
        if (events === "nothing") return
        if (events === "elsewhere") break
        const all = [...pieces(events)]
        const fits = all.findIndex((piece) => !transport.write(piece)) + 1
        if (fits > 0 && fits < all.length) return leave({ pieces: all.slice(fits), events: events.length })
        delivered(events.length)
      }
      leave({ pieces: [], events: 0 })
    }
    unwatch = watch(pump)
    pump()
    return Effect.sync(unwatch)
  })

/** One write, and for one that ends in the middle of a message what is missing of that. */
interface Piece {
  readonly bytes: Uint8Array
  readonly missing?: Uint8Array
}

const send = <E>(
  transport: Transport,
  pieces: Iterable<Piece>,
  ended: Effect.Effect<never, E>,
  patience: Duration.Duration
): Effect.Effect<void, E | Unavailable> =>
  Effect.gen(function* () {
    for (const piece of pieces) {
      if (transport.to.writableNeedDrain) {
        yield* Effect.raceFirst(drained(transport.to), ended).pipe(
          Effect.timeoutOrElse({ duration: patience, orElse: () => Effect.fail(stalled(patience)) })
        )
      }
      // A stream that is gone takes nothing more: its call is cancelled.
      if (transport.to.destroyed) return yield* Effect.never
      transport.write(piece)
    }
  })

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
    if (frame.length <= pieceBytes) {
      parts.push(frame)
      size += frame.length
      continue
    }
    for (let start = 0; start < frame.length; start += pieceBytes) {
      const end = start + pieceBytes
      yield end < frame.length
        ? { bytes: frame.subarray(start, end), missing: frame.subarray(end) }
        : { bytes: frame.subarray(start) }
    }
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
