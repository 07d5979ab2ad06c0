/**
 * What the backend of one organization does: it registers the organization and its data, then follows the events of the
 * channel. They tell it everything that is its to do; it asks for nothing again and again.
 */
import { randomUUID } from "node:crypto"
import * as Effect from "effect/Effect"
import { identity } from "effect/Function"
import * as Queue from "effect/Queue"
import * as Stream from "effect/Stream"
import { connect, type OrchestratorClient } from "../../src/client/Client.ts"
import type { TlsOptions } from "../../src/client/ClientOptions.ts"
import { type ComputeTask, ComputeTaskStatus } from "../../src/layers/wire/generated/computetask.ts"
import { type Event, EventKind } from "../../src/layers/wire/generated/event.ts"
import * as Builder from "./Builder.ts"
import * as Executor from "./Executor.ts"
import { type Dataset, only, type Plan } from "./Plan.ts"
import * as Samples from "./Samples.ts"
import { Scheduling } from "./Scheduling.ts"
import { Storage } from "./Storage.ts"
import * as Transient from "./Transient.ts"

export interface Organization {
  readonly id: string
  readonly client: OrchestratorClient
}

/** Where the orchestrator is, and how an organization gets to it. */
export interface Network {
  readonly address: string
  readonly channel: string
  /** Undefined without TLS. */
  readonly tls: (organization: string) => TlsOptions | undefined
}

/** Connects, soon or not at all, and makes the organization known in the channel: it may be from an earlier run. */
export const join = Effect.fnUntraced(function* ({ address, channel, tls: tlsOf }: Network, id: string) {
  const tls = tlsOf(id)
  const client = yield* connect({ address, channel, organization: id, ...(tls === undefined ? {} : { tls }) })
  yield* client.queryVersion({}, { timeout: "5 seconds" })
  const registration = client.registerOrganization({ address: `http://${id.toLowerCase()}.example` })
  yield* Effect.catchTag(registration, "Conflict", () => Effect.void)
  const organization: Organization = { id, client }
  return organization
})

const trainingSamples = 3

/** Makes data samples, keeps them, and registers them under a data manager that the other organizations may use. */
export const shareData = Effect.fnUntraced(function* (
  { client, id }: Organization,
  options: { readonly others: ReadonlyArray<string>; readonly number: number; readonly seed: number }
) {
  const { save } = yield* Storage
  const manager = randomUUID()
  yield* client.registerDataManager({
    key: manager,
    name: `Two classes at ${id}`,
    newPermissions: only(...options.others),
    description: yield* save(id, `data-managers/${manager}/description.md`, "# Two classes\n\nFive features.\n"),
    opener: yield* save(
      id,
      `data-managers/${manager}/opener.txt`,
      "A data sample is a JSON file with a list of rows.\n"
    ),
    type: "",
    logsPermission: only(...options.others),
    metadata: new Map()
  })

  const samples = yield* Effect.forEach(
    Samples.generate({ seed: options.seed, organization: options.number, samples: trainingSamples + 1, size: 100 }),
    Effect.fnUntraced(function* (rows) {
      const key = randomUUID()
      const { checksum } = yield* save(id, `data-samples/${key}.json`, JSON.stringify(rows))
      return { key, dataManagerKeys: [manager], testOnly: false, checksum }
    })
  )
  yield* client.registerDataSamples({ samples })

  const keys = samples.map(({ key }) => key)
  const dataset: Dataset = {
    organization: id,
    manager,
    training: keys.slice(0, trainingSamples),
    testing: keys.slice(trainingSamples)
  }
  return dataset
})

/**
 * Builds, executes and tidies up what the plan asks of this organization, for ever. One thing is built and one executed
 * at a time. `since` is an event from before the plan was registered; what older events say is of no concern.
 */
export const work = Effect.fnUntraced(function* (organization: Organization, plan: Plan, since: string) {
  const { client, id } = organization
  const storage = yield* Storage
  const scheduling = yield* Scheduling
  const unneeded = Transient.tracker(id)
  const functions = new Set(Object.values(plan.functions))
  const builds = yield* Queue.unbounded<ReturnType<typeof Builder.build>>()
  const slots = yield* Queue.unbounded<ReturnType<typeof Executor.execute>>()

  const onTask = Effect.fnUntraced(function* (task: ComputeTask) {
    if (task.worker === id) {
      scheduling.see(task)
      const mayStart = task.status === ComputeTaskStatus.STATUS_WAITING_FOR_EXECUTOR_SLOT
      if (mayStart) yield* Queue.offer(slots, Executor.execute(organization, task))
    }
    for (const output of unneeded(task)) yield* Queue.offer(slots, Executor.disable(organization, output))
  })

  const onEvent = Effect.fnUntraced(function* (event: Event) {
    switch (event.asset?.$case) {
      case "function": {
        const fn = event.asset.value
        const isNew = event.eventKind === EventKind.EVENT_ASSET_CREATED
        if (isNew && fn.owner === id && functions.has(fn.key))
          yield* Queue.offer(builds, Builder.build(organization, fn))
        break
      }
      case "computeTask":
        if (event.asset.value.computePlanKey === plan.key) yield* onTask(event.asset.value)
        break
      case "model": {
        const { key, owner } = event.asset.value
        const isDisabled = event.eventKind === EventKind.EVENT_ASSET_DISABLED
        if (isDisabled && owner === id) yield* storage.remove(id, Executor.pathOfModel(key))
        break
      }
    }
  })

  yield* Effect.all(
    [
      Stream.runForEach(client.events(since), onEvent),
      Stream.runForEach(Stream.fromQueue(builds), identity),
      Stream.runForEach(Stream.fromQueue(slots), identity)
    ],
    { concurrency: "unbounded", discard: true }
  )
})
