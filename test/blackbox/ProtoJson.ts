/**
 * Messages as the transcript writes them, by proto field names, straight from the .proto files: a second reading of
 * the contract beside the generated code. Absent messages are left out; a time is one text that can be compared.
 */
import { fileURLToPath } from "node:url"
import { loadSync, type MethodDefinition, type ServiceDefinition } from "@grpc/proto-loader"
import type { Json, JsonObject } from "./Transcript.ts"

const folder = fileURLToPath(new URL("../../proto/", import.meta.url))
const files = ["computeplan", "computetask", "datamanager", "datasample", "dataset", "event", "failure_report"]
  .concat("function", "info", "model", "organization", "performance", "profiling")
  .map((name) => `${name}.proto`)

const contract = loadSync(files, {
  includeDirs: [folder],
  keepCase: true,
  longs: String,
  enums: String,
  defaults: true
})

/** Of an rpc like `orchestrator.InfoService/QueryVersion`. */
const method = (rpc: string): MethodDefinition<object, object> => {
  const [service = "", name = ""] = rpc.split("/")
  const found = (contract[service] as ServiceDefinition | undefined)?.[name]
  if (found === undefined) throw new Error(`${rpc} is not in the contract`)
  return found
}

const isTime = (value: object): value is { readonly seconds: string; readonly nanos: number } =>
  "seconds" in value && "nanos" in value

/** `seconds.nanoseconds`, of which the second has nine digits. */
const json = (value: unknown): Json => {
  if (Array.isArray(value)) return value.map(json)
  if (typeof value !== "object" || value === null) return value as Json
  if (isTime(value)) return `${value.seconds}.${String(value.nanos).padStart(9, "0")}`
  return Object.fromEntries(
    Object.entries(value).flatMap(([name, part]) => (part === null ? [] : [[name, json(part)]]))
  )
}

export const encodeRequest = (rpc: string, request: JsonObject): Uint8Array => method(rpc).requestSerialize(request)

export const decodeResponse = (rpc: string, response: Buffer): Json => json(method(rpc).responseDeserialize(response))
