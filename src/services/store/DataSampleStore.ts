/** The port of stored data samples. */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type * as Option from "effect/Option"
import type { DataSample } from "../../schema/DataSample.ts"
import type { ChannelName, Key } from "../../schema/Key.ts"
import type { AssetCursor, Page, PageRequest } from "../../schema/Pagination.ts"
import type { ReadError } from "./StoreError.ts"
import type { UnitOfWork } from "./UnitOfWork.ts"

/** Samples of these keys; absent: all. Unknown and repeated keys are no error. */
export interface DataSampleFilter {
  readonly keys?: ReadonlyArray<Key>
}

/** Data samples, with the keys of their managers in the order given. A key is used once over all channels. */
export class DataSampleStore extends Context.Service<
  DataSampleStore,
  {
    /** The sample with this key, none when the channel has no such sample. */
    readonly find: (channel: ChannelName, key: Key) => Effect.Effect<Option.Option<DataSample>, ReadError>
    /** Those that exist, in no order. */
    readonly many: (
      channel: ChannelName,
      keys: ReadonlyArray<Key>
    ) => Effect.Effect<ReadonlyArray<DataSample>, ReadError>
    /** Like `many`, held until the end of the transaction; locked in the order of their keys. */
    readonly lock: (
      channel: ChannelName,
      keys: ReadonlyArray<Key>
    ) => Effect.Effect<ReadonlyArray<DataSample>, ReadError, UnitOfWork>
    /** Which of these keys are in use, in whatever channel. */
    readonly taken: (keys: ReadonlyArray<Key>) => Effect.Effect<ReadonlySet<Key>, ReadError>
    /** By creation date, then key. */
    readonly page: (
      channel: ChannelName,
      filter: DataSampleFilter,
      request: PageRequest<AssetCursor>
    ) => Effect.Effect<Page<DataSample>, ReadError>
    /**
     * Stores new samples at the end of the transaction. Conflict at the commit when a key is in use, in whatever channel,
     * or twice among them.
     */
    readonly insert: (
      channel: ChannelName,
      samples: ReadonlyArray<DataSample>
    ) => Effect.Effect<void, never, UnitOfWork>
    /** Stores the managers, in their order, of samples that this transaction holds locked. */
    readonly update: (
      channel: ChannelName,
      samples: ReadonlyArray<DataSample>
    ) => Effect.Effect<void, never, UnitOfWork>
  }
>()("orchestrator/services/store/DataSampleStore") {}
