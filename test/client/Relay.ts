/**
 * A gRPC server that passes bytes on to another one, and loses what a test tells it to: the call before it gets there,
 * or its answer once the call is done. Its clients cannot tell it from a server that dies at that moment.
 */
import * as grpc from "@grpc/grpc-js"
import { services } from "../../src/layers/wire/generated/index.ts"

export type Loss = "call" | "answer"

export interface Relay {
  readonly address: string
  /** What becomes of the next calls of an rpc (`RegisterPlan`): one loss each. */
  readonly lose: (rpc: string, ...losses: ReadonlyArray<Loss>) => void
  /** How often an rpc was called. */
  readonly calls: (rpc: string) => number
  readonly close: () => void
}

const pass = (bytes: Buffer): Buffer => bytes

export const open = async (target: string): Promise<Relay> => {
  const losses = new Map<string, Array<Loss>>()
  const counts = new Map<string, number>()
  const backend = new grpc.Client(target, grpc.credentials.createInsecure(), { "grpc.max_receive_message_length": -1 })
  const server = new grpc.Server({ "grpc.max_receive_message_length": -1, "grpc.max_send_message_length": -1 })
  const lost = { code: grpc.status.UNAVAILABLE, details: "lost on the way" }

  const unary =
    (name: string, path: string): grpc.handleUnaryCall<Buffer, Buffer> =>
    (call, callback) => {
      counts.set(name, (counts.get(name) ?? 0) + 1)
      const loss = losses.get(name)?.shift()
      if (loss === "call") return callback(lost)
      backend.makeUnaryRequest(path, pass, pass, call.request, call.metadata, (error, bytes) =>
        loss === "answer" ? callback(lost) : error === null ? callback(null, bytes) : callback(error)
      )
    }

  for (const { fullName, methods } of services) {
    const definition: Record<string, grpc.MethodDefinition<Buffer, Buffer>> = {}
    const handlers: grpc.UntypedServiceImplementation = {}
    for (const { name, responseStream } of Object.values(methods)) {
      if (responseStream) continue
      const path = `/${fullName}/${name}`
      definition[name] = {
        path,
        requestStream: false,
        responseStream: false,
        requestSerialize: pass,
        requestDeserialize: pass,
        responseSerialize: pass,
        responseDeserialize: pass
      }
      handlers[name] = unary(name, path)
    }
    server.addService(definition as grpc.ServiceDefinition, handlers)
  }
  const port = await new Promise<number>((done, failed) =>
    server.bindAsync("127.0.0.1:0", grpc.ServerCredentials.createInsecure(), (error, bound) =>
      error === null ? done(bound) : failed(error)
    )
  )
  return {
    address: `127.0.0.1:${port}`,
    lose: (rpc, ...more) => losses.set(rpc, [...(losses.get(rpc) ?? []), ...more]),
    calls: (rpc) => counts.get(rpc) ?? 0,
    close: () => {
      server.forceShutdown()
      backend.close()
    }
  }
}
