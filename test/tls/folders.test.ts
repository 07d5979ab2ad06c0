/**
 * The files of TLS as the server finds them at its start: what it takes, what it leaves aside, and what stops it, with
 * the names of the variable and the file.
 */
import * as fs from "node:fs/promises"
import { describe, expect, it } from "vitest"
import { authority, type CertificateOptions, clientOf, newKeys, serverOf } from "./Certificates.ts"
import { connect, type Env, handshake, load, makePki, one, type Pki, startServer, two } from "./Pki.ts"

const variable = "ORCHESTRATOR_TLS_CLIENT_CA_CERT_DIR"

/** The certificates that count for an organization. */
const cas = async ({ env }: Pki, organization: string): Promise<ReadonlyArray<string> | undefined> =>
  (await load(env)).tls?.files.organizations.get(organization)?.map(({ certificate }) => certificate.subject)

/** The lines of the message that stops the start. */
const problems = (env: Env): Promise<ReadonlyArray<string>> =>
  load(env).then(
    () => [],
    (error: Error) =>
      error.message
        .split("\n")
        .slice(1)
        .map((line) => line.trim())
  )

describe("the folder of CAs", () => {
  it("has a folder for each organization, and all certificates of each file in it count", async () => {
    const pki = await makePki()
    const [a, b] = await Promise.all([authority("a"), authority("b")])
    await pki.write(`cas/${one}/more.crt`, `A comment.\n${a.certificate}\n# another\n${b.certificate}`)
    expect(await cas(pki, one)).toEqual(["CN=CA of 1", "CN=a", "CN=b"])
    expect(await cas(pki, two)).toEqual(["CN=CA of 2"])
    expect((await load(pki.env)).tls?.files.trusted).toHaveLength(5)
  })

  it("may be a mounted secret, whose files are links to links", async () => {
    const pki = await makePki()
    const ca = await authority("mounted")
    const folder = pki.path("cas", "MountedMSP")
    await pki.write("cas/MountedMSP/..2026_11_24/ca.crt", ca.certificate)
    await fs.symlink("..2026_11_24", `${folder}/..data`)
    await fs.symlink("..data/ca.crt", `${folder}/ca.crt`)
    expect(await cas(pki, "MountedMSP")).toEqual(["CN=mounted"])
  })

  it("may be mounted as a whole, with folders that are links", async () => {
    const pki = await makePki()
    const ca = await authority("mounted")
    await pki.write("mounted/..2026_11_24/MountedMSP/ca.crt", ca.certificate)
    await pki.write("mounted/..2026_11_24/README", "no certificate, and beside the folders")
    await fs.symlink("..2026_11_24", pki.path("mounted", "..data"))
    await fs.symlink("..data/MountedMSP", pki.path("mounted", "MountedMSP"))
    await fs.symlink("..data/README", pki.path("mounted", "README"))
    const mounted = { ...pki, env: { ...pki.env, [variable]: pki.path("mounted") } }
    expect(await cas(mounted, "MountedMSP")).toEqual(["CN=mounted"])
    expect([...((await load(mounted.env)).tls?.files.organizations.keys() ?? [])]).toEqual(["MountedMSP"])
  })

  it("may link to files that lie elsewhere, by other names", async () => {
    const pki = await makePki()
    await pki.write("elsewhere/cert.txt", (await authority("linked")).certificate)
    await fs.symlink(pki.path("elsewhere", "cert.txt"), pki.path("cas", one, "linked.pem"))
    expect(await cas(pki, one)).toEqual(["CN=CA of 1", "CN=linked"])
  })

  it("may have files beside the folders, and folders inside", async () => {
    const pki = await makePki()
    await pki.write("cas/README.md", "no certificate")
    await fs.symlink("nowhere", pki.path("cas", "dangling"))
    await pki.write(`cas/${one}/old/ca.pem`, (await authority("old")).certificate)
    await pki.write(`cas/${one}/old/notes.txt`, "no certificate")
    expect(await cas(pki, one)).toEqual(["CN=CA of 1"])
  })

  it("stops the start with a file that holds no certificate, named", async () => {
    const pki = await makePki()
    const { certificate, key } = await authority("torn")
    const files = {
      "notes.txt": "no certificate",
      "empty.pem": "",
      "key.pem": key,
      "torn.pem": certificate + certificate.slice(0, 200),
      "odd.pem": certificate.replace(/\n.{20}/, "\nAAAAAAAAAAAAAAAAAAAA")
    }
    for (const [name, content] of Object.entries(files)) await pki.write(`cas/${one}/${name}`, content)
    const found = await problems(pki.env)
    expect(found).toHaveLength(Object.keys(files).length)
    for (const name of Object.keys(files)) {
      expect(found).toContainEqual(expect.stringContaining(`${variable}: ${pki.path("cas", one, name)}: `))
    }
  })

  it("stops the start with a link that leads nowhere, and with a folder that is empty", async () => {
    const pki = await makePki()
    await fs.symlink("nowhere", pki.path("cas", one, "dangling.pem"))
    await fs.mkdir(pki.path("cas", "EmptyMSP"))
    expect(await problems(pki.env)).toEqual([
      `${variable}: ${pki.path("cas", "EmptyMSP")}: it holds no CA certificate`,
      expect.stringContaining(`${variable}: ${pki.path("cas", one, "dangling.pem")}: there is no such file`)
    ])
  })

  it("stops the start when it is not there, or holds nobody's", async () => {
    const pki = await makePki()
    const gone = { ...pki.env, [variable]: pki.path("gone") }
    expect(await problems(gone)).toEqual([
      expect.stringContaining(`${variable}: ${pki.path("gone")}: there is no such folder`)
    ])
    await fs.mkdir(pki.path("empty"))
    const { ORCHESTRATOR_TLS_SERVER_CA_CERT: _, ...env } = pki.env
    expect(await problems({ ...env, [variable]: pki.path("empty") })).toEqual([
      `${variable}: ${pki.path("empty")}: it holds no folder of an organization`
    ])
  })
})

describe("CAs that TLS could take for each other", () => {
  const ca = (name: string, options: Partial<CertificateOptions> = {}) =>
    authority(name, { keyId: "01020304", ...options })

  const twins: ReadonlyArray<readonly [string, () => Promise<readonly [string, string]>]> = [
    ["the same subject and key id", async () => [(await ca("CA")).certificate, (await ca("CA")).certificate]],
    [
      "subjects that differ in letter case and spaces",
      async () => [(await ca("My CA")).certificate, (await ca(" MY  ca ")).certificate]
    ],
    [
      "one of them signed by another CA",
      async () => [(await ca("CA")).certificate, (await ca("CA", { issuer: await authority("root") })).certificate]
    ],
    [
      "one of them without a key id",
      async () => [(await ca("CA")).certificate, (await ca("CA", { keyId: false })).certificate]
    ],
    [
      "none of them with a key id",
      async () => [(await ca("CA", { keyId: false })).certificate, (await ca("CA", { keyId: false })).certificate]
    ],
    // 2.5.29.14 and another key id, in bytes that are no extension: a search for them would find these first.
    [
      "a key id that hides behind another in the serial number",
      async () => [
        (await ca("CA")).certificate,
        (await ca("CA", { serialNumber: "0603551d0e0406040499999999" })).certificate
      ]
    ],
    [
      "the second of a file",
      async () => [(await ca("CA")).certificate, (await ca("another")).certificate + (await ca("CA")).certificate]
    ]
  ]

  it.each(twins)("stop the start: %s", async (_, make) => {
    const pki = await makePki()
    const [first, second] = await make()
    await pki.write(`cas/${one}/twin.pem`, first)
    await pki.write(`cas/${two}/twin.pem`, second)
    const names = [pki.path("cas", two, "twin.pem"), pki.path("cas", one, "twin.pem")]
    expect(await problems(pki.env)).toEqual([
      `${variable}: ${names.join(" and ")} hold CAs of the same subject with different keys and no key ids that differ: one of them must go`
    ])
  })

  it("stop the start when one of them is the server's own", async () => {
    const pki = await makePki()
    await pki.write(
      `cas/${two}/twin.pem`,
      (await authority("server CA", { keyId: pki.serverCa.keyId as string })).certificate
    )
    expect(await problems(pki.env)).toEqual([expect.stringContaining(pki.path("server-ca.pem"))])
  })

  it("may be one and the same, in several folders", async () => {
    const pki = await makePki()
    await pki.write(`cas/${two}/other.pem`, pki.cas[one].certificate)
    expect(await cas(pki, two)).toEqual(["CN=CA of 2", "CN=CA of 1"])
  })

  it("may be renewed with their key, or have another key with its own key id", async () => {
    const pki = await makePki()
    const keys = await newKeys()
    for (const name of ["a", "b"])
      await pki.write(`cas/${one}/${name}.pem`, (await authority("renewed", { keys })).certificate)
    await pki.write(`cas/${two}/changed.pem`, (await authority("CA of 1")).certificate)
    await pki.write(`cas/${two}/idless.pem`, (await authority("old", { keyId: false })).certificate)
    await pki.write(`cas/${two}/idless too.pem`, (await authority("old", { keyId: false })).certificate)
    expect(await problems(pki.env)).toEqual([])
  })
})

describe("the server's certificate and key", () => {
  const files = ["ORCHESTRATOR_TLS_CERT_PATH", "ORCHESTRATOR_TLS_KEY_PATH", "ORCHESTRATOR_TLS_SERVER_CA_CERT"]

  it("stop the start when they are missing or no PEM, all named in one message", async () => {
    const pki = await makePki()
    for (const file of ["server.pem", "server.key", "server-ca.pem"]) await pki.write(file, "no PEM")
    await pki.write(`cas/${one}/ca.pem`, "no PEM")
    const found = await problems(pki.env)
    expect(found.map((line) => line.split(":")[0])).toEqual([...files, variable])
    const gone = await problems({ ...pki.env, ORCHESTRATOR_TLS_CERT_PATH: "/gone", ORCHESTRATOR_TLS_KEY_PATH: "/gone" })
    expect(gone.slice(0, 2)).toEqual(
      files.slice(0, 2).map((name) => expect.stringContaining(`${name}: /gone: there is no such file`))
    )
  })

  it("stop the start when they do not belong together, or are not named", async () => {
    const pki = await makePki()
    await pki.write("server.key", (await serverOf(pki.serverCa)).key)
    expect(await problems(pki.env)).toEqual([
      `ORCHESTRATOR_TLS_KEY_PATH: ${pki.path("server.key")}: it is not the key of the first certificate in ${pki.path("server.pem")}`
    ])
    const { ORCHESTRATOR_TLS_CERT_PATH: _, ORCHESTRATOR_TLS_KEY_PATH: __, ...env } = pki.env
    expect((await problems(env)).map((line) => line.split(":")[0])).toEqual(files.slice(0, 2))
  })
})

describe("identity verification", () => {
  it("stops the start without mutual TLS, and mutual TLS without TLS", async () => {
    const { env } = await makePki()
    expect(await problems({ ...env, ORCHESTRATOR_MTLS_ENABLED: "false" })).toEqual([
      expect.stringContaining("ORCHESTRATOR_VERIFY_CLIENT_MSP_ID: without client certificates")
    ])
    expect(await problems({ ...env, ORCHESTRATOR_TLS_ENABLED: "false" })).toEqual([
      expect.stringContaining("ORCHESTRATOR_MTLS_ENABLED: mutual TLS needs TLS")
    ])
  })

  it("only warns of an organization of a channel that has no folder", async () => {
    const pki = await makePki()
    await pki.write("channels.yaml", `channels: { mychannel: [${one}, ${two}, LateMSP], other: [LateMSP] }\n`)
    const { log } = await startServer(pki.env)
    expect(log.lines.filter((line) => line.startsWith("Warn"))).toEqual([
      `Warn: organization "LateMSP" has no folder in ${variable}: its calls are refused until it has one`
    ])
  })

  it("is off unless it is asked for: a trusted certificate does for any organization, and TLS alone for anybody", async () => {
    const pki = await makePki()
    const leaf = await clientOf(one, pki.cas[one])
    const mutual = await startServer({ ...pki.env, ORCHESTRATOR_VERIFY_CLIENT_MSP_ID: "false" })
    await connect(pki, mutual, two, leaf).queryVersion()
    expect(await handshake(pki, mutual, undefined)).toMatchObject({ accepted: false })
    const { ORCHESTRATOR_VERIFY_CLIENT_MSP_ID: _, ORCHESTRATOR_MTLS_ENABLED: __, ...env } = pki.env
    await connect(pki, await startServer(env), two, undefined).queryVersion()
  })
})
