/** The port of stored models, and so of what a task's outputs of kind MODEL hold. */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type * as Option from "effect/Option"
import type { ChannelName, Key } from "../../schema/Key.ts"
import type { Model } from "../../schema/Model.ts"
import type { ReadError } from "./StoreError.ts"
import type { UnitOfWork } from "./UnitOfWork.ts"

/** A model with the output of its task that it was registered for. */
export interface OutputModel {
  readonly model: Model
  readonly outputIdentifier: string
}

/** Models, in the order of their registration for a task. A key is used once over all channels. */
export class ModelStore extends Context.Service<
  ModelStore,
  {
    /** The model with this key, none when the channel has no such model. */
    readonly find: (channel: ChannelName, key: Key) => Effect.Effect<Option.Option<Model>, ReadError>
    /** Those that exist, in no order. */
    readonly many: (channel: ChannelName, keys: ReadonlyArray<Key>) => Effect.Effect<ReadonlyArray<Model>, ReadError>
    /** The models of these tasks, disabled ones included: of one task in the order of their registration. */
    readonly ofTasks: (
      channel: ChannelName,
      taskKeys: ReadonlyArray<Key>
    ) => Effect.Effect<ReadonlyArray<OutputModel>, ReadError>
    /** Which of these keys are in use, in whatever channel. */
    readonly taken: (keys: ReadonlyArray<Key>) => Effect.Effect<ReadonlySet<Key>, ReadError>
    /**
     * Models of one task that this transaction holds locked, in their order, after those that it has. Conflict at the
     * commit when a key is in use, in whatever channel.
     */
    readonly insert: (
      channel: ChannelName,
      models: ReadonlyArray<OutputModel>
    ) => Effect.Effect<void, never, UnitOfWork>
    /** Takes the addresses from models of a task that this transaction holds locked. */
    readonly disable: (channel: ChannelName, keys: ReadonlyArray<Key>) => Effect.Effect<void, never, UnitOfWork>
  }
>()("orchestrator/services/store/ModelStore") {}
