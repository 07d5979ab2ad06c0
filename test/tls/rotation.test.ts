/** Certificates, CAs and channels change while the server runs; calls and streams that may go on do. */
import * as fs from "node:fs/promises"
import { beforeAll, describe, expect, it, vi } from "vitest"
import { newFunction } from "../blackbox/Builders.ts"
import type { Client } from "../blackbox/Client.ts"
import { refused } from "../blackbox/Refusals.ts"
import { authority, clientOf, type Issued, newKeys, serverOf } from "./Certificates.ts"
import { connect, handshake, makePki, one, type Pki, startServer, type TlsServer, two } from "./Pki.ts"

let pki: Pki
let server: TlsServer
let leaf1: Issued
let leaf2: Issued
let client1: Client
let client2: Client

beforeAll(async () => {
  pki = await makePki()
  server = await startServer(pki.env)
  leaf1 = await clientOf(one, pki.cas[one])
  leaf2 = await clientOf(two, pki.cas[two])
  client1 = connect(pki, server, one, leaf1)
  client2 = connect(pki, server, two, leaf2)
  await client1.registerOrganization({ address: "" })
  await client2.registerOrganization({ address: "" })
})

/** How often a change was taken or refused, as the metrics tell. */
const reloads = async (file: "certificates" | "channels", outcome: "taken" | "refused"): Promise<number> => {
  const text = await (await fetch(`http://127.0.0.1:${server.httpPort}/metrics`)).text()
  const line = text
    .split("\n")
    .find(
      (one) => one.startsWith("orc_config_reloads_total{") && one.includes(`"${file}"`) && one.includes(`"${outcome}"`)
    )
  return Number(line?.split(" ")[1] ?? 0)
}

/** Does it, and waits until the server has said that it took the change, or refused it, and counted that once. */
const andIs = async (
  outcome: "taken" | "refused",
  file: "certificates" | "channels",
  change: () => Promise<unknown>
): Promise<string> => {
  const before = await reloads(file, outcome)
  const lines = server.log.lines.length
  await change()
  const line = await server.log.has(
    outcome === "taken" ? `the ${file} have changed` : `the new ${file} cannot be used`,
    lines
  )
  expect(line).toMatch(outcome === "taken" ? /^Info: / : /^Error: /)
  expect(await reloads(file, outcome)).toBe(before + 1)
  return line
}

const version = (organization: string, leaf: Issued) => connect(pki, server, organization, leaf).queryVersion()
const presented = async () => (await handshake(pki, server, leaf1)).server

/** Makes an event for everybody on the channel, and waits until a stream has it. */
const reaches = async (...streams: ReadonlyArray<ReturnType<Client["subscribeToEvents"]>>) => {
  const created = newFunction()
  await client1.registerFunction(created)
  for (const stream of streams) await stream.until((event) => event.assetKey === created.key)
}

describe("the server's certificate", () => {
  it("is exchanged under calls and streams: new connections get the new one", async () => {
    const stream = client2.subscribeToEvents()
    await stream.headers
    const next = await serverOf(pki.serverCa)
    let calling = true
    const calls = (async () => {
      let count = 0
      for (; calling; count++) await client1.queryVersion()
      return count
    })()
    const old = await presented()
    await andIs("taken", "certificates", async () => {
      // Both at once, as mounted secrets are.
      await pki.write("both/server.pem", next.certificate)
      await pki.write("both/server.key", next.key)
      await fs.rename(pki.path("both", "server.pem"), pki.path("server.pem"))
      await fs.rename(pki.path("both", "server.key"), pki.path("server.key"))
    })
    await vi.waitFor(async () => expect((await presented())?.trim()).toBe(next.certificate.trim()))
    expect(old).not.toBe(await presented())
    calling = false
    expect(await calls).toBeGreaterThan(0)
    await reaches(stream)
    stream.cancel()
  })

  it("is exchanged in two steps: the moment of mismatch is refused, and the old one stays in use", async () => {
    const next = await serverOf(pki.serverCa)
    const old = await presented()
    const why = await andIs("refused", "certificates", () => pki.write("server.pem", next.certificate))
    expect(why).toContain("ORCHESTRATOR_TLS_KEY_PATH")
    expect(why).toContain("it is not the key of")
    expect(await presented()).toBe(old)
    await andIs("taken", "certificates", () => pki.write("server.key", next.key))
    await vi.waitFor(async () => expect((await presented())?.trim()).toBe(next.certificate.trim()))
  })

  it("is exchanged for one that has expired, which is told", async () => {
    const keys = await newKeys()
    const lines = server.log.lines.length
    const expired = await serverOf(pki.serverCa, { keys, notBefore: new Date(1e12), notAfter: new Date(1.1e12) })
    await fs.writeFile(pki.path("server.key"), expired.key)
    await andIs("taken", "certificates", () => pki.write("server.pem", expired.certificate))
    expect(await server.log.has("the server's certificate: ", lines)).toMatch(/^Warn: .*: expired on .*2004 GMT/)
    const next = await serverOf(pki.serverCa, { keys })
    await andIs("taken", "certificates", () => pki.write("server.pem", next.certificate))
    expect(server.log.lines.slice(lines).filter((line) => line.startsWith("Warn: "))).toHaveLength(1)
  })

  it.each(["server.pem", "server.key"])("is not exchanged when %s is broken", async (file) => {
    const [old, content] = [await presented(), await fs.readFile(pki.path(file), "utf8")]
    const why = await andIs("refused", "certificates", () => pki.write(file, content.slice(0, -50)))
    expect(why).toContain(`${pki.path(file)}: `)
    expect(await presented()).toBe(old)
    await version(one, leaf1)
    await pki.write(file, content)
  })
})

const wrongIssuer = (organization: string) => `invalid MSPID: invalid issuer for MSPID "${organization}"`
const noFolder = (organization: string) => `invalid MSPID: cannot find MSPID "${organization}" in allowed organizations`

describe("the folder of CAs", () => {
  it("gets an organization, which is let in from then on", async () => {
    const ca = await authority("CA of 3")
    const leaf = await clientOf("MyOrg3MSP", ca)
    expect(await handshake(pki, server, leaf)).toMatchObject({ accepted: false })
    await andIs("taken", "certificates", () => pki.write("cas/MyOrg3MSP/ca.pem", ca.certificate))
    await vi.waitFor(async () => expect(await handshake(pki, server, leaf)).toMatchObject({ accepted: true }))
    // It is who it says it is, and nothing more.
    await refused(version("MyOrg3MSP", leaf), "OE0102", 'organization "MyOrg3MSP" is unknown')
  })

  it("gets a certificate that is no CA's, which is told", async () => {
    const lines = server.log.lines.length
    await andIs("taken", "certificates", () => pki.write(`cas/${two}/backend.pem`, leaf2.certificate))
    expect(await server.log.has("backend.pem: it is no CA's certificate", lines)).toMatch(/^Warn: /)
    await andIs("taken", "certificates", () => fs.rm(pki.path("cas", two, "backend.pem")))
  })

  it("loses an organization, whose calls are refused, on connections too that it has", async () => {
    const ca = await authority("CA of 4")
    await andIs("taken", "certificates", () => pki.write("cas/MyOrg4MSP/ca.pem", ca.certificate))
    const leaf = await clientOf("MyOrg4MSP", ca)
    const connected = connect(pki, server, "MyOrg4MSP", leaf)
    await refused(connected.queryVersion(), "OE0102", 'organization "MyOrg4MSP" is unknown')
    await andIs("taken", "certificates", () => fs.rm(pki.path("cas", "MyOrg4MSP"), { recursive: true }))
    await refused(connected.queryVersion(), "OE0102", noFolder("MyOrg4MSP"))
    await vi.waitFor(async () => expect(await handshake(pki, server, leaf)).toMatchObject({ accepted: false }))
  })

  it("gets another CA of an organization: old certificates are refused, on old connections too; streams go on", async () => {
    const stream = client2.subscribeToEvents()
    await stream.headers
    const { session } = await handshake(pki, server, leaf2)
    expect(await handshake(pki, server, leaf2, session === undefined ? {} : { session })).toMatchObject({
      resumed: true
    })
    const next = await authority("CA of 2")
    await andIs("taken", "certificates", () => pki.write(`cas/${two}/ca.pem`, next.certificate))
    await refused(client2.queryVersion(), "OE0102", wrongIssuer(two))
    await refused(client2.subscribeToEvents(), "OE0102", wrongIssuer(two))
    await vi.waitFor(async () => expect(await handshake(pki, server, leaf2)).toMatchObject({ accepted: false }))
    // A session from before is not taken up again.
    expect(await handshake(pki, server, leaf2, session === undefined ? {} : { session })).toMatchObject({
      accepted: false
    })
    await reaches(stream)
    stream.cancel()

    leaf2 = await clientOf(two, next)
    client2 = connect(pki, server, two, leaf2)
    await client2.queryVersion()
    await client1.queryVersion()
  })

  it("gets a CA renewed with its key, beside the one that has expired", async () => {
    const keys = await newKeys()
    const leaf = await clientOf(one, await authority("renewed", { keys }))
    const expired = { notBefore: new Date(Date.now() - 10_000), notAfter: new Date(Date.now() - 5_000) }
    const certificates = [await authority("renewed", { keys, ...expired }), await authority("renewed", { keys })]
    await andIs("taken", "certificates", () =>
      pki.write(`cas/${one}/renewed.pem`, certificates.map(({ certificate }) => certificate).join(""))
    )
    await vi.waitFor(() => version(one, leaf))
  })

  it("is not taken with a file that is broken, or a twin of another's CA; both are named", async () => {
    const file = `cas/${two}/next.pem`
    const more = await authority("more")
    expect(await andIs("refused", "certificates", () => pki.write(file, "no PEM"))).toContain(pki.path(file))
    const twin = await authority("CA of 1", { keyId: pki.cas[one].keyId as string })
    const why = await andIs("refused", "certificates", () => pki.write(file, twin.certificate))
    expect(why).toContain(`${pki.path(file)} and ${pki.path("cas", one, "ca.pem")} hold CAs of the same subject`)
    await version(one, leaf1)
    expect(await handshake(pki, server, await clientOf(one, twin))).toMatchObject({ accepted: false })
    await andIs("taken", "certificates", () => pki.write(file, more.certificate))
    await version(two, leaf2)
  })

  it("is read again after it was not there", async () => {
    const why = await andIs("refused", "certificates", () => fs.rename(pki.path("cas"), pki.path("away")))
    // Whatever of it was being read at that moment.
    expect(why).toMatch(/there is no such (?:folder|file)/)
    await version(one, leaf1)
    await fs.rename(pki.path("away"), pki.path("cas"))
    await andIs("taken", "certificates", () => fs.rm(pki.path("cas", "MyOrg3MSP"), { recursive: true }))
  })
})

describe("the file of channels", () => {
  const write = (...channels: ReadonlyArray<string>) =>
    pki.write("channels.yaml", `channels: { ${channels.join(", ")} }\n`)
  const all = `mychannel: [${one}, ${two}]`

  const third = () => connect(pki, server, one, leaf1, "third").queryVersion()

  it("gets a channel, which can be used from then on", async () => {
    await refused(third(), "OE0102", `organization "${one}" has not access to channel "third"`)
    await andIs("taken", "channels", () => write(all, `third: [${one}]`))
    await third()
    await andIs("taken", "channels", () => write(all))
    await refused(third(), "OE0102", `organization "${one}" has not access to channel "third"`)
  })

  it("loses an organization: its calls are refused, its streams end, and others go on", async () => {
    const [stays, goes] = [client1.subscribeToEvents(), client2.subscribeToEvents()]
    await Promise.all([stays.headers, goes.headers])
    const text = `OE0102: organization "${two}" has not access to channel "mychannel"`
    await andIs("taken", "channels", () => write(`mychannel: [${one}]`, `other: [${two}]`))
    expect(await goes.ended).toMatchObject({ code: "PERMISSION_DENIED", details: text })
    await refused(client2.queryVersion(), "OE0102", text.slice("OE0102: ".length))
    await refused(client2.subscribeToEvents(), "OE0102", text.slice("OE0102: ".length))
    await reaches(stays)
    stays.cancel()
    await andIs("taken", "channels", () => write(all))
    await client2.queryVersion()
    const back = client2.subscribeToEvents()
    await reaches(back)
    back.cancel()
  })

  it.each([
    ["is no YAML", "channels: ["],
    ["has tabs", "channels:\n\tmychannel: [A]"],
    ["has a channel twice", "channels: { mychannel: [A], mychannel: [B] }"],
    ["has no channels", "chanels: {}"],
    ["has an organization with a comma", 'channels: { mychannel: ["A,B"] }'],
    ["is empty", ""]
  ])("is not taken when it %s", async (_, content) => {
    const why = await andIs("refused", "channels", () => pki.write("channels.yaml", content))
    expect(why).toContain(`ORCHESTRATOR_CHANNEL_CONFIG: ${pki.path("channels.yaml")}: `)
    await client1.queryVersion()
    await client2.queryVersion()
  })

  it("is taken again once it is mended", async () => {
    await andIs("taken", "channels", () => write(all, `third: [${one}]`))
    await third()
  })

  it("is told to be good again when, after a refusal, it is what is in use", async () => {
    const good = await fs.readFile(pki.path("channels.yaml"), "utf8")
    await andIs("refused", "channels", () => pki.write("channels.yaml", "chanels: {}"))
    const [lines, taken] = [server.log.lines.length, await reloads("channels", "taken")]
    await pki.write("channels.yaml", good)
    expect(await server.log.has("the channels can be used again, they are those in use", lines)).toMatch(/^Info: /)
    expect(await reloads("channels", "taken")).toBe(taken)
  })
})
