/** Unary calls on raw grpc-js, as fast as the server answers, or at a pace. */
import * as grpc from "@grpc/grpc-js"
import { NewComputePlan } from "../../../src/layers/wire/generated/computeplan.ts"
import { ApplyTaskActionParam, GetTaskParam, QueryTasksParam } from "../../../src/layers/wire/generated/computetask.ts"
import * as build from "../../../test/blackbox/Builders.ts"
import { message, paths } from "../../../test/blackbox/Client.ts"
import { inParallel, runAs } from "./child.ts"

export interface CallsJob {
  readonly port: number
  readonly kind: keyof typeof kinds
  /** Calls at once. */
  readonly width: number
  readonly count: number
  /** Worker n calls in channel n modulo their number. */
  readonly channels: ReadonlyArray<string>
  /** What the calls are about, one each, or what they choose from. */
  readonly keys?: ReadonlyArray<string>
  /** Requests that are ready, as base64. */
  readonly requests?: ReadonlyArray<string>
  /** A new connection for each call. */
  readonly connect?: boolean
  /** Calls a second; as many as there can be when it is left out. */
  readonly pace?: number
}

export interface CallsResult {
  readonly seconds: number
  readonly millis: ReadonlyArray<number>
  readonly errors: ReadonlyArray<string>
  /** When the answer to each call came, by the key that it was about, in milliseconds since the epoch. */
  readonly answers: ReadonlyArray<readonly [string, number]>
  readonly bytes: number
}

interface Call {
  readonly path: string
  readonly request: Uint8Array
  readonly key?: string
}

const keyAt = ({ keys = [] }: CallsJob, index: number): string => keys[index % keys.length] as string

const act = (job: CallsJob, index: number, action: string): Call => ({
  path: paths.applyTaskAction,
  key: keyAt(job, index),
  request: ApplyTaskActionParam.encode(
    message(ApplyTaskActionParam, { computeTaskKey: keyAt(job, index), action: action as never })
  ).finish()
})

const kinds = {
  empty: (): Call => ({ path: "/bench.Empty/Call", request: new Uint8Array() }),
  queryVersion: (): Call => ({ path: paths.queryVersion, request: new Uint8Array() }),
  health: (): Call => ({ path: "/grpc.health.v1.Health/Check", request: new Uint8Array() }),
  registerPlan: (): Call => {
    const plan = build.newPlan()
    return { path: paths.registerPlan, key: plan.key, request: NewComputePlan.encode(plan).finish() }
  },
  registerTasks: (job: CallsJob, index: number): Call => ({
    path: paths.registerTasks,
    request: Buffer.from(job.requests?.[index] as string, "base64")
  }),
  executing: (job: CallsJob, index: number): Call => act(job, index, "TASK_ACTION_EXECUTING"),
  done: (job: CallsJob, index: number): Call => act(job, index, "TASK_ACTION_DONE"),
  functionAction: (job: CallsJob, index: number): Call => ({
    path: paths.applyFunctionAction,
    request: Buffer.from(job.requests?.[index] as string, "base64")
  }),
  getTask: (job: CallsJob, index: number): Call => ({
    path: paths.getTask,
    request: GetTaskParam.encode({ key: keyAt(job, index * 7919) }).finish()
  }),
  queryTasks: (): Call => ({
    path: paths.queryTasks,
    request: QueryTasksParam.encode(message(QueryTasksParam, { pageSize: 500 })).finish()
  })
}

const identity = (bytes: Uint8Array): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)

const connection = (port: number): grpc.Client =>
  new grpc.Client(`127.0.0.1:${port}`, grpc.credentials.createInsecure(), {
    "grpc.use_local_subchannel_pool": 1,
    "grpc.max_receive_message_length": -1,
    "grpc.max_send_message_length": -1
  })

const headers = (channel: string): grpc.Metadata => {
  const metadata = new grpc.Metadata()
  metadata.set("mspid", "MyOrg1MSP")
  metadata.set("channel", channel)
  metadata.set("max-response-size", "1000000000")
  return metadata
}

/** Connections that calls share: backends have a few each. */
const maxConnections = 8

await runAs<CallsJob>(async (job) => {
  const clients = Array.from({ length: Math.min(job.width, maxConnections) }, () => connection(job.port))
  const metadata = job.channels.map(headers)
  const errors: Array<string> = []
  let bytes = 0
  const call = (client: grpc.Client, { path, request }: Call, of: grpc.Metadata) =>
    new Promise<void>((resolve) => {
      client.makeUnaryRequest(
        path,
        identity,
        (answer) => answer,
        request,
        of,
        (error, answer) => {
          if (error !== null) errors.push(`${path} ${error.message}`)
          else bytes += answer?.length ?? 0
          resolve()
        }
      )
    })
  // Connections are there before the first call that counts.
  await Promise.all(
    clients.map((client) => new Promise((resolve) => client.waitForReady(Date.now() + 10_000, resolve)))
  )
  return {
    work: async () => {
      const answers: Array<readonly [string, number]> = []
      const begun = performance.now()
      const { millis, seconds } = await inParallel(job.width, job.count, async (index, worker) => {
        if (job.pace !== undefined) {
          const wait = begun + (index * 1000) / job.pace - performance.now()
          if (wait > 0) await new Promise((resolve) => setTimeout(resolve, wait))
        }
        const one = kinds[job.kind](job, index)
        const of = metadata[worker % metadata.length] as grpc.Metadata
        if (job.connect === true) {
          const client = connection(job.port)
          await call(client, one, of)
          client.close()
        } else await call(clients[worker % clients.length] as grpc.Client, one, of)
        if (one.key !== undefined) answers.push([one.key, performance.timeOrigin + performance.now()])
      })
      return { seconds, millis, errors, answers, bytes } satisfies CallsResult
    }
  }
})
