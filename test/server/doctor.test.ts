/** What `doctor` says of a machine, beside a server that runs and without one. */
import { once } from "node:events"
import * as fs from "node:fs/promises"
import { createServer } from "node:net"
import { join } from "node:path"
import { expect, it } from "vitest"
import { execute } from "../support/database.ts"
import { authority, clientOf, serverOf } from "../tls/Certificates.ts"
import { makePki, one } from "../tls/Pki.ts"
import * as Program from "./Program.ts"

const env = await Program.envOf(await Program.database())

/** What was found, by what was looked at. */
const doctor = async (ports: Program.Env) => {
  const { code, stderr, stdout } = await Program.run(
    { ...env, ORCHESTRATOR_LISTEN_ADDRESS: "127.0.0.1", ...ports },
    "doctor"
  ).exited
  const lines = stdout.trimEnd().matchAll(/^(ok|warning|problem) +([^:]+): (.*)$/gm)
  return {
    code,
    stderr,
    lines: stdout.trimEnd().split("\n"),
    findings: Object.fromEntries(Array.from(lines, ([, level, what, text]) => [what, `${level}: ${text}`]))
  }
}

const freePort = async (): Promise<string> => {
  const holder = createServer().listen(0, "127.0.0.1")
  await once(holder, "listening")
  const { port } = holder.address() as { readonly port: number }
  holder.close()
  await once(holder, "close")
  return String(port)
}

it("beside a running server says that an orchestrator serves on its ports", async () => {
  const server = await Program.serve(env)
  const grpcPort = server.address.split(":").at(-1) ?? ""
  const { code, findings } = await doctor({
    ORCHESTRATOR_GRPC_PORT: grpcPort,
    ORCHESTRATOR_HTTP_PORT: new URL(server.http).port
  })
  expect(findings).toMatchObject({
    "gRPC port": `ok: 127.0.0.1:${grpcPort}: a substra-orchestrator serves there`,
    "HTTP port": `ok: ${new URL(server.http).host}: a substra-orchestrator serves there`,
    schema: expect.stringMatching(/^ok: /)
  })
  expect(code).toBe(0)
})

it("beside the server of another configuration says whose HTTP port it is that it wants", async () => {
  const server = await Program.serve(env)
  const { code, findings } = await doctor({
    ORCHESTRATOR_GRPC_PORT: await freePort(),
    ORCHESTRATOR_HTTP_PORT: new URL(server.http).port
  })
  expect(findings["gRPC port"]).toMatch(/^ok: .* is free$/)
  expect(findings["HTTP port"]).toMatch(/^problem: .*EADDRINUSE.*ORCHESTRATOR_HTTP_PORT/)
  expect(code).toBe(1)
})

it("looks at the rest where a port is the other's default", async () => {
  const { code, findings, lines } = await doctor({ ORCHESTRATOR_GRPC_PORT: "8484" })
  expect(lines[0]).toMatch(/^problem {2}configuration: ORCHESTRATOR_HTTP_PORT: it must be another than /)
  expect(findings.schema).toMatch(/^ok: /)
  expect(code).toBe(1)
})

it("calls a schema that is gone under a running server a problem", async () => {
  const database = await Program.database()
  const own = await Program.envOf(database)
  const server = await Program.serve(own)
  await execute(database.url, "DROP SCHEMA orchestrator CASCADE")
  const { code, findings, stderr } = await doctor({
    ...own,
    ORCHESTRATOR_GRPC_PORT: server.address.split(":").at(-1) ?? "",
    ORCHESTRATOR_HTTP_PORT: new URL(server.http).port
  })
  expect(findings.schema).toMatch(/^problem: missing, under a server that runs: restore it from the backup/)
  expect([code, stderr]).toEqual([1, "1 problem\n"])
})

it("looks at the rest where some files cannot be used, and names all of them", async () => {
  const folder = await Program.folder()
  const bad = join(folder, "bad.pem")
  await fs.writeFile(bad, "-----BEGIN PRIVATE KEY-----\nabc\n-----END PRIVATE KEY-----\n")
  const { code, lines, findings, stderr } = await doctor({
    ...Program.freePorts,
    ORCHESTRATOR_CHANNEL_CONFIG: folder,
    ORCHESTRATOR_TLS_ENABLED: "true",
    ORCHESTRATOR_TLS_CERT_PATH: join(folder, "missing.pem"),
    ORCHESTRATOR_TLS_KEY_PATH: bad,
    ORCHESTRATOR_DATABASE_URL: "postgresql://orchestrator:geheim@127.0.0.1:1/orchestrator"
  })
  const configuration = lines.filter((line) => line.includes("configuration: "))
  expect(configuration).toEqual([
    expect.stringContaining(`ORCHESTRATOR_CHANNEL_CONFIG: ${folder}: it is a folder, not a file`),
    expect.stringContaining(`ORCHESTRATOR_TLS_CERT_PATH: ${join(folder, "missing.pem")}: there is no such file`),
    expect.stringContaining(`ORCHESTRATOR_TLS_KEY_PATH: ${bad}: it must hold an unencrypted PEM private key`)
  ])
  expect(findings.database).toMatch(/^problem: .*ECONNREFUSED.*Nobody listens there: start PostgreSQL/)
  expect(findings["gRPC port"]).toMatch(/^ok: /)
  expect(Object.keys(findings)).not.toContain("TLS")
  expect([code, stderr]).toEqual([1, "4 problems\n"])
})

/** Root may read everything, so it becomes somebody else. */
const asOther: Program.Env =
  process.getuid?.() === 0 ? { NODE_OPTIONS: "--import data:text/javascript,process.setuid(65534)" } : {}

it("says of files and folders that it may not read who it is", async () => {
  const folder = await Program.folder()
  const [channels, certificate, cas] = ["channels.yaml", "tls.crt", "cas"].map((name) => join(folder, name)) as [
    string,
    string,
    string
  ]
  for (const file of [channels, certificate]) await fs.writeFile(file, "")
  await fs.mkdir(cas)
  for (const path of [channels, certificate, cas]) await fs.chmod(path, 0)
  const { code, lines } = await doctor({
    ...Program.freePorts,
    ...asOther,
    ORCHESTRATOR_CHANNEL_CONFIG: channels,
    ORCHESTRATOR_TLS_ENABLED: "true",
    ORCHESTRATOR_MTLS_ENABLED: "true",
    ORCHESTRATOR_TLS_CERT_PATH: certificate,
    ORCHESTRATOR_TLS_KEY_PATH: cas,
    ORCHESTRATOR_TLS_CLIENT_CA_CERT_DIR: cas
  })
  await fs.chmod(cas, 0o700)
  const who = `this process may not read it: it runs as user ${asOther.NODE_OPTIONS === undefined ? process.getuid?.() : 65534}`
  expect(lines.filter((line) => line.includes("configuration: "))).toEqual([
    `problem  configuration: ORCHESTRATOR_CHANNEL_CONFIG: ${channels}: ${who}`,
    `problem  configuration: ORCHESTRATOR_TLS_CERT_PATH: ${certificate}: ${who}`,
    expect.stringContaining(`ORCHESTRATOR_TLS_KEY_PATH: ${cas}: `),
    `problem  configuration: ORCHESTRATOR_TLS_CLIENT_CA_CERT_DIR: ${cas}: ${who}`
  ])
  expect(code).toBe(1)
})

it("warns of each organization of the channels without a CA, where clients are verified", async () => {
  const pki = await makePki()
  await pki.write("channels.yaml", `channels: { mychannel: [${one}, LateMSP] }\n`)
  const { code, findings, lines } = await doctor({ ...Program.freePorts, ...pki.env })
  expect(lines.filter((line) => line.includes("has no folder"))).toEqual([
    'warning  identity: organization "LateMSP" has no folder in ORCHESTRATOR_TLS_CLIENT_CA_CERT_DIR: its calls are refused until it has one'
  ])
  expect(findings.channels).toBe("ok: 1 channel, 2 organizations")
  expect(code).toBe(0)
})

it("warns of certificates that are not what they are for, and of variables that there are not", async () => {
  const pki = await makePki()
  const leaf = await clientOf(one, pki.cas[one])
  await pki.write(`cas/${one}/backend.pem`, leaf.certificate)
  await pki.write("server.pem", leaf.certificate)
  await pki.write("server.key", leaf.key)
  const env = { ORCHESTRATOR_GRPC_PROT: "9001", ORCHESTRATOR_SERVICE_HOST: "10.0.0.1" }
  const { code, lines } = await doctor({ ...Program.freePorts, ...pki.env, ...env })
  const warnings = lines.filter((line) =>
    /there is no such variable|server certificate: it|backend.pem\): it/.test(line)
  )
  expect(warnings).toEqual([
    "warning  configuration: ORCHESTRATOR_GRPC_PROT: there is no such variable, it is ignored",
    expect.stringMatching(/^warning {2}server certificate: (it names no host|its extendedKeyUsage)/),
    expect.stringMatching(/^warning {2}CA of MyOrg1MSP \(.*backend.pem\): it is no CA's certificate/)
  ])
  expect(code).toBe(0)
})

it("looks at the whole chain of the server's certificate, and at its CA", async () => {
  const pki = await makePki()
  const over = { notBefore: new Date("2003-01-01"), notAfter: new Date("2004-01-01") }
  const between = await authority("between", { issuer: pki.serverCa, ...over })
  const server = await serverOf(between)
  await pki.write("server.pem", `${server.certificate}${between.certificate}`)
  await pki.write("server.key", server.key)
  await pki.write("server-ca.pem", (await authority("server CA", over)).certificate)
  const { code, findings } = await doctor({ ...Program.freePorts, ...pki.env })
  expect(findings["server certificate"]).toMatch(/^warning: valid until /)
  expect(findings["server certificate chain (CN=between)"]).toMatch(/^problem: expired on .* 2004 GMT/)
  expect(findings[`server CA (${pki.path("server-ca.pem")})`]).toMatch(/^problem: expired on .* 2004 GMT/)
  expect(code).toBe(1)
})

it("says what the database will not do", async () => {
  const database = await Program.database()
  const admin = (sql: string) => execute(database.adminUrl, sql)
  await admin("INSERT INTO orchestrator.migrations (id, name, oldest_server) VALUES (1000, 'from the future', 999)")
  await execute(Program.administration(), `ALTER DATABASE ${database.name} CONNECTION LIMIT 7`)
  const newer = await doctor({ ...Program.freePorts, ...(await Program.envOf(database)) })
  expect(newer.findings.schema).toMatch(/^problem: the database's schema 1000 needs a newer server/)
  expect(newer.findings.connections).toMatch(/^warning: a server may want \d+ connections at once .*has 7 for its role/)
  await admin("DROP SCHEMA orchestrator CASCADE")
  await execute(Program.administration(), `ALTER DATABASE ${database.name} OWNER TO postgres`)
  const none = await doctor({ ...Program.freePorts, ...(await Program.envOf(database)) })
  expect(none.findings.schema).toMatch(/^problem: missing, and orchestrator may not make it: GRANT CREATE ON DATABASE/)
})

it("looks at no port where the address is not known", async () => {
  const { code, lines } = await doctor({ ...Program.freePorts, ORCHESTRATOR_GRPC_PORT: "many" })
  expect(lines[0]).toMatch(/^problem {2}configuration: ORCHESTRATOR_GRPC_PORT: /)
  expect(lines.filter((line) => / port: /.test(line))).toEqual([])
  expect(lines.some((line) => line.startsWith("ok       database: "))).toBe(true)
  expect(code).toBe(1)
})

it("calls ports that somebody else has a problem, and free ones free", async () => {
  const holder = createServer((socket) => socket.destroy()).listen(0, "127.0.0.1")
  await once(holder, "listening")
  const taken = String((holder.address() as { readonly port: number }).port)
  const { code, findings } = await doctor({ ORCHESTRATOR_GRPC_PORT: "0", ORCHESTRATOR_HTTP_PORT: taken })
  holder.close()
  expect(findings["gRPC port"]).toBe("ok: 127.0.0.1:0 is free")
  expect(findings["HTTP port"]).toMatch(/^problem: .*EADDRINUSE.*ORCHESTRATOR_HTTP_PORT/)
  expect(code).toBe(1)
})
