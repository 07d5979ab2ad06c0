// Registers data, a function, and a plan of two tasks by hand, and waits until the workers have done them.
import { createHash } from "node:crypto"
import * as Effect from "effect/Effect"
import { connect } from "substra-orchestrator/client"

const { ADDRESS = "localhost:9000", ORGANIZATION = "MyOrg1MSP" } = process.env

const newKey = () => crypto.randomUUID()
const checksumOf = (content: string) => createHash("sha256").update(content).digest("hex")
/** A file that the organization keeps: the orchestrator knows where it is and what it must contain, and never fetches it. */
const file = (name: string) => ({
  checksum: checksumOf(name),
  storageAddress: `https://backend.example/files/${name}`
})

const metadata = new Map<string, string>()
const everybody = { public: true, authorizedIds: [] }

const program = Effect.gen(function* () {
  const client = yield* connect({ address: ADDRESS, organization: ORGANIZATION, channel: "mychannel" })
  // Once in each channel: one that is not registered can be given no permissions and no tasks.
  yield* Effect.catchTag(client.registerOrganization({ address: "" }), "Conflict", () => Effect.void)

  // Data: how it is opened, and its samples.
  const manager = yield* client.registerDataManager({
    key: newKey(),
    name: "my data",
    description: file("data.md"),
    opener: file("opener.py"),
    newPermissions: everybody,
    logsPermission: everybody,
    type: "",
    metadata
  })
  const dataManagerKeys = [manager.key]
  const samples = ["first", "second"].map((content) => ({
    key: newKey(),
    dataManagerKeys,
    checksum: checksumOf(content),
    testOnly: false
  }))
  yield* client.registerDataSamples({ samples })

  // A function: what it takes and gives. It is WAITING for its owner to build it.
  const fn = yield* client.registerFunction({
    key: newKey(),
    name: "train",
    description: file("train.md"),
    archive: file("train.tar.gz"),
    newPermissions: everybody,
    inputs: new Map([
      ["opener", { kind: "ASSET_DATA_MANAGER", multiple: false, optional: false }],
      ["samples", { kind: "ASSET_DATA_SAMPLE", multiple: true, optional: false }],
      ["start", { kind: "ASSET_MODEL", multiple: false, optional: true }]
    ]),
    outputs: new Map([["model", { kind: "ASSET_MODEL", multiple: false }]]),
    metadata
  })

  // The plan, and a graph of tasks: the second trains on from the model of the first. All of a batch, or none.
  const plan = yield* client.registerPlan({ key: newKey(), name: "two trainings", tag: "", metadata })
  const data = [
    { identifier: "opener", ref: { $case: "assetKey" as const, value: manager.key } },
    ...samples.map(({ key }) => ({ identifier: "samples", ref: { $case: "assetKey" as const, value: key } }))
  ]
  const first = {
    key: newKey(),
    functionKey: fn.key,
    computePlanKey: plan.key,
    worker: "", // the owner of the data manager
    inputs: data,
    outputs: new Map([["model", { permissions: everybody, transient: false }]]),
    metadata
  }
  const model = { parentTaskKey: first.key, outputIdentifier: "model" }
  const start = { identifier: "start", ref: { $case: "parentTaskOutput" as const, value: model } }
  const { tasks } = yield* client.registerTasks({
    tasks: [first, { ...first, key: newKey(), inputs: [...data, start] }]
  })
  for (const { rank, status } of tasks) console.log(`rank ${rank}: ${status}`)

  // The build: its image is named, then the function is READY, and what depends on it alone can be executed.
  yield* client.applyFunctionAction({ functionKey: fn.key, action: "FUNCTION_ACTION_BUILDING" })
  yield* client.updateFunction({ key: fn.key, name: fn.name, image: file("train-image") })
  yield* client.applyFunctionAction({ functionKey: fn.key, action: "FUNCTION_ACTION_READY" })

  console.log("the plan is", (yield* client.waitForPlan(plan.key)).outcome)
})

await Effect.runPromise(Effect.scoped(program))
