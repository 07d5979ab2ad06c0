/** Traces over OTLP: what a span says of a call, whose span it is below, and what it never says. */
import { describe, expect, it } from "vitest"
import * as Build from "../blackbox/Builders.ts"
import { client, type Headers } from "../blackbox/Client.ts"
import { failure } from "../blackbox/Refusals.ts"
import * as Collector from "./Collector.ts"
import * as Program from "./Program.ts"
import * as RawCall from "./RawCall.ts"

const caller = { traceId: "0af7651916cd43dd8448eb211c80319c", spanId: "b7ad6b7169203331" }
const traceparent = (flags: string) => `00-${caller.traceId}-${caller.spanId}-${flags}`
const undecodable = "orchestrator.ComputePlanService/UpdatePlan"
const secret = "a-name-that-no-trace-may-hold"

/** What a server sends of these calls until it has ended. */
const traced = async (env: Program.Env, headers: Headers) => {
  await using collector = await Collector.open()
  const server = await Program.serve({
    ...(await Program.envOf(await Program.database())),
    OTEL_EXPORTER_OTLP_ENDPOINT: collector.url,
    OTEL_EXPORTER_OTLP_PROTOCOL: "http/json",
    ...env
  })
  const one = client(server.address, { mspid: "MyOrg1MSP", channel: "mychannel", headers })
  await one.registerOrganization()
  const plan = Build.newPlan({ tag: secret })
  await one.registerPlan(plan)
  await failure(one.registerPlan(plan))
  one.close()
  await using raw = await RawCall.connect(server.address)
  await raw.call({
    path: `/${undecodable}`,
    headers: Object.fromEntries(headers),
    frames: [RawCall.framed(Buffer.from([255]))]
  })
  expect((await server.stop()).code).toBe(0)
  return { ...collector, resource: collector.resource, key: plan.key }
}

describe("traces", async () => {
  const found = await traced(
    {
      OTEL_SERVICE_NAME: "orchestrator-of-the-test",
      OTEL_RESOURCE_ATTRIBUTES: "deployment.environment=test,host.name=a%20b",
      OTEL_EXPORTER_OTLP_HEADERS: "authorization=Bearer%20geheim"
    },
    [
      ["traceparent", traceparent("01")],
      ["tracestate", "vendor=1"]
    ]
  )
  const calls = found.spans.filter(({ name }) => name === "orchestrator.ComputePlanService/RegisterPlan")
  const below = (parent: string | undefined) => found.spans.filter(({ parentSpanId }) => parentSpanId === parent)

  it("go to the collector's path, with its headers and the resource", () => {
    expect(found.requests[0]).toMatchObject({ path: "/v1/traces", headers: { authorization: "Bearer geheim" } })
    expect(found.resource).toMatchObject({
      "service.name": "orchestrator-of-the-test",
      "deployment.environment": "test",
      "host.name": "a b"
    })
  })

  it("continue the caller's", () => {
    expect(calls).toHaveLength(2)
    for (const { parentSpanId, traceId } of calls) expect({ traceId, spanId: parentSpanId }).toEqual(caller)
  })

  it("say who called what, and how it ended", () => {
    expect(calls.map(({ attributes, status }) => [attributes["rpc.grpc.status_code"], status.code])).toEqual([
      [0, 1],
      [6, 1]
    ])
    expect(calls[0]).toMatchObject({
      kind: 2,
      attributes: {
        "rpc.system": "grpc",
        "rpc.service": "orchestrator.ComputePlanService",
        "rpc.method": "RegisterPlan",
        "substra.organization": "MyOrg1MSP",
        "substra.channel": "mychannel"
      }
    })
    // The client's to mend, and no error of the server.
    expect(calls[1]?.attributes["error.type"]).toBe("Conflict")
    const [broken] = found.spans.filter(({ name }) => name === undecodable)
    expect(broken).toMatchObject({
      attributes: { "rpc.grpc.status_code": 3, "error.type": "Undecodable" },
      status: { code: 1 }
    })
  })

  it("have each transaction below its call, and each statement below that", () => {
    const [transaction] = below(calls[0]?.spanId)
    expect(transaction).toMatchObject({ name: "transaction", attributes: { "substra.run": 1 } })
    const statements = below(transaction?.spanId)
    expect(statements.map(({ name }) => name)).toEqual(expect.arrayContaining(["BEGIN", "SELECT", "COMMIT"]))
    expect(statements.every(({ kind }) => kind === 3)).toBe(true)
    expect(statements.map(({ attributes }) => attributes["db.query.text"])).toContainEqual(
      expect.stringContaining("append_events($1")
    )
  })

  it("have no value of a parameter, no payload and no text of an error", () => {
    const sent = found.bodies.join("\n")
    expect(sent).not.toContain(secret)
    expect(sent).not.toContain(found.key)
  })

  const none: ReadonlyArray<readonly [string, Program.Env, Headers]> = [
    ["the caller does not trace", {}, [["traceparent", traceparent("00")]]],
    ["the sampler takes none", { OTEL_TRACES_SAMPLER: "parentbased_traceidratio", OTEL_TRACES_SAMPLER_ARG: "0" }, []],
    ["they are switched off", { OTEL_SDK_DISABLED: "true" }, [["traceparent", traceparent("01")]]]
  ]

  it.each(none)("are not made when %s", async (_, env, headers) => {
    expect((await traced(env, headers)).spans).toEqual([])
  })

  it("begin anew where a caller's header is malformed", async () => {
    const { spans } = await traced({}, [["traceparent", "00-zz-zz-01"]])
    const roots = spans.filter(({ parentSpanId }) => parentSpanId === undefined)
    expect(roots.map(({ name }) => name)).toContain("orchestrator.ComputePlanService/RegisterPlan")
  })
})

describe("variables of traces that cannot be used", () => {
  it("stop the start, each by its name, without the secret", async () => {
    const { code, stderr } = await Program.run({
      ...Program.freePorts,
      OTEL_EXPORTER_OTLP_ENDPOINT: "collector:4318",
      OTEL_EXPORTER_OTLP_HEADERS: "geheim",
      OTEL_RESOURCE_ATTRIBUTES: "a=%zz",
      OTEL_TRACES_SAMPLER: "some",
      OTEL_TRACES_SAMPLER_ARG: "2"
    }).exited
    expect(code).toBe(1)
    for (const name of [
      "OTEL_EXPORTER_OTLP_ENDPOINT",
      "OTEL_EXPORTER_OTLP_HEADERS",
      "OTEL_RESOURCE_ATTRIBUTES",
      "OTEL_TRACES_SAMPLER",
      "OTEL_TRACES_SAMPLER_ARG"
    ]) {
      expect(stderr).toContain(`${name}: it must be`)
    }
    expect(stderr).not.toContain("geheim")
  })
})

describe("statements in the log", () => {
  it("carry the id of the call", async () => {
    const server = await Program.serve({
      ...(await Program.envOf(await Program.database())),
      LOG_LEVEL: "DEBUG",
      LOG_SQL_VERBOSE: "true"
    })
    const one = client(server.address, {
      mspid: "MyOrg1MSP",
      channel: "mychannel",
      headers: [["reqid", "of-this-call"]]
    })
    await one.registerOrganization()
    one.close()
    const { stdout } = await server.stop()
    const of = stdout.split("\n").filter((line) => line.includes("of-this-call"))
    const lines = of.map((line) => JSON.parse(line) as { message: string; level: string })
    const statements = lines.filter(({ level }) => level === "DEBUG").map(({ message }) => message)
    expect(statements).toEqual(expect.arrayContaining([expect.stringMatching(/^BEGIN/), "COMMIT"]))
  })
})
