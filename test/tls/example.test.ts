/** The example with certificates, as a process of its own, against a server with mutual TLS that verifies identities. */
import { execFile } from "node:child_process"
import { resolve } from "node:path"
import { beforeAll, expect, it } from "vitest"
import { clientOf, type Issued } from "./Certificates.ts"
import { makePki, one, type Pki, startServer, type TlsServer, two } from "./Pki.ts"

const root = resolve(import.meta.dirname, "../..")

let pki: Pki
let server: TlsServer

const writeClient = async (folder: string, organization: string, { certificate, key }: Issued) => {
  await pki.write(`${folder}/${organization}/tls.crt`, certificate)
  await pki.write(`${folder}/${organization}/tls.key`, key)
}

beforeAll(async () => {
  pki = await makePki()
  server = await startServer(pki.env)
  for (const organization of [one, two] as const) {
    await writeClient("clients", organization, await clientOf(organization, pki.cas[organization]))
    await writeClient("strangers", organization, await clientOf(organization, pki.cas[one]))
  }
})

interface Ended {
  readonly code: number | string | undefined
  readonly output: string
}

const example = (...args: ReadonlyArray<string>): Promise<Ended> =>
  new Promise((done) => {
    const all = ["examples/federated.ts", "--rounds", "1", ...args]
    execFile(process.execPath, all, { cwd: root }, (error, stdout, stderr) =>
      done({ code: error === null ? 0 : (error.code ?? error.signal), output: stdout + stderr })
    )
  })

const ca = () => ["--ca", pki.path("server-ca.pem"), "--address", server.address]

it("learns, with a certificate for each organization", async () => {
  const ended = await example(...ca(), "--cert-dir", pki.path("clients"))
  expect(ended).toEqual({ code: 0, output: expect.stringContaining("5 tasks done") })
})

it("says what is wrong with the certificates when the server does not believe them", async () => {
  const ended = await example(...ca(), "--cert-dir", pki.path("strangers"))
  expect(ended.code).toBe(1)
  expect(ended.output).toContain(`invalid MSPID: invalid issuer for MSPID "${two}"`)
  expect(ended.output).toContain("ORCHESTRATOR_TLS_CLIENT_CA_CERT_DIR")
})

it("says what TLS needs when it gets no connection", async () => {
  const ended = await example(...ca())
  expect(ended).toMatchObject({ code: 1, output: expect.stringContaining("--cert-dir") })
})

it("says that TLS needs its options, and of gRPC's words only the reason, when it is called without them", async () => {
  const ended = await example("--address", server.address)
  expect(ended.code).toBe(1)
  expect(ended.output).toMatch(/^No orchestrator can be reached at \S+ \([^()]{1,60}\)\.$/m)
  expect(ended.output).toContain("One with TLS needs --ca, and with mutual TLS --cert-dir.")
})

it("says which options go together, and which file is missing", async () => {
  const alone = await example("--cert-dir", pki.path("clients"))
  expect(alone).toMatchObject({ code: 1, output: expect.stringContaining("--cert-dir needs --ca") })
  const address = await example(...ca(), "--address", `127.0.0.1:${server.port}`)
  expect(address).toMatchObject({ code: 1, output: expect.stringContaining("such as localhost:9000") })
  const missing = await example(...ca(), "--cert-dir", pki.path("clients"), "--organizations", "3")
  expect(missing).toMatchObject({ code: 1, output: expect.stringContaining("clients/MyOrg3MSP/tls.key") })
})
