/** Data managers and datasets (behaviour.md, section 4). */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import {
  type DataManager,
  type DataManagerUpdateMessage,
  type NewDataManagerMessage,
  validateNew,
  validateUpdate
} from "../schema/DataManager.ts"
import type { Dataset } from "../schema/Dataset.ts"
import * as Event from "../schema/Event.ts"
import {
  type BadRequest,
  Conflict,
  type InvalidAsset,
  type NotFound,
  PermissionDenied
} from "../schema/OrchestratorError.ts"
import type { AssetCursor, Page, PageRequest } from "../schema/Pagination.ts"
import * as Permission from "../schema/Permission.ts"
import { grants } from "./Grants.ts"
import { orNotFound, requiredKey } from "./Lookup.ts"
import { RequestContext } from "./RequestContext.ts"
import { DataManagerStore } from "./store/DataManagerStore.ts"
import { OrganizationStore } from "./store/OrganizationStore.ts"
import type { ReadError } from "./store/StoreError.ts"
import { emitEvents, readTogether, type UnitOfWork } from "./store/UnitOfWork.ts"

/** Data managers and datasets (behaviour.md, section 4). */
export class DataManagers extends Context.Service<
  DataManagers,
  {
    /**
     * Registers a manager of the requester (behaviour.md, section 4, data manager). BadRequest when permissions name an
     * organization that is not registered. PermissionDenied is for a policy in a Layer around this service.
     */
    readonly register: (
      message: NewDataManagerMessage
    ) => Effect.Effect<
      DataManager,
      InvalidAsset | Conflict | BadRequest | PermissionDenied | ReadError,
      RequestContext | UnitOfWork
    >
    /** InvalidAsset for a text that is no key, NotFound for a manager that the channel does not have. */
    readonly get: (key: string) => Effect.Effect<DataManager, InvalidAsset | NotFound | ReadError, RequestContext>
    /** The manager with the keys of its samples. */
    readonly getDataset: (key: string) => Effect.Effect<Dataset, InvalidAsset | NotFound | ReadError, RequestContext>
    /** By creation date, then key. */
    readonly query: (request: PageRequest<AssetCursor>) => Effect.Effect<Page<DataManager>, ReadError, RequestContext>
    /** Replaces the name; only the owner may. */
    readonly update: (
      message: DataManagerUpdateMessage
    ) => Effect.Effect<void, InvalidAsset | NotFound | PermissionDenied | ReadError, RequestContext | UnitOfWork>
  }
>()("orchestrator/services/DataManagers") {
  static readonly layer = Layer.effect(
    DataManagers,
    Effect.gen(function* () {
      const organizations = yield* OrganizationStore
      const store = yield* DataManagerStore

      const register = Effect.fnUntraced(function* (message: NewDataManagerMessage) {
        const { channel, requester } = yield* RequestContext
        const { logsPermission, newPermissions, ...rest } = yield* validateNew(message)
        const found = yield* readTogether({
          isTaken: store.isTaken(rest.key),
          organizations: organizations.all(channel)
        })
        if (found.isTaken) return yield* Conflict.exists("datamanager", rest.key)
        const { grant } = grants(found.organizations, requester)
        const manager: DataManager = {
          ...rest,
          owner: requester,
          creationDate: found.time,
          logsPermission: yield* grant(logsPermission),
          permissions: Permission.forBoth(yield* grant(newPermissions))
        }
        yield* store.insert(channel, manager)
        yield* emitEvents([Event.created({ kind: "ASSET_DATA_MANAGER", asset: manager })])
        return manager
      })

      const get = Effect.fnUntraced(function* (text: string) {
        const { channel } = yield* RequestContext
        const key = yield* requiredKey("datamanager", "key", text)
        return yield* orNotFound("datamanager", key, yield* store.find(channel, key))
      })

      const getDataset = Effect.fnUntraced(function* (text: string) {
        const { channel } = yield* RequestContext
        const key = yield* requiredKey("datamanager", "key", text)
        return yield* orNotFound("datamanager", key, yield* store.findDataset(channel, key))
      })

      const query = (request: PageRequest<AssetCursor>) =>
        Effect.flatMap(RequestContext, ({ channel }) => store.page(channel, request))

      const update = Effect.fnUntraced(function* (message: DataManagerUpdateMessage) {
        const { channel, requester } = yield* RequestContext
        const { key, name } = yield* validateUpdate(message)
        const found = yield* readTogether({ manager: store.lock(channel, key) })
        const manager = yield* orNotFound("datamanager", key, found.manager)
        if (manager.owner !== requester) {
          return yield* new PermissionDenied({ message: "requester does not own the data manager" })
        }
        const renamed: DataManager = { ...manager, name }
        yield* store.update(channel, renamed)
        yield* emitEvents([Event.updated({ kind: "ASSET_DATA_MANAGER", asset: renamed })])
      })

      return DataManagers.of({ register, get, getDataset, query, update })
    })
  )
}
