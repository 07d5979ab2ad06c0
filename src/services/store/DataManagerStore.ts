/** The port of stored data managers. */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type * as Option from "effect/Option"
import type { DataManager } from "../../schema/DataManager.ts"
import type { Dataset } from "../../schema/Dataset.ts"
import type { ChannelName, Key } from "../../schema/Key.ts"
import type { AssetCursor, Page, PageRequest } from "../../schema/Pagination.ts"
import type { ReadError } from "./StoreError.ts"
import type { UnitOfWork } from "./UnitOfWork.ts"

/** Data managers. A key is used once over all channels. */
export class DataManagerStore extends Context.Service<
  DataManagerStore,
  {
    /** The manager with this key, none when the channel has no such manager. */
    readonly find: (channel: ChannelName, key: Key) => Effect.Effect<Option.Option<DataManager>, ReadError>
    /** The manager with the keys of its samples, by their creation date, then key: one consistent view. */
    readonly findDataset: (channel: ChannelName, key: Key) => Effect.Effect<Option.Option<Dataset>, ReadError>
    /** Those that exist, in no order. */
    readonly many: (
      channel: ChannelName,
      keys: ReadonlyArray<Key>
    ) => Effect.Effect<ReadonlyArray<DataManager>, ReadError>
    /** Like `find`, held until the end of the transaction. */
    readonly lock: (channel: ChannelName, key: Key) => Effect.Effect<Option.Option<DataManager>, ReadError, UnitOfWork>
    /** Whether this key is in use, in whatever channel. */
    readonly isTaken: (key: Key) => Effect.Effect<boolean, ReadError>
    /** By creation date, then key. */
    readonly page: (
      channel: ChannelName,
      request: PageRequest<AssetCursor>
    ) => Effect.Effect<Page<DataManager>, ReadError>
    /** Stores a new manager at the end of the transaction. Conflict at the commit when its key is in use, in whatever channel. */
    readonly insert: (channel: ChannelName, manager: DataManager) => Effect.Effect<void, never, UnitOfWork>
    /** Stores the name of a manager that this transaction holds locked. */
    readonly update: (channel: ChannelName, manager: DataManager) => Effect.Effect<void, never, UnitOfWork>
  }
>()("orchestrator/services/store/DataManagerStore") {}
