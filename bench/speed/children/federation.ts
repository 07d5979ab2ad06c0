/**
 * Two organizations whose executors know nothing but events: each does the tasks that events call for, and notes how
 * long after the DONE of a task's last parent was answered it knew of the task.
 */
import * as grpc from "@grpc/grpc-js"
import {
  ApplyTaskActionParam,
  type NewComputeTask,
  RegisterTasksParam
} from "../../../src/layers/wire/generated/computetask.ts"
import { Event, SubscribeToEventsParam } from "../../../src/layers/wire/generated/event.ts"
import { message, paths } from "../../../test/blackbox/Client.ts"
import { runAs } from "./child.ts"

export interface FederationJob {
  readonly port: number
  readonly channel: string
  readonly organizations: ReadonlyArray<string>
  /** The tasks of each plan, as the params of RegisterTasks, base64. */
  readonly plans: ReadonlyArray<string>
}

export interface FederationResult {
  readonly seconds: number
  /** Milliseconds from the answer to a parent's DONE to the child's executor knowing; below 0: it knew before. */
  readonly delays: ReadonlyArray<number>
  readonly done: number
  readonly errors: ReadonlyArray<string>
}

const identity = (bytes: Uint8Array): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)

interface Caller {
  readonly call: (path: string, request: Uint8Array) => Promise<void>
  readonly client: grpc.Client
  readonly metadata: grpc.Metadata
}

const callerOf = ({ channel, port }: FederationJob, organization: string, errors: Array<string>): Caller => {
  const client = new grpc.Client(`127.0.0.1:${port}`, grpc.credentials.createInsecure(), {
    "grpc.use_local_subchannel_pool": 1,
    "grpc.max_receive_message_length": -1
  })
  const metadata = new grpc.Metadata()
  metadata.set("mspid", organization)
  metadata.set("channel", channel)
  metadata.set("max-response-size", "1000000000")
  return {
    client,
    metadata,
    call: (path, request) =>
      new Promise((resolve) => {
        client.makeUnaryRequest(path, identity, identity, request, metadata, (error) => {
          if (error !== null) errors.push(`${path} ${error.message}`)
          resolve()
        })
      })
  }
}

const parentsOf = (task: NewComputeTask): ReadonlyArray<string> =>
  task.inputs.flatMap(({ ref }) => (ref?.$case === "parentTaskOutput" ? [ref.value.parentTaskKey] : []))

await runAs<FederationJob>(async (job) => {
  const errors: Array<string> = []
  const callers = new Map(job.organizations.map((name) => [name, callerOf(job, name, errors)]))
  const plans = job.plans.map((plan) => RegisterTasksParam.decode(Buffer.from(plan, "base64")).tasks)
  const tasks = new Map(plans.flat().map((task) => [task.key, task]))
  const answeredAt = new Map<string, number>()
  const delays: Array<number> = []
  /** A child that was known before its parent's DONE was answered: told when that comes. */
  const early = new Map<string, number>()
  let done = 0
  let whenDone = () => {}

  const act = (caller: Caller, key: string, action: "TASK_ACTION_EXECUTING" | "TASK_ACTION_DONE") =>
    caller.call(
      paths.applyTaskAction,
      ApplyTaskActionParam.encode(message(ApplyTaskActionParam, { computeTaskKey: key, action })).finish()
    )
  const note = (key: string, knownAt: number) => {
    const parents = parentsOf(tasks.get(key) as NewComputeTask)
    if (parents.length === 0) return
    const answers = parents.map((parent) => answeredAt.get(parent))
    if (answers.includes(undefined)) early.set(key, knownAt)
    else delays.push(knownAt - Math.max(...(answers as ReadonlyArray<number>)))
  }
  const work = async (caller: Caller, key: string) => {
    await act(caller, key, "TASK_ACTION_EXECUTING")
    await act(caller, key, "TASK_ACTION_DONE")
    answeredAt.set(key, performance.now())
    done++
    for (const [child, knownAt] of [...early]) {
      if (!parentsOf(tasks.get(child) as NewComputeTask).includes(key)) continue
      early.delete(child)
      note(child, knownAt)
    }
    if (done === tasks.size || errors.length > 0) whenDone()
  }
  const begun = new Set<string>()
  await Promise.all(
    [...callers].map(async ([organization, caller]) => {
      const request = SubscribeToEventsParam.encode({ startEventId: "" }).finish()
      const { client, metadata } = caller
      const stream = client.makeServerStreamRequest(
        paths.subscribeToEvents,
        identity,
        (bytes) => Event.decode(bytes),
        request,
        metadata
      )
      stream.on("data", ({ asset }: Event) => {
        const knownAt = performance.now()
        const task = asset?.$case === "computeTask" ? asset.value : undefined
        if (task?.worker !== organization || task.status !== "STATUS_WAITING_FOR_EXECUTOR_SLOT") return
        if (!tasks.has(task.key) || begun.has(task.key)) return
        begun.add(task.key)
        note(task.key, knownAt)
        void work(caller, task.key)
      })
      stream.on("error", (error) => {
        errors.push(`the events of ${organization}: ${error.message}`)
        whenDone()
      })
      await new Promise((resolve) => stream.once("metadata", resolve))
    })
  )
  const [first] = callers.values()
  return {
    work: async () => {
      const started = performance.now()
      const finished = new Promise<void>((resolve) => {
        whenDone = resolve
      })
      for (const plan of job.plans) await first?.call(paths.registerTasks, Buffer.from(plan, "base64"))
      if (errors.length === 0) await finished
      return { seconds: (performance.now() - started) / 1000, delays, done, errors } satisfies FederationResult
    }
  }
})
