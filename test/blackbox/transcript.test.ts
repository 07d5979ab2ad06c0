/**
 * A recorded conversation with an existing server of this contract, held again with this one: every answer, and every
 * event of the channel as a subscriber and as QueryEvents gives them.
 */
import { beforeAll, describe, expect, it } from "vitest"
import { CallError } from "./CallError.ts"
import * as ProtoJson from "./ProtoJson.ts"
import * as Recording from "./Recording.ts"
import { startServer } from "./Server.ts"
import * as Transcript from "./Transcript.ts"
import recording from "./transcript.json" with { type: "json" }

const transcript = recording as unknown as Transcript.Transcript
const server = await startServer({ organizations: false })
const anyone = server.client("MyOrg1MSP", "mychannel")
const symbols = new Transcript.Symbols()

const perform = async ({ channel, metadata, mspid, request, rpc }: Transcript.Step): Promise<Transcript.Outcome> => {
  const caller = server.client(mspid, channel).with(...(metadata ?? []))
  const message = ProtoJson.encodeRequest(rpc, symbols.resolve(request) as Transcript.JsonObject)
  try {
    const answer = await caller.bytes(`/${rpc}`, message)
    return { status: "OK", response: ProtoJson.decodeResponse(rpc, answer.message) }
  } catch (error) {
    if (error instanceof CallError) return { status: error.code, details: error.details }
    throw error
  }
}

/** A server that runs already may have assets; the conversation begins with none. */
const { events } = await anyone.queryEvents({ pageSize: 1 })

describe.runIf(events.length === 0)("a recorded conversation", () => {
  const steps = transcript.steps.map((step, index) => ({ index, rpc: step.rpc.replace(/^.*\//, ""), step }))

  it.each(steps)("is answered alike: step $index, $rpc", async ({ step }) => {
    const { actual, expected } = Transcript.compareStep(symbols, step, await perform(step))
    expect(actual).toEqual(expected)
  })

  describe("leaves the same events", () => {
    const expected = Transcript.expectedEvents(transcript.events)
    let streamed: ReadonlyArray<Buffer>
    let end: string

    beforeAll(async () => {
      end = await Recording.mark(anyone)
      await using stream = anyone.byteStream("/orchestrator.EventService/SubscribeToEvents", new Uint8Array())
      streamed = await stream.until((event) => event.includes(end))
    })

    const decoded = () =>
      streamed.map((event) => ProtoJson.decodeResponse("orchestrator.EventService/SubscribeToEvents", event))

    it("to a subscriber", () => {
      const compared = Transcript.compareEvents(symbols, expected, decoded())
      expect(compared.actual).toEqual(compared.expected)
    })

    it.each([1, 7, 0])("to QueryEvents in pages of %i", async (pageSize) => {
      const rpc = "orchestrator.EventService/QueryEvents"
      const events: Array<Transcript.Json> = []
      for (let token = "", more = true; more; more = token !== "") {
        const request = ProtoJson.encodeRequest(rpc, { page_token: token, page_size: pageSize })
        const answer = ProtoJson.decodeResponse(rpc, (await anyone.bytes(`/${rpc}`, request)).message)
        const page = answer as { readonly events: ReadonlyArray<Transcript.Json>; readonly next_page_token: string }
        events.push(...page.events)
        token = page.next_page_token
      }
      expect(events.slice(0, -1)).toEqual(decoded())
      expect(events.at(-1)).toMatchObject({ id: end })
    })

    it.each(transcript.events.filter(({ added }) => added !== undefined))(
      "and $asset_key is sent as GetPlan answers it",
      async ({ asset_key }) => {
        const key = symbols.resolve(asset_key) as string
        const sent = (await Recording.eventsOf(anyone, key)).findLast((event) => event.asset?.$case === "computePlan")
        expect(sent?.asset?.value).toEqual(await anyone.getPlan({ key }))
      }
    )
  })
})
