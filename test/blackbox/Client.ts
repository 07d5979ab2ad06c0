/**
 * The client of the black-box tests, on plain grpc-js: every rpc of the contract by its name, typed by the generated
 * definitions, with the headers, trailers and error details that a test may look at. It takes answers of any size,
 * retries nothing, and bounds every call, so that a test that waits in vain fails.
 */
import * as grpc from "@grpc/grpc-js"
import { ComputePlanServiceDefinition } from "../../src/layers/wire/generated/computeplan.ts"
import { ComputeTaskServiceDefinition } from "../../src/layers/wire/generated/computetask.ts"
import { DataManagerServiceDefinition } from "../../src/layers/wire/generated/datamanager.ts"
import { DataSampleServiceDefinition } from "../../src/layers/wire/generated/datasample.ts"
import { DatasetServiceDefinition } from "../../src/layers/wire/generated/dataset.ts"
import { EventServiceDefinition } from "../../src/layers/wire/generated/event.ts"
import { FailureReportServiceDefinition } from "../../src/layers/wire/generated/failure_report.ts"
import { FunctionServiceDefinition } from "../../src/layers/wire/generated/function.ts"
import { InfoServiceDefinition } from "../../src/layers/wire/generated/info.ts"
import { ModelServiceDefinition } from "../../src/layers/wire/generated/model.ts"
import { OrganizationServiceDefinition } from "../../src/layers/wire/generated/organization.ts"
import { PerformanceServiceDefinition } from "../../src/layers/wire/generated/performance.ts"
import { ProfilingServiceDefinition } from "../../src/layers/wire/generated/profiling.ts"
import { CallError } from "./CallError.ts"
import { MessageStream } from "./MessageStream.ts"

const definitions = [
  ComputePlanServiceDefinition,
  ComputeTaskServiceDefinition,
  DataManagerServiceDefinition,
  DataSampleServiceDefinition,
  DatasetServiceDefinition,
  EventServiceDefinition,
  FailureReportServiceDefinition,
  FunctionServiceDefinition,
  InfoServiceDefinition,
  ModelServiceDefinition,
  OrganizationServiceDefinition,
  PerformanceServiceDefinition,
  ProfilingServiceDefinition
] as const

type Intersection<U> = (U extends unknown ? (member: U) => void : never) extends (all: infer I) => void ? I : never

/** The rpcs of all services: no two have the same name. */
type Methods = Intersection<(typeof definitions)[number]["methods"]>

/** A message type as it is generated. */
export interface MessageType<T> {
  readonly encode: (message: T) => { readonly finish: () => Uint8Array }
  readonly decode: (bytes: Uint8Array) => T
}

interface Method {
  readonly name: string
  readonly requestType: MessageType<object>
  readonly responseType: MessageType<object>
  readonly responseStream: boolean
}

/** A message with these fields, the others empty. */
export const message = <T extends object>(type: MessageType<T>, fields: Partial<T> = {}): T => ({
  ...type.decode(new Uint8Array()),
  ...fields
})

export type Headers = ReadonlyArray<readonly [name: string, value: string]>

export interface CallOptions {
  /** Sent beside the client's own. */
  readonly headers?: Headers
  /** In milliseconds from now. */
  readonly timeout?: number
  readonly signal?: AbortSignal
}

/** A successful answer with what surrounds it. */
export interface Answer<T> {
  readonly message: T
  readonly headers: grpc.Metadata
  readonly trailers: grpc.Metadata
}

type RequestOf<M> = M extends { readonly requestType: MessageType<infer T> } ? Partial<T> : never
type ResponseOf<M> = M extends { readonly responseType: MessageType<infer T> } ? T : never
type IsStream<M> = M extends { readonly responseStream: true } ? true : false

type Rpcs = {
  readonly [Name in keyof Methods]: (
    request?: RequestOf<Methods[Name]>,
    options?: CallOptions
  ) => IsStream<Methods[Name]> extends true
    ? MessageStream<ResponseOf<Methods[Name]>>
    : Promise<ResponseOf<Methods[Name]>>
}

type Whole = {
  readonly [Name in keyof Methods as IsStream<Methods[Name]> extends true ? never : Name]: (
    request?: RequestOf<Methods[Name]>,
    options?: CallOptions
  ) => Promise<Answer<ResponseOf<Methods[Name]>>>
}

export interface Identity {
  /** Left out, the header is not sent. */
  readonly mspid?: string
  readonly channel?: string
  readonly headers?: Headers
}

export interface Client extends Rpcs {
  /** The organization that calls, empty when it does not say. */
  readonly id: string
  readonly channel: string
  /** The unary rpcs, answered with headers and trailers. */
  readonly whole: Whole
  /** Any bytes to any path, as the bytes that are answered. */
  readonly bytes: (path: string, request: Uint8Array, options?: CallOptions) => Promise<Answer<Buffer>>
  /** Any bytes to a streaming path. */
  readonly byteStream: (path: string, request: Uint8Array, options?: CallOptions) => MessageStream<Buffer>
  /** The same connection with these headers besides. */
  readonly with: (...headers: Headers) => Client
  readonly close: () => void
}

/** Paths by the names that this client uses. */
export const paths = Object.fromEntries(
  definitions.flatMap(({ fullName, methods }) =>
    Object.entries(methods).map(([name, method]) => [name, `/${fullName}/${(method as Method).name}`])
  )
) as Readonly<Record<keyof Methods, string>>

const methods = Object.assign({}, ...definitions.map((definition) => definition.methods)) as Readonly<
  Record<string, Method>
>

const timeout = 30_000

const connectionOptions: grpc.ClientOptions = {
  "grpc.max_receive_message_length": -1,
  "grpc.max_send_message_length": -1,
  "grpc.enable_retries": 0,
  "grpc.use_local_subchannel_pool": 1
}

const metadataOf = (headers: Headers): grpc.Metadata => {
  const metadata = new grpc.Metadata()
  for (const [name, value] of headers) metadata.add(name, value)
  return metadata
}

const over = (connection: grpc.Client, { channel, headers = [], mspid }: Identity): Client => {
  const own: Headers = [
    ...(mspid === undefined ? [] : [["mspid", mspid] as const]),
    ...(channel === undefined ? [] : [["channel", channel] as const]),
    ...headers
  ]
  const surroundings = (options: CallOptions) =>
    [
      metadataOf([...own, ...(options.headers ?? [])]),
      { deadline: Date.now() + (options.timeout ?? timeout) } satisfies grpc.CallOptions
    ] as const
  const cancelOn = (signal: AbortSignal | undefined, call: { readonly cancel: () => void }) =>
    signal?.addEventListener("abort", () => call.cancel(), { once: true })

  const bytes: Client["bytes"] = (path, request, options = {}) =>
    new Promise((resolve, reject) => {
      const [metadata, callOptions] = surroundings(options)
      let received = new grpc.Metadata()
      let answer: Buffer | undefined
      const call = connection.makeUnaryRequest(
        path,
        (message: Uint8Array) => Buffer.from(message),
        (message) => message,
        request,
        metadata,
        callOptions,
        (_error, message) => {
          answer = message
        }
      )
      cancelOn(options.signal, call)
      call.on("metadata", (headers) => {
        received = headers
      })
      call.on("status", (status) =>
        status.code === grpc.status.OK && answer !== undefined
          ? resolve({ message: answer, headers: received, trailers: status.metadata })
          : reject(new CallError(path, status, received))
      )
    })

  const byteStream: Client["byteStream"] = (path, request, options = {}) => {
    const call = connection.makeServerStreamRequest(
      path,
      (message: Uint8Array) => Buffer.from(message),
      (message) => message,
      request,
      ...surroundings(options)
    )
    cancelOn(options.signal, call)
    return new MessageStream(path, call)
  }

  const encoded = ({ requestType }: Method, request: object = {}) =>
    requestType.encode(message(requestType, request)).finish()

  const whole = (name: string) => async (request?: object, options?: CallOptions) => {
    const method = methods[name] as Method
    const answer = await bytes(paths[name as keyof Methods], encoded(method, request), options)
    return { ...answer, message: method.responseType.decode(answer.message) }
  }

  const named = Object.entries(methods).map(([name, method]) => [
    name,
    method.responseStream
      ? (request?: object, options?: CallOptions) =>
          byteStream(paths[name as keyof Methods], encoded(method, request), options).map(method.responseType.decode)
      : (request?: object, options?: CallOptions) => whole(name)(request, options).then(({ message }) => message)
  ])

  return {
    ...Object.fromEntries(named),
    whole: Object.fromEntries(Object.keys(methods).map((name) => [name, whole(name)])),
    id: mspid ?? "",
    channel: channel ?? "",
    bytes,
    byteStream,
    with: (...more) =>
      over(connection, {
        ...(mspid === undefined ? {} : { mspid }),
        ...(channel === undefined ? {} : { channel }),
        headers: [...headers, ...more]
      }),
    close: () => connection.close()
  } as Client
}

/** Connects to `host:port`, without TLS unless it is given credentials. */
export const client = (
  address: string,
  identity: Identity,
  credentials: grpc.ChannelCredentials = grpc.credentials.createInsecure()
): Client => over(new grpc.Client(address, credentials, connectionOptions), identity)
