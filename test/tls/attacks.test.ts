/**
 * Whoever is not the organization that it says it is gets no further than the handshake, or than OE0102. Every attack
 * differs in one thing from what the server lets in.
 */
import * as net from "node:net"
import { credentials } from "@grpc/grpc-js"
import { beforeAll, describe, expect, it } from "vitest"
import { client } from "../blackbox/Client.ts"
import { failure, refused } from "../blackbox/Refusals.ts"
import {
  authority,
  type CertificateOptions,
  clientOf,
  excluding,
  type Issued,
  issue,
  serverOf
} from "./Certificates.ts"
import {
  connect,
  handshake,
  makePki,
  one,
  type Pki,
  preface,
  type Shown,
  startServer,
  type TlsServer,
  two
} from "./Pki.ts"

const day = 24 * 3_600_000

let pki: Pki
let server: TlsServer
/** The CA of each organization. */
let ca1: Issued
let ca2: Issued
/** In the folder of the first organization too. */
let constrained: Issued
let notCa: Issued
let intermediate: Issued
/** Of the second organization, without a key id. */
let idless: Issued

beforeAll(async () => {
  pki = await makePki()
  ca1 = pki.cas[one]
  ca2 = pki.cas[two]
  constrained = await authority("constrained", { extensions: [excluding([{ O: [one] }])] })
  notCa = await authority("no CA", { ca: false, subject: [{ O: [one] }, { CN: ["no CA"] }] })
  intermediate = await authority("intermediate", { issuer: ca1 })
  await pki.write(`cas/${one}/others.pem`, constrained.certificate + notCa.certificate)
  await pki.write(`cas/${one}/intermediate.pem`, intermediate.certificate)
  idless = await authority("idless", { keyId: false })
  await pki.write(`cas/${two}/idless.pem`, idless.certificate)
  server = await startServer(pki.env)
})

const version = (mspid: string | undefined, shown: Shown) => connect(pki, server, mspid, shown).queryVersion()

const noMspid = (claimed: string) =>
  `invalid MSPID: cannot find MSPID "${claimed}" in client TLS certificate Subject Organizations`
const noFolder = (claimed: string) => `invalid MSPID: cannot find MSPID "${claimed}" in allowed organizations`
const wrongIssuer = (claimed: string) => `invalid MSPID: invalid issuer for MSPID "${claimed}"`

describe("who is let in", () => {
  it("is each organization with a certificate of its CA", async () => {
    await expect(version(one, await clientOf(one, ca1))).resolves.toBeDefined()
    await expect(version(two, await clientOf(two, ca2))).resolves.toBeDefined()
  })

  it("is an organization with a certificate of an intermediate CA in its folder, sent along or not", async () => {
    const leaf = await clientOf(one, intermediate)
    await expect(version(one, leaf)).resolves.toBeDefined()
    await expect(version(one, { ...leaf, behind: [intermediate] })).resolves.toBeDefined()
  })

  it("is each organization that a certificate names, when a CA of it has signed", async () => {
    const leaf = await clientOf(one, ca1, { subject: [{ O: ["another"] }, { O: [one] }, { CN: ["backend"] }] })
    await expect(version(one, leaf)).resolves.toBeDefined()
    await refused(version("another", leaf), "OE0102", noFolder("another"))
  })

  it("is a client with TLS 1.2 or 1.3", async () => {
    const leaf = await clientOf(one, ca1)
    for (const protocol of ["TLSv1.2", "TLSv1.3"] as const) {
      const done = await handshake(pki, server, leaf, { minVersion: protocol, maxVersion: protocol })
      expect(done).toMatchObject({ accepted: true, protocol })
    }
  })
})

describe("a handshake is refused", () => {
  const shows =
    (issuer: () => Issued, options: () => Partial<CertificateOptions> = () => ({})) =>
    () =>
      clientOf(one, issuer(), options())
  const attacks: ReadonlyArray<readonly [string, () => Promise<Shown | undefined>]> = [
    ["no certificate", async () => undefined],
    [
      "a certificate that has expired",
      shows(
        () => ca1,
        () => ({ notBefore: new Date(Date.now() - 2 * day), notAfter: new Date(Date.now() - 1000) })
      )
    ],
    [
      "a certificate that is not valid yet",
      shows(
        () => ca1,
        () => ({ notBefore: new Date(Date.now() + day), notAfter: new Date(Date.now() + 2 * day) })
      )
    ],
    [
      "a certificate that has signed itself",
      () => issue({ subject: [{ O: [one] }, { CN: ["backend"] }], usages: ["client"] })
    ],
    [
      "one of a CA that nobody knows, with the names and the key id of one that is",
      async () => clientOf(one, await authority("CA of 1", { keyId: ca1.keyId as string }))
    ],
    [
      "one of another's CA that names the key of the organization's as its issuer's",
      shows(
        () => ca2,
        () => ({ authorityKeyId: ca1.keyId as string })
      )
    ],
    [
      "a certificate for servers only",
      shows(
        () => ca1,
        () => ({ usages: ["server"] })
      )
    ],
    ["a certificate that its issuer may not sign, by its name constraints", shows(() => constrained)],
    ["one issued by a certificate in the folder that is no CA's", shows(() => notCa)],
    [
      "one issued by a client's certificate",
      async () => {
        const leaf = await clientOf(one, ca1)
        return { ...(await clientOf(one, leaf)), behind: [leaf] }
      }
    ],
    [
      "a certificate of an intermediate that has expired",
      async () =>
        clientOf(one, await authority("old", { issuer: ca1 })).then(async (leaf) => ({
          ...leaf,
          behind: [await authority("old", { issuer: ca1, notAfter: new Date(Date.now() - 1000) })]
        }))
    ]
  ]

  it.each(attacks)("with %s", async (_, make) => {
    const shown = await make()
    for (const protocol of ["TLSv1.2", "TLSv1.3"] as const) {
      const done = await handshake(pki, server, shown, { minVersion: protocol, maxVersion: protocol })
      expect(done).toMatchObject({ accepted: false })
      if (done.session === undefined) continue
      // A ticket from a handshake that was refused afterwards opens no door.
      expect(await handshake(pki, server, shown, { session: done.session })).toMatchObject({ accepted: false })
    }
    const called = await failure(connect(pki, server, one, shown).queryVersion())
    expect(called.code).toBe("UNAVAILABLE")
  })

  it.each(["TLSv1", "TLSv1.1"] as const)("with %s, by the server", async (protocol) => {
    const done = await handshake(pki, server, await clientOf(one, ca1), {
      minVersion: protocol,
      maxVersion: protocol,
      ciphers: "ALL:@SECLEVEL=0"
    })
    expect(done).toMatchObject({ accepted: false, why: "ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION" })
  })

  it("of clients without TLS, which are hung up on", async () => {
    const plain = client(server.address, { mspid: one, channel: "mychannel" }, credentials.createInsecure())
    expect((await failure(plain.queryVersion())).code).toBe("UNAVAILABLE")
    plain.close()
    const received = await new Promise<Buffer>((resolve, reject) => {
      const chunks: Array<Buffer> = []
      const socket = net.connect(server.port, "127.0.0.1", () => socket.write(preface))
      socket.on("data", (chunk: Buffer) => chunks.push(chunk))
      socket.on("error", reject)
      socket.on("close", () => resolve(Buffer.concat(chunks)))
    })
    // A TLS alert at the most: 21, not an HTTP/2 frame.
    expect(received[0] ?? 21).toBe(21)
  })
})

describe("a call is refused", () => {
  const attacks: ReadonlyArray<readonly [string, string, () => Promise<Shown>, (claimed: string) => string]> = [
    ["with a certificate of another's CA that names the organization", one, () => clientOf(one, ca2), wrongIssuer],
    [
      "with one that names the key of the organization's CA as its issuer's",
      one,
      () => clientOf(one, idless, { authorityKeyId: ca1.keyId as string }),
      wrongIssuer
    ],
    [
      "with one of another's intermediate CA that has taken the key id of the organization's",
      one,
      async () => {
        const hop = await authority("hop", { issuer: ca2, keyId: ca1.keyId as string })
        return { ...(await clientOf(one, hop)), behind: [hop] }
      },
      wrongIssuer
    ],
    [
      "with a certificate of the organization behind another's",
      one,
      async () => ({ ...(await clientOf(one, ca2)), behind: [await clientOf(one, ca1), ca1] }),
      wrongIssuer
    ],
    ["with another organization's certificate", one, () => clientOf(two, ca2), noMspid],
    [
      "with another organization in the certificate, of the organization's own CA",
      one,
      () => clientOf(two, ca1),
      noMspid
    ],
    [
      "when the organization is in the certificate with other letter case",
      one,
      () => clientOf(one.toLowerCase(), ca1),
      noMspid
    ],
    ["when the organization stands behind a newline", one, () => clientOf(`x\nO=${one}`, ca1), noMspid],
    ["when the organization stands behind a comma", one, () => clientOf(`x, O=${one}`, ca1), noMspid],
    ["when the organization stands before a comma", one, () => clientOf(`${one},x`, ca1), noMspid],
    ["when the organization stands before a NUL", one, () => clientOf(`${one}\0x`, ca1), noMspid],
    [
      "when the organization is the certificate's unit or common name",
      one,
      () => clientOf(one, ca1, { subject: [{ OU: [one] }, { CN: [one] }] }),
      noMspid
    ],
    [
      "with two organizations in the certificate, of the other's CA",
      one,
      () => clientOf(one, ca2, { subject: [{ O: [two] }, { O: [one] }] }),
      wrongIssuer
    ],
    ["with a CA's certificate", one, () => authority("sub", { issuer: ca1, subject: [{ O: [one] }] }), wrongIssuer],
    ["with a certificate that lies in the organization's folder", one, async () => notCa, wrongIssuer],
    ["with the server's CA", one, () => clientOf(one, pki.serverCa), wrongIssuer],
    ["with an organization that has no folder", "MyOrg3MSP", () => clientOf("MyOrg3MSP", ca1), noFolder],
    ["with an organization that is a path", `../cas/${one}`, () => clientOf(`../cas/${one}`, ca1), noFolder]
  ]

  it.each(attacks)("%s", async (_, claimed, make, text) => {
    const shown = await make()
    await refused(version(claimed, shown), "OE0102", text(claimed))
  })

  it("with an intermediate CA that only the client has", async () => {
    const own = await authority("only presented", { issuer: ca1 })
    const leaf = { ...(await clientOf(one, own)), behind: [own] }
    expect(await handshake(pki, server, leaf)).toMatchObject({ accepted: true })
    await refused(version(one, leaf), "OE0102", wrongIssuer(one))
  })

  it("on a stream as on any other call", async () => {
    const stream = connect(pki, server, one, await clientOf(one, ca2)).subscribeToEvents()
    await refused(stream, "OE0102", wrongIssuer(one))
    const other = connect(pki, server, two, await clientOf(one, ca1)).subscribeToEvents()
    await refused(other, "OE0102", noMspid(two))
  })

  it("with two headers mspid, or one with two values", async () => {
    const both = connect(pki, server, undefined, await clientOf(one, ca1))
    await refused(
      both.with(["mspid", one], ["mspid", two]).queryVersion(),
      "OE0003",
      "missing or invalid header 'mspid'"
    )
    await refused(both.with(["mspid", `${one},${two}`]).queryVersion(), "OE0003", "missing or invalid header 'mspid'")
    await refused(both.queryVersion(), "OE0003", "missing or invalid header 'mspid'")
  })

  it("before anything of it is done", async () => {
    const thief = connect(pki, server, two, await clientOf(two, ca1))
    await refused(thief.registerOrganization({ address: "http://thief" }), "OE0102", wrongIssuer(two))
    const owner = connect(pki, server, two, await clientOf(two, ca2))
    expect((await owner.getAllOrganizations()).organizations).toEqual([])
  })
})

describe("health", () => {
  const check = (shown: Shown | undefined) =>
    connect(pki, server, undefined, shown).bytes("/grpc.health.v1.Health/Check", new Uint8Array())
  /** HealthCheckResponse { status: SERVING } */
  const serving = Buffer.from([8, 1])

  it("tells whoever has a trusted certificate, the server's own too, and needs no mspid", async () => {
    expect((await check(await serverOf(pki.serverCa))).message).toEqual(serving)
    expect((await check(await clientOf(one, ca1))).message).toEqual(serving)
  })

  it("tells nobody else", async () => {
    expect((await failure(check(undefined))).code).toBe("UNAVAILABLE")
  })
})
