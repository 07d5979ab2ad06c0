/** What every call needs: organization and channel, and the request id that comes back. */
import { describe, expect, it } from "vitest"
import * as Build from "../Builders.ts"
import { type Client, client, type Headers } from "../Client.ts"
import * as Recording from "../Recording.ts"
import { failure, refused } from "../Refusals.ts"
import { startServer } from "../Server.ts"

const server = await startServer()
const { one } = server
const nobody = client(server.address, {})

/** Reads, writes and a stream, each wrong in itself: headers are looked at first. */
const calls: Readonly<Record<string, (caller: Client) => Parameters<typeof failure>[0]>> = {
  QueryVersion: (caller) => caller.queryVersion(),
  GetPlan: (caller) => caller.getPlan({ key: "x" }),
  QueryEvents: (caller) => caller.queryEvents({ pageToken: "x" }),
  RegisterPlan: (caller) => caller.registerPlan(),
  RegisterTasks: (caller) => caller.registerTasks(),
  RegisterOrganization: (caller) => caller.registerOrganization(),
  SubscribeToEvents: (caller) => caller.subscribeToEvents({ startEventId: "x" })
}
const eachCall = Object.entries(calls).map(([name, call]) => ({ name, call }))

const mspid = ["mspid", "MyOrg1MSP"] as const
const channel = ["channel", "mychannel"] as const

describe.each(eachCall)("$name", ({ call }) => {
  it.each([
    ["without headers", []],
    ["without mspid", [channel]],
    ["with mspid twice", [mspid, ["mspid", "MyOrg2MSP"], channel]],
    ["with the same mspid twice", [mspid, mspid, channel]],
    ["with mspid twice and no channel", [mspid, mspid]]
  ] as const)("%s is refused for its mspid", async (_, headers) => {
    await refused(call(nobody.with(...headers)), "OE0003", "missing or invalid header 'mspid'")
  })

  it.each([
    ["without channel", [mspid]],
    ["with channel twice", [mspid, channel, ["channel", "yourchannel"]]],
    ["with the same channel twice", [mspid, channel, channel]],
    ["without channel, of an unknown organization", [["mspid", "Nobody"]]]
  ] as const)("%s is refused for its channel", async (_, headers) => {
    await refused(call(nobody.with(...headers)), "OE0003", "missing or invalid header 'channel'")
  })

  it.each([
    ["Nobody", "mychannel", 'organization "Nobody" is unknown'],
    ["Nobody", "nowhere", 'organization "Nobody" is unknown'],
    ["myorg1msp", "mychannel", 'organization "myorg1msp" is unknown'],
    ["", "mychannel", 'organization "" is unknown'],
    ["MyOrg1MSP", "", 'organization "MyOrg1MSP" has not access to channel ""'],
    ["MyOrg1MSP", "nowhere", 'organization "MyOrg1MSP" has not access to channel "nowhere"'],
    ["MyOrg1MSP", "MyChannel", 'organization "MyOrg1MSP" has not access to channel "MyChannel"']
  ])("of %s on %s is refused", async (mspid, channel, text) => {
    await refused(call(nobody.with(["mspid", mspid], ["channel", channel])), "OE0102", text)
  })
})

describe("the request id", () => {
  const made = /^[0-9a-f]{8}$/
  const identified = (...headers: Headers) => nobody.with(mspid, channel, ...headers)
  const given: Headers = [["reqid", "a request: 42/x"]]
  const twice: Headers = [...given, ["reqid", "another"]]

  const ids: Readonly<Record<string, (caller: Client) => Promise<string | undefined>>> = {
    "an answer": async (caller) => (await caller.whole.queryVersion()).headers.get("reqid")[0]?.toString(),
    "an answer to a write": async (caller) =>
      (await caller.whole.registerPlan(Build.newPlan())).headers.get("reqid")[0]?.toString(),
    "a refusal": async (caller) => (await failure(caller.getPlan({ key: Build.newKey() }))).header("reqid"),
    "a refusal of its form": async (caller) => (await failure(caller.registerPlan())).header("reqid"),
    "a refusal for its headers": async (caller) =>
      (await failure(caller.with(channel).getPlan({ key: Build.newKey() }))).header("reqid"),
    "a call that cannot be decoded": async (caller) =>
      (await failure(caller.bytes("/orchestrator.ComputePlanService/GetPlan", Uint8Array.of(255)))).header("reqid"),
    "a refused stream": async (caller) =>
      (await failure(caller.subscribeToEvents({ startEventId: Build.newKey() }))).header("reqid"),
    "a stream": async (caller) => {
      await using stream = caller.subscribeToEvents({ startEventId: await Recording.mark(one) })
      return (await stream.headers).get("reqid")[0]?.toString()
    }
  }

  describe.each(Object.entries(ids))("of %s", (_, idOf) => {
    it("is the one given", async () => {
      expect(await idOf(identified(...given))).toBe("a request: 42/x")
    })

    it("is made when there is none, or not one, and no two are the same", async () => {
      const found = [await idOf(identified()), await idOf(identified()), await idOf(identified(...twice))]
      for (const id of found) expect(id).toMatch(made)
      expect(new Set(found).size).toBe(3)
    })
  })

  it("may be long", async () => {
    const id = "x".repeat(1000)
    const { headers } = await identified(["reqid", id]).whole.queryVersion()
    expect(headers.get("reqid")).toEqual([id])
  })

  it("comes back once", async () => {
    const { headers, trailers } = await identified(...given).whole.queryVersion()
    expect([headers.get("reqid"), trailers.get("reqid")]).toEqual([["a request: 42/x"], []])
  })
})
