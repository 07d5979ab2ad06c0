// Registers everything that a task needs, makes its function ready, and waits until backends have done the plan.
import { createHash, randomUUID } from "node:crypto"
import * as Effect from "effect/Effect"
import { make } from "substra-orchestrator/client"

const { ADDRESS = "localhost:9000" } = process.env

/** Where something is, and its SHA-256: the orchestrator never sees the thing itself. */
const addressable = (content: string) => ({
  checksum: createHash("sha256").update(content).digest("hex"),
  storageAddress: `https://backend.example/files/${randomUUID()}`
})
const everybody = { public: true, authorizedIds: [] }
const kept = { permissions: everybody, transient: false }

const program = Effect.gen(function* () {
  const client = yield* make({ address: ADDRESS, organization: "MyOrg1MSP", channel: "mychannel" })
  yield* Effect.catchTag(client.registerOrganization({ address: "" }), "Conflict", () => Effect.void)

  // Data: a manager knows how samples are opened. Its owner is the worker of every task that uses it.
  const manager = yield* client.registerDataManager({
    key: randomUUID(),
    name: "tumours",
    opener: addressable("opener"),
    description: addressable("what this data is"),
    type: "images",
    newPermissions: everybody,
    logsPermission: everybody,
    metadata: new Map()
  })
  const sample = {
    key: randomUUID(),
    dataManagerKeys: [manager.key],
    testOnly: false,
    checksum: addressable("data").checksum
  }
  yield* client.registerDataSamples({ samples: [sample] })

  // A function: what goes in, what comes out. Its owner builds it, here in one go.
  const fn = yield* client.registerFunction({
    key: randomUUID(),
    name: "train",
    archive: addressable("source code"),
    description: addressable("what it does"),
    newPermissions: everybody,
    metadata: new Map(),
    inputs: new Map([
      ["opener", { kind: "ASSET_DATA_MANAGER", optional: false, multiple: false }],
      ["samples", { kind: "ASSET_DATA_SAMPLE", optional: false, multiple: true }],
      ["before", { kind: "ASSET_MODEL", optional: true, multiple: false }]
    ]),
    outputs: new Map([["model", { kind: "ASSET_MODEL", multiple: false }]])
  })
  yield* client.applyFunctionAction({ functionKey: fn.key, action: "FUNCTION_ACTION_BUILDING" })
  yield* client.applyFunctionAction({ functionKey: fn.key, action: "FUNCTION_ACTION_READY" })

  // A plan of two tasks: the second goes on with the model of the first.
  const plan = yield* client.registerPlan({ key: randomUUID(), name: "a plan", tag: "", metadata: new Map() })
  const task = (key: string, parent?: string) => ({
    key,
    functionKey: fn.key,
    computePlanKey: plan.key,
    worker: "", // the data manager's owner
    metadata: new Map(),
    inputs: [
      { identifier: "opener", ref: { $case: "assetKey" as const, value: manager.key } },
      { identifier: "samples", ref: { $case: "assetKey" as const, value: sample.key } },
      ...(parent === undefined
        ? []
        : [
            {
              identifier: "before",
              ref: { $case: "parentTaskOutput" as const, value: { parentTaskKey: parent, outputIdentifier: "model" } }
            }
          ])
    ],
    outputs: new Map([["model", kept]])
  })
  const first = randomUUID()
  yield* client.registerTasks({ tasks: [task(first), task(randomUUID(), first)] })

  const { outcome } = yield* client.waitForPlan(plan.key)
  console.log(`the plan is ${outcome}`)
})

await Effect.runPromise(Effect.scoped(program))
