/** Messages of the contract from their JSON, by the descriptors that reflection serves, as the generated code has them. */
import { createFileRegistry, fromBinary, fromJson, type JsonValue, toBinary } from "@bufbuild/protobuf"
import { FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt"
import { ComputePlan } from "../../src/layers/wire/generated/computeplan.ts"
import { ComputeTask } from "../../src/layers/wire/generated/computetask.ts"
import { DataManager } from "../../src/layers/wire/generated/datamanager.ts"
import { DataSample } from "../../src/layers/wire/generated/datasample.ts"
import { Dataset } from "../../src/layers/wire/generated/dataset.ts"
import { fileDescriptorSet } from "../../src/layers/wire/generated/descriptors.ts"
import { Event } from "../../src/layers/wire/generated/event.ts"
import { FailureReport } from "../../src/layers/wire/generated/failure_report.ts"
import { FunctionMessage } from "../../src/layers/wire/generated/function.ts"
import { Model } from "../../src/layers/wire/generated/model.ts"
import { Organization } from "../../src/layers/wire/generated/organization.ts"
import { Performance } from "../../src/layers/wire/generated/performance.ts"

const registry = createFileRegistry(fromBinary(FileDescriptorSetSchema, Buffer.from(fileDescriptorSet, "base64")))

const types = {
  ComputePlan,
  ComputeTask,
  DataManager,
  DataSample,
  Dataset,
  Event,
  FailureReport,
  Function: FunctionMessage,
  Model,
  Organization,
  Performance
}

type Types = typeof types

export const message = <N extends keyof Types>(name: N, json: unknown): ReturnType<Types[N]["decode"]> => {
  const description = registry.getMessage(`orchestrator.${name}`)
  if (description === undefined) throw new Error(`the contract has no ${name}`)
  const bytes = toBinary(description, fromJson(description, json as JsonValue))
  return types[name].decode(bytes) as ReturnType<Types[N]["decode"]>
}

export const messages = <N extends keyof Types>(name: N, json: ReadonlyArray<unknown>) =>
  json.map((one) => message(name, one))
