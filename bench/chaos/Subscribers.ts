/** Subscribers that resume with the last id they saw, and keep all that they saw. */
import * as grpc from "@grpc/grpc-js"
import { SubscribeToEventsParam } from "../../src/layers/wire/generated/event.ts"
import { paths } from "../../test/blackbox/Client.ts"
import { sleep } from "./Random.ts"

/** Event ids as numbers, so that many long lists fit in memory. */
export class Ids {
  private readonly numbers = new Map<string, number>()
  private readonly texts: Array<string> = []

  numberOf(id: string): number {
    const known = this.numbers.get(id)
    if (known !== undefined) return known
    this.numbers.set(id, this.texts.length)
    this.texts.push(id)
    return this.texts.length - 1
  }

  textOf(number: number): string {
    return this.texts[number] as string
  }
}

/** The id of an encoded event is its first field. */
const idOf = (bytes: Buffer): string => bytes.toString("latin1", 2, 2 + (bytes[1] as number))

export class Subscriber {
  readonly name: string
  readonly channel: string
  seen: Array<number> = []
  deliveries = 0
  /** How its streams ended, by status. */
  readonly ends = new Map<string, number>()
  readonly wrong: Array<string> = []
  private readonly ids: Ids
  private readonly client: grpc.Client
  private call: grpc.ClientReadableStream<Buffer> | undefined
  private over = false

  constructor(name: string, address: string, channel: string, ids: Ids) {
    this.name = name
    this.channel = channel
    this.ids = ids
    this.client = new grpc.Client(address, grpc.credentials.createInsecure(), {
      "grpc.use_local_subchannel_pool": 1,
      "grpc.initial_reconnect_backoff_ms": 100,
      "grpc.min_reconnect_backoff_ms": 100,
      "grpc.max_reconnect_backoff_ms": 500,
      "grpc.keepalive_time_ms": 5_000,
      "grpc.keepalive_timeout_ms": 5_000
    })
  }

  /** Subscribes again and again until it is told to end. */
  async run(): Promise<void> {
    while (!this.over) {
      await this.subscribe()
      if (!this.over) await sleep(250)
    }
    this.client.close()
  }

  private subscribe(): Promise<void> {
    const metadata = new grpc.Metadata()
    metadata.set("mspid", "MyOrg1MSP")
    metadata.set("channel", this.channel)
    const last = this.seen.at(-1)
    const request = { startEventId: last === undefined ? "" : this.ids.textOf(last) }
    const call = this.client.makeServerStreamRequest(
      paths.subscribeToEvents,
      (bytes: Uint8Array) => Buffer.from(bytes),
      (bytes) => bytes,
      SubscribeToEventsParam.encode(request).finish(),
      metadata
    )
    this.call = call
    const list = this.seen
    call.on("data", (bytes: Buffer) => {
      if (this.seen !== list) return
      this.deliveries++
      list.push(this.ids.numberOf(idOf(bytes)))
    })
    return new Promise((resolve) => {
      call.on("error", () => {})
      call.on("status", ({ code, details }) => {
        const name = `${grpc.status[code]}: ${code === grpc.status.UNAVAILABLE ? details.slice(0, 70) : details}`
        this.ends.set(name, (this.ends.get(name) ?? 0) + 1)
        if (code === grpc.status.OK || code === grpc.status.NOT_FOUND) this.wrong.push(`${this.name} ended: ${name}`)
      })
      call.on("close", resolve)
      call.on("end", resolve)
    })
  }

  /** Reads nothing for a while. */
  async nap(millis: number): Promise<void> {
    const call = this.call
    call?.pause()
    await sleep(millis)
    call?.resume()
  }

  /** Forgets everything and reads from the beginning; what it has seen so far is handed out to be checked. */
  startOver(): ReadonlyArray<number> {
    const { seen } = this
    this.seen = []
    this.call?.cancel()
    return seen
  }

  end(): void {
    this.over = true
    this.call?.cancel()
  }
}
