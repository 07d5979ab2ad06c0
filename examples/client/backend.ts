// The backend of one organization: it follows the events of its channel, and does the tasks that are its to do.
import { createHash } from "node:crypto"
import { readFile, writeFile } from "node:fs/promises"
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { Client, type Messages } from "substra-orchestrator/client"

const { ADDRESS = "localhost:9000", ORGANIZATION = "MyOrg1MSP", STATE = "backend.state" } = process.env

/** Where a model is, for those who may download it, and what it must contain. */
const addressOf = (key: string) => ({
  checksum: createHash("sha256").update(key).digest("hex"),
  storageAddress: `https://backend.example/models/${key}`
})

/** Gives the outputs of a task: a real backend runs the task's function on its inputs here. */
const execute = Effect.fnUntraced(function* (task: Messages.ComputeTask) {
  const client = yield* Client
  const { assets } = yield* client.getTaskInputAssets({ computeTaskKey: task.key })
  yield* Effect.log(`task ${task.key} of rank ${task.rank}, with ${assets.length} inputs`)
  const fn = yield* client.getFunction({ key: task.functionKey })
  for (const [identifier, { kind }] of fn.outputs) {
    const output = { computeTaskKey: task.key, computeTaskOutputIdentifier: identifier }
    if (kind === "ASSET_PERFORMANCE") {
      yield* client.registerPerformance({ ...output, performanceValue: 0.9 })
    } else {
      const key = crypto.randomUUID()
      yield* client.registerModels({ models: [{ ...output, key, address: addressOf(key) }] })
    }
  }
})

const onTask = Effect.fnUntraced(
  function* (task: Messages.ComputeTask) {
    const client = yield* Client
    if (task.worker !== client.organization || task.status !== "STATUS_WAITING_FOR_EXECUTOR_SLOT") return
    yield* client.applyTaskAction({ computeTaskKey: task.key, action: "TASK_ACTION_EXECUTING", log: "" })
    yield* execute(task)
    yield* client.applyTaskAction({ computeTaskKey: task.key, action: "TASK_ACTION_DONE", log: "" })
  },
  // An old event of a task that has moved on: this backend was restarted, or the task was canceled meanwhile.
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
