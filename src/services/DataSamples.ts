/** Data samples (behaviour.md, section 4). */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type { DataManager } from "../schema/DataManager.ts"
import {
  type DataSample,
  type DataSamplesUpdateMessage,
  type NewDataSampleMessage,
  validateNew,
  validateUpdate
} from "../schema/DataSample.ts"
import * as Event from "../schema/Event.ts"
import { type Key, type OrganizationId, parse } from "../schema/Key.ts"
import { Conflict, type InvalidAsset, NotFound, PermissionDenied } from "../schema/OrchestratorError.ts"
import type { AssetCursor, Page, PageRequest } from "../schema/Pagination.ts"
import { byKey, orNotFound, requiredKey } from "./Lookup.ts"
import { RequestContext } from "./RequestContext.ts"
import { DataManagerStore } from "./store/DataManagerStore.ts"
import { DataSampleStore } from "./store/DataSampleStore.ts"
import type { ReadError } from "./store/StoreError.ts"
import { emitEvents, readTogether, type UnitOfWork } from "./store/UnitOfWork.ts"

/** Data samples, registered and updated in batches (behaviour.md, section 4). */
export class DataSamples extends Context.Service<
  DataSamples,
  {
    /** All of a batch, or none; the first sample that breaks a rule decides. */
    readonly register: (
      messages: ReadonlyArray<NewDataSampleMessage>
    ) => Effect.Effect<
      ReadonlyArray<DataSample>,
      InvalidAsset | NotFound | PermissionDenied | Conflict | ReadError,
      RequestContext | UnitOfWork
    >
    /** Adds managers to samples, behind those that they have. */
    readonly update: (
      message: DataSamplesUpdateMessage
    ) => Effect.Effect<void, InvalidAsset | NotFound | PermissionDenied | ReadError, RequestContext | UnitOfWork>
    /** InvalidAsset for a text that is no key, NotFound for a sample that the channel does not have. */
    readonly get: (key: string) => Effect.Effect<DataSample, InvalidAsset | NotFound | ReadError, RequestContext>
    /** By creation date, then key. `keys` limits the answer to these; empty does not. */
    readonly query: (
      filter: { readonly keys: ReadonlyArray<string> },
      request: PageRequest<AssetCursor>
    ) => Effect.Effect<Page<DataSample>, InvalidAsset | ReadError, RequestContext>
  }
>()("orchestrator/services/DataSamples") {
  static readonly layer = Layer.effect(
    DataSamples,
    Effect.gen(function* () {
      const managers = yield* DataManagerStore
      const store = yield* DataSampleStore

      const register = Effect.fnUntraced(function* (messages: ReadonlyArray<NewDataSampleMessage>) {
        if (messages.length === 0) return []
        const { channel, requester } = yield* RequestContext
        // All keys that are ones, so that one round trip answers for every sample; each is validated in its turn.
        const found = yield* readTogether({
          managers: managers.many(channel, uniqueKeys(messages.flatMap((message) => message.dataManagerKeys))),
          taken: store.taken(uniqueKeys(messages.map((message) => message.key)))
        })
        const managersByKey = byKey(found.managers)
        const samples = new Map<Key, DataSample>()
        for (const [index, message] of messages.entries()) {
          const { checksum, dataManagerKeys, key } = yield* validateNew(message, index)
          yield* checkManagers(dataManagerKeys, managersByKey, requester)
          if (found.taken.has(key) || samples.has(key)) return yield* Conflict.exists("datasample", key)
          samples.set(key, {
            key,
            checksum,
            dataManagerKeys: [...new Set(dataManagerKeys)],
            owner: requester,
            creationDate: found.time
          })
        }
        const registered = [...samples.values()]
        yield* store.insert(channel, registered)
        yield* emitEvents(registered.map((asset) => Event.created({ kind: "ASSET_DATA_SAMPLE", asset })))
        return registered
      })

      const update = Effect.fnUntraced(function* (message: DataSamplesUpdateMessage) {
        const { channel, requester } = yield* RequestContext
        const { dataManagerKeys, keys } = yield* validateUpdate(message)
        const found = yield* readTogether({
          samples: store.lock(channel, [...new Set(keys)]),
          managers: managers.many(channel, [...new Set(dataManagerKeys)])
        })
        yield* checkManagers(dataManagerKeys, byKey(found.managers), requester)
        const samples = byKey(found.samples)
        const updated = new Map<Key, DataSample>()
        for (const key of keys) {
          const sample = yield* orNotFound("datasample", key, Option.fromUndefinedOr(samples.get(key)))
          if (sample.owner !== requester) {
            return yield* new PermissionDenied({ message: "requester does not own the datasample" })
          }
          updated.set(key, {
            ...sample,
            dataManagerKeys: [...new Set([...sample.dataManagerKeys, ...dataManagerKeys])]
          })
        }
        yield* store.update(channel, [...updated.values()])
        yield* emitEvents(
          keys.map((key) => Event.updated({ kind: "ASSET_DATA_SAMPLE", asset: updated.get(key) as DataSample }))
        )
      })

      const get = Effect.fnUntraced(function* (text: string) {
        const { channel } = yield* RequestContext
        const key = yield* requiredKey("datasample", "key", text)
        return yield* orNotFound("datasample", key, yield* store.find(channel, key))
      })

      const query = Effect.fnUntraced(function* (
        filter: { readonly keys: ReadonlyArray<string> },
        request: PageRequest<AssetCursor>
      ) {
        const { channel } = yield* RequestContext
        if (filter.keys.length === 0) return yield* store.page(channel, {}, request)
        const keys = new Set<Key>()
        for (const [index, text] of filter.keys.entries()) {
          keys.add(yield* requiredKey("datasample", `filter.keys[${index}]`, text))
        }
        return yield* store.page(channel, { keys: [...keys] }, request)
      })

      return DataSamples.of({ register, update, get, query })
    })
  )
}

const uniqueKeys = (texts: ReadonlyArray<string>): ReadonlyArray<Key> => {
  const keys = new Set<Key>()
  for (const text of texts) Option.map(parse(text), (key) => keys.add(key))
  return [...keys]
}

/** Every manager exists and belongs to the requester; the first that does not decides. */
const checkManagers = (
  keys: ReadonlyArray<Key>,
  managers: ReadonlyMap<Key, DataManager>,
  requester: OrganizationId
): Effect.Effect<void, NotFound | PermissionDenied> => {
  for (const key of keys) {
    const manager = managers.get(key)
    if (manager === undefined) return Effect.fail(new NotFound({ asset: "datamanager", key }))
    if (manager.owner !== requester) {
      return Effect.fail(new PermissionDenied({ message: `requester does not own the datamanager "${key}"` }))
    }
  }
  return Effect.void
}
