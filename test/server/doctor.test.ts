/** What `doctor` says of a machine, beside a server that runs and without one. */
import { once } from "node:events"
import { createServer } from "node:net"
import { expect, it } from "vitest"
import * as Program from "./Program.ts"

const env = await Program.envOf(await Program.database())

/** What was found, by what was looked at. */
const doctor = async (ports: Program.Env) => {
  const { code, stdout } = await Program.run({ ...env, ORCHESTRATOR_LISTEN_ADDRESS: "127.0.0.1", ...ports }, "doctor")
    .exited
  const lines = stdout.trimEnd().matchAll(/^(ok|warning|problem) +([^:]+): (.*)$/gm)
  return {
    code,
    findings: Object.fromEntries(Array.from(lines, ([, level, what, text]) => [what, `${level}: ${text}`]))
  }
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
