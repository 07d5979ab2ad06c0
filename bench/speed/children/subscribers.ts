/** Subscribers: streams over some connections, which note when an event came to each. */
import { SubscribeToEventsParam } from "../../../src/layers/wire/generated/event.ts"
import { paths } from "../../../test/blackbox/Client.ts"
import { assetKeyOf, StreamReader } from "../StreamReader.ts"
import { runAs } from "./child.ts"

export interface SubscribersJob {
  readonly port: number
  readonly count: number
  readonly connections: number
  readonly channel: string
  readonly startEventId: string
  /** Messages to wait for, over all streams. */
  readonly until: number
  /** Whether the moment of each delivery is kept, by the asset's key. */
  readonly keepTimes: boolean
  /** Left out: the events of the orchestrator. */
  readonly path?: string
}

export interface SubscribersResult {
  readonly seconds: number
  readonly messages: number
  readonly bytes: number
  readonly ended: number
  /** When each delivery came, in milliseconds since the epoch, by the key of its asset. */
  readonly times: ReadonlyArray<readonly [string, ReadonlyArray<number>]>
}

await runAs<SubscribersJob>(async (job) => {
  const times = new Map<string, Array<number>>()
  let messages = 0
  let whenDone = () => {}
  const onMessage = (_: number, head: Buffer) => {
    messages++
    if (job.keepTimes) {
      const key = assetKeyOf(head)
      const list = times.get(key)
      const now = performance.timeOrigin + performance.now()
      if (list === undefined) times.set(key, [now])
      else list.push(now)
    }
    if (messages >= job.until) whenDone()
  }
  const readers = await Promise.all(
    Array.from({ length: job.connections }, () => StreamReader.connect(job.port, onMessage, () => whenDone()))
  )
  const request = SubscribeToEventsParam.encode({ startEventId: job.startEventId }).finish()
  const begun = performance.now()
  await Promise.all(
    readers.map((reader, index) =>
      reader.open(
        Math.floor((job.count + index) / job.connections),
        job.path ?? paths.subscribeToEvents,
        { mspid: "MyOrg1MSP", channel: job.channel },
        request
      )
    )
  )
  return {
    work: async () => {
      // A stream that the server ends is reported, not waited for.
      if (messages < job.until && readers.every(({ ended }) => ended === 0)) {
        await new Promise<void>((resolve) => {
          whenDone = resolve
        })
      }
      const result: SubscribersResult = {
        seconds: (performance.now() - begun) / 1000,
        messages,
        bytes: readers.reduce((sum, reader) => sum + reader.bytes, 0),
        ended: readers.reduce((sum, reader) => sum + reader.ended, 0),
        times: [...times]
      }
      return result
    }
  }
})
