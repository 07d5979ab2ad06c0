/** What is there beside the contract's rpcs: health, reflection, and an answer to whatever is not there. */
import { BinaryReader, BinaryWriter } from "@bufbuild/protobuf/wire"
import * as grpc from "@grpc/grpc-js"
import { afterAll, describe, expect, it } from "vitest"
import { client, paths } from "../Client.ts"
import { failure } from "../Refusals.ts"
import { startServer } from "../Server.ts"

const { address, one } = await startServer()
/** Sends no headers. */
const nobody = client(address, {})
const connection = new grpc.Client(address, grpc.credentials.createInsecure())
afterAll(() => {
  nobody.close()
  connection.close()
})

const services = [...new Set(Object.values(paths).map((path) => path.split("/")[1] as string))].sort()

/** The texts and messages of a field, in their order. */
const at = (bytes: Uint8Array, field: number): Array<Uint8Array> => {
  const reader = new BinaryReader(bytes)
  const found: Array<Uint8Array> = []
  while (reader.pos < reader.len) {
    const [number, wireType] = reader.tag()
    if (number === field && wireType === 2) found.push(reader.bytes())
    else reader.skip(wireType)
  }
  return found
}
const text = (bytes: Uint8Array | undefined) => new TextDecoder().decode(bytes)
const withText = (field: number, value: string) => new BinaryWriter().tag(field, 2).string(value).finish()

describe("health", () => {
  const check = (service: string) => nobody.bytes("/grpc.health.v1.Health/Check", withText(1, service))
  const serving = Buffer.of(8, 1)

  it.each(["", ...services])("of %j is SERVING, without headers", async (service) => {
    expect((await check(service)).message).toEqual(serving)
  })

  it("of an unknown service is not found", async () => {
    expect((await failure(check("nothing"))).code).toBe("NOT_FOUND")
  })

  it("can be watched, without headers", async () => {
    await using stream = nobody.byteStream("/grpc.health.v1.Health/Watch", withText(1, ""))
    expect(await stream.next()).toEqual(serving)
  })
})

describe.each(["v1", "v1alpha"])("reflection %s", (version) => {
  const ask = (request: Uint8Array): Promise<Buffer> =>
    new Promise((resolve, reject) => {
      const call = connection.makeBidiStreamRequest(
        `/grpc.reflection.${version}.ServerReflection/ServerReflectionInfo`,
        (bytes: Uint8Array) => Buffer.from(bytes),
        (bytes: Buffer) => bytes,
        { deadline: Date.now() + 10_000 }
      )
      call.on("error", reject)
      call.on("data", resolve)
      call.on("end", () => reject(new Error("no answer")))
      call.write(request)
      call.end()
    })

  it("lists every service, without headers", async () => {
    const listed = at((await ask(withText(7, ""))).subarray(0), 6).flatMap((list) =>
      at(list, 1).map((service) => text(at(service, 1)[0]))
    )
    expect(listed).toEqual(expect.arrayContaining(services))
    expect(services).toHaveLength(13)
  })

  it.each([
    ["orchestrator.FailureReportService", "failure_report.proto"],
    ["orchestrator.ComputeTask", "computetask.proto"],
    ["orchestrator.EventService.SubscribeToEvents", "event.proto"]
  ])("finds %s in %s", async (symbol, file) => {
    const answer = await ask(withText(4, symbol))
    const files = at(answer, 4).flatMap((response) => at(response, 1).map((descriptor) => text(at(descriptor, 1)[0])))
    expect(files).toContain(file)
  })

  it("gives a file by its name, with package and imports as they are in the contract", async () => {
    const [descriptor] = at(await ask(withText(3, "event.proto")), 4).flatMap((response) => at(response, 1))
    expect(text(at(descriptor as Uint8Array, 2)[0])).toBe("orchestrator")
    expect(at(descriptor as Uint8Array, 3).map(text)).toEqual(
      expect.arrayContaining(["common.proto", "computeplan.proto", "google/protobuf/timestamp.proto"])
    )
  })
})

describe("an unknown service or rpc", () => {
  it.each([
    "/nothing/nothing",
    "/orchestrator.NoService/RegisterPlan",
    "/orchestrator.ComputePlanService/NoRpc",
    "/orchestrator.ComputePlanService/registerPlan",
    "/ComputePlanService/RegisterPlan",
    "/x"
  ])("%s is UNIMPLEMENTED, with headers and without", async (path) => {
    for (const caller of [one, nobody]) {
      expect((await failure(caller.bytes(path, new Uint8Array()))).code).toBe("UNIMPLEMENTED")
    }
  })
})
