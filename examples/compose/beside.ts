// A gRPC service of your own beside the thirteen: same port, same headers, identity, channels, errors, logs and metrics.
import { BinaryReader, BinaryWriter } from "@bufbuild/protobuf/wire"
import * as grpc from "@grpc/grpc-js"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import { MemoryStore } from "substra-orchestrator/memory"
import { Rpc, Server } from "substra-orchestrator/server"
import { Channels, ClientIdentity, ComputePlans, RequestContext, Services } from "substra-orchestrator/services"

interface Count {
  readonly plans: number
}

// What ts-proto makes of a .proto file (outputServices=generic-definitions), here by hand: `uint32 plans = 1`.
const Count = {
  encode: ({ plans }: Count) => new BinaryWriter().uint32(1 << 3).uint32(plans),
  decode: (bytes: Uint8Array): Count => {
    const reader = new BinaryReader(bytes)
    reader.tag()
    return { plans: reader.uint32() }
  }
}
const Empty = { encode: () => new BinaryWriter(), decode: (_message: BinaryReader) => ({}) }
const definition = {
  fullName: "example.StatisticsService",
  methods: { countPlans: { name: "CountPlans", requestType: Empty, responseType: Count, responseStream: false } }
}

/** Reads are `Rpc.read`, calls that change something `Rpc.write`, in a transaction. */
const statistics = Effect.map(ComputePlans, (plans) =>
  Rpc.service(definition, {
    countPlans: Rpc.read(() =>
      Effect.gen(function* () {
        const { requester } = yield* RequestContext
        const page = yield* plans.query({ owner: requester }, { cursor: Option.none(), limit: 1000 })
        return { plans: page.items.length }
      })
    )
  })
)

const server = Server.layer({ port: 0 }, statistics).pipe(
  Layer.provide(Services.layer()),
  Layer.provide(MemoryStore.layer),
  Layer.provide(Channels.layer(new Map([["mychannel", ["MyOrg1MSP"]]]))),
  Layer.provide(ClientIdentity.layerTrusting)
)

const call = (address: string, organization: string) =>
  Effect.callback<string>((resume) => {
    const client = new grpc.Client(address, grpc.credentials.createInsecure())
    const headers = new grpc.Metadata()
    headers.set("mspid", organization)
    headers.set("channel", "mychannel")
    const bytes = (message: Buffer) => message
    client.makeUnaryRequest(
      "/example.StatisticsService/CountPlans",
      bytes,
      bytes,
      Buffer.alloc(0),
      headers,
      (error, answer) => {
        client.close()
        resume(Effect.succeed(error?.details ?? `${Count.decode(answer ?? Buffer.alloc(0)).plans} plans`))
      }
    )
  })

const program = Effect.gen(function* () {
  const { address, port } = yield* Server.Listening
  console.log(yield* call(`${address}:${port}`, "MyOrg1MSP"))
  console.log(yield* call(`${address}:${port}`, "NobodyMSP"))
})

await Effect.runPromise(Effect.scoped(Effect.provide(program, server)))
