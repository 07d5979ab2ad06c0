// The backend of one organization: it follows the events of its channel, and does the tasks that are its to do.
import { createHash } from "node:crypto"
import { readFile, writeFile } from "node:fs/promises"
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { Client, type Messages } from "substra-orchestrator/client"

const { ADDRESS = "localhost:9000", ORGANIZATION = "MyOrg1MSP", STATE = "backend.state" } = process.env

/** Where a model is, or logs are, for those who may download them, and what must be in there. */
const addressOf = (key: string) => ({
  checksum: createHash("sha256").update(key).digest("hex"),
  storageAddress: `https://backend.example/files/${key}`
})

/** The same key each time for an output: a run that follows one that was killed meets its own work. */
const keyOf = (taskKey: string, identifier: string): string =>
  createHash("sha256")
    .update(`${taskKey} ${identifier}`)
    .digest("hex")
    .replace(/^(.{8})(.{4}).(.{3}).(.{3})(.{12}).*$/, "$1-$2-4$3-8$4-$5")

/** The function could not be run on these inputs. */
class ExecutionFailed extends Data.TaggedError("ExecutionFailed") {}

/** Gives the outputs of a task: a real backend runs the task's function on its inputs here. One of this name fails. */
const execute = Effect.fnUntraced(function* (task: Messages.ComputeTask) {
  const client = yield* Client
  const { assets } = yield* client.getTaskInputAssets({ computeTaskKey: task.key })
  yield* Effect.log(`task ${task.key} of rank ${task.rank}, with ${assets.length} inputs`)
  const fn = yield* client.getFunction({ key: task.functionKey })
  if (fn.name === "broken") return yield* new ExecutionFailed()
  for (const [identifier, { kind }] of fn.outputs) {
    const output = { computeTaskKey: task.key, computeTaskOutputIdentifier: identifier }
    const key = keyOf(task.key, identifier)
    const register =
      kind === "ASSET_PERFORMANCE"
        ? Effect.asVoid(client.registerPerformance({ ...output, performanceValue: 0.9 }))
        : Effect.asVoid(client.registerModels({ models: [{ ...output, key, address: addressOf(key) }] }))
    // It is there already: registered by the run before, which was killed.
    yield* Effect.catchTag(register, "Conflict", () => Effect.void)
  }
})

const onTask = Effect.fnUntraced(
  function* (event: Messages.ComputeTask) {
    const client = yield* Client
    if (event.worker !== client.organization || event.status !== "STATUS_WAITING_FOR_EXECUTOR_SLOT") return
    // The event may be old: where the task executes, the run before was killed in the middle of it.
    const task = yield* client.getTask({ key: event.key })
    if (task.status !== "STATUS_WAITING_FOR_EXECUTOR_SLOT" && task.status !== "STATUS_EXECUTING") return
    const about = { computeTaskKey: task.key, log: "" }
    if (task.status !== "STATUS_EXECUTING") {
      yield* client.applyTaskAction({ ...about, action: "TASK_ACTION_EXECUTING" })
    }
    yield* execute(task).pipe(
      Effect.andThen(client.applyTaskAction({ ...about, action: "TASK_ACTION_DONE" })),
      Effect.catchTag("ExecutionFailed", () =>
        client.registerFailureReport({
          assetKey: task.key,
          assetType: "FAILED_ASSET_COMPUTE_TASK",
          errorType: "ERROR_TYPE_EXECUTION",
          logsAddress: addressOf(keyOf(task.key, "logs"))
        })
      )
    )
  },
  // It was canceled meanwhile, or has failed.
  Effect.catchTag(["IncompatibleStatus", "BadRequest"], ({ message }) => Effect.log(message))
)

const program = Effect.gen(function* () {
  const client = yield* Client
  yield* Effect.catchTag(client.registerOrganization({ address: "" }), "Conflict", () => Effect.void)
  // The id of the last event that was dealt with: whatever happens, the next run goes on right behind it.
  const last = yield* Effect.promise(() => readFile(STATE, "utf8").catch(() => ""))
  yield* Effect.log(`following the events after ${last === "" ? "the beginning" : last}`)
  yield* client.events(last).pipe(
    Stream.tap(({ asset }) => (asset?.$case === "computeTask" ? onTask(asset.value) : Effect.void)),
    Stream.runForEach(({ id }) => Effect.promise(() => writeFile(STATE, id)))
  )
})

const client = Client.layer({ address: ADDRESS, organization: ORGANIZATION, channel: "mychannel" })

NodeRuntime.runMain(Effect.provide(program, client))
