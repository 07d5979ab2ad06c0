/** The port of stored functions. */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type * as Option from "effect/Option"
import type { Function } from "../../schema/Function.ts"
import type { ChannelName, Key } from "../../schema/Key.ts"
import type { AssetCursor, Page, PageRequest } from "../../schema/Pagination.ts"
import type { ReadError } from "./StoreError.ts"
import type { UnitOfWork } from "./UnitOfWork.ts"

/** Functions that a task of this plan uses. */
export interface FunctionFilter {
  readonly computePlanKey?: Key
}

/** Functions. A key is used once over all channels. */
export class FunctionStore extends Context.Service<
  FunctionStore,
  {
    /** The function with this key, none when the channel has no such function. */
    readonly find: (channel: ChannelName, key: Key) => Effect.Effect<Option.Option<Function>, ReadError>
    /** The same, held until the end of the transaction: nobody else changes it, or registers tasks on it, meanwhile. */
    readonly lock: (channel: ChannelName, key: Key) => Effect.Effect<Option.Option<Function>, ReadError, UnitOfWork>
    /** Those that exist, in no order, kept as they are until the end of the transaction (others may share them). */
    readonly share: (
      channel: ChannelName,
      keys: ReadonlyArray<Key>
    ) => Effect.Effect<ReadonlyArray<Function>, ReadError, UnitOfWork>
    /** Whether this key is in use, in whatever channel. */
    readonly isTaken: (key: Key) => Effect.Effect<boolean, ReadError>
    /** By creation date, then key. */
    readonly page: (
      channel: ChannelName,
      filter: FunctionFilter,
      request: PageRequest<AssetCursor>
    ) => Effect.Effect<Page<Function>, ReadError>
    /** Stores a new function at the end of the transaction. Conflict at the commit when its key is in use, in whatever channel. */
    readonly insert: (channel: ChannelName, fn: Function) => Effect.Effect<void, never, UnitOfWork>
    /** Stores name, image and status of a function that this transaction holds locked. */
    readonly update: (channel: ChannelName, fn: Function) => Effect.Effect<void, never, UnitOfWork>
  }
>()("orchestrator/services/store/FunctionStore") {}
