/** Server reflection, v1 and v1alpha: the contract file by file, and the health service. Needs no headers. */

import { BinaryReader } from "@bufbuild/protobuf/wire"
import type { Server, ServerDuplexStream, UntypedServiceImplementation } from "@grpc/grpc-js"
import type { PackageDefinition } from "@grpc/proto-loader"
import { ReflectionService } from "@grpc/reflection"
import { service as healthService } from "grpc-health-check"
import { fileDescriptorSet } from "../layers/wire/generated/descriptors.ts"

/** The files of a FileDescriptorSet: its only field, repeated. */
const filesOf = (set: Uint8Array): ReadonlyArray<Buffer> => {
  const files: Array<Buffer> = []
  const reader = new BinaryReader(set)
  while (reader.pos < reader.len) {
    const [field, wireType] = reader.tag()
    if (field === 1) files.push(Buffer.from(reader.bytes()))
    else reader.skip(wireType)
  }
  return files
}

type Reflected = ServerDuplexStream<unknown, unknown>

/** Questions wait for the answers to those before: whoever reads none would have them pile up here. */
const inStep =
  (answer: (call: Reflected) => void) =>
  (call: Reflected): void => {
    const write = call.write.bind(call) as (message: unknown) => boolean
    call.write = (message: unknown) => {
      const hasRoom = write(message)
      if (!hasRoom) call.pause().once("drain", () => call.resume())
      return hasRoom
    }
    answer(call)
  }

/** Adds both versions of the service. */
export const addReflection = (server: Server): void => {
  const addService: Server["addService"] = (definition, handlers) => {
    const { ServerReflectionInfo } = handlers as UntypedServiceImplementation
    server.addService(definition, { ServerReflectionInfo: inStep(ServerReflectionInfo as (call: Reflected) => void) })
  }
  const contract = { fileDescriptorProtos: filesOf(Buffer.from(fileDescriptorSet, "base64")) }
  const health = Object.values(healthService).map((method) => method.requestType)
  new ReflectionService({ contract, ...health } as unknown as PackageDefinition).addToServer({ addService } as never)
}
