/** All services of the contract on one store: what a server, a test or another program composes with. */
import * as Layer from "effect/Layer"
import { ComputePlans } from "../services/ComputePlans.ts"
import { ComputeTasks } from "../services/ComputeTasks.ts"
import { DataManagers } from "../services/DataManagers.ts"
import { DataSamples } from "../services/DataSamples.ts"
import { EventHub, type EventHubOptions } from "../services/EventHub.ts"
import { Events } from "../services/Events.ts"
import { FailureReports } from "../services/FailureReports.ts"
import { Functions } from "../services/Functions.ts"
import { Info } from "../services/Info.ts"
import { Models } from "../services/Models.ts"
import { Organizations } from "../services/Organizations.ts"
import { Performances } from "../services/Performances.ts"
import { Profiling } from "../services/Profiling.ts"
import type { EventCodec } from "../services/store/EventCodec.ts"
import type { Store } from "../services/store/Store.ts"
import { CommittedEvents, Transaction, type TransactionOptions } from "../services/Transaction.ts"
import * as AppConfig from "./config/AppConfig.ts"
import { withDefaults } from "./config/Defaults.ts"
import * as ContractCodec from "./wire/EventCodec.ts"

export interface ServicesOptions extends TransactionOptions, EventHubOptions {
  /** What `QueryVersion` answers. */
  readonly version: string
}

/** What the variables of a configuration say of the services. */
export const optionsOf = (values: AppConfig.Values): Omit<ServicesOptions, "version"> => ({
  retryBudget: values.ORCHESTRATOR_TX_RETRY_BUDGET,
  maxEventSize: values.ORCHESTRATOR_GRPC_MAX_RESPONSE_SIZE,
  batchSize: values.ORCHESTRATOR_REPLAY_EVENTS_BATCH_SIZE,
  ring: { maxEvents: values.ORCHESTRATOR_EVENT_RING_SIZE, maxBytes: values.ORCHESTRATOR_EVENT_RING_BYTES }
})

/** What services have whose program says nothing else. */
const standard: ServicesOptions = { version: "", ...optionsOf(AppConfig.standard) }

/** The thirteen services, and what they share. */
export type All =
  | Organizations
  | Functions
  | DataManagers
  | DataSamples
  | ComputePlans
  | ComputeTasks
  | Models
  | Performances
  | FailureReports
  | Profiling
  | Info
  | Events
  | Transaction
  | EventHub
  | CommittedEvents
  | EventCodec

/** The services, the transactions that they run in, and the hub; a store is what they need. */
export const layer = (given: Partial<ServicesOptions> = {}): Layer.Layer<All, never, Store> => {
  const options = withDefaults(standard, given)
  const transactions = Transaction.layer(options)
  const hub = EventHub.layer(options)
  const assets = Layer.mergeAll(
    Organizations.layer,
    DataManagers.layer,
    DataSamples.layer,
    Models.layer,
    Performances.layer,
    Profiling.layer,
    Info.layer(options.version),
    Events.layer,
    FailureReports.layer.pipe(Layer.provideMerge(Layer.merge(Functions.layer, ComputeTasks.layer)))
  )
  return assets.pipe(
    Layer.provideMerge(ComputePlans.layer),
    Layer.provideMerge(Layer.merge(transactions, hub)),
    Layer.provideMerge(Layer.merge(CommittedEvents.layer, ContractCodec.layer))
  )
}
