/** DataManagerService. */
import * as Effect from "effect/Effect"
import { DataManager, DataManagerServiceDefinition } from "../../layers/wire/generated/datamanager.ts"
import * as Messages from "../../layers/wire/Messages.ts"
import { DataManagers } from "../../services/DataManagers.ts"
import { assetQuery } from "../AssetQuery.ts"
import { read, service, write } from "../Rpc.ts"

export const dataManagerHandlers = Effect.map(DataManagers, (managers) =>
  service(DataManagerServiceDefinition, {
    registerDataManager: write((request) => Effect.map(managers.register(request), Messages.dataManager)),
    getDataManager: read((request) => Effect.map(managers.get(request.key), Messages.dataManager)),
    queryDataManagers: assetQuery("QueryDataManagers", {
      page: (_request, page) => managers.query(page),
      encode: (manager) => DataManager.encode(Messages.dataManager(manager)).finish()
    }),
    updateDataManager: write((request) => Effect.as(managers.update(request), {}))
  })
)
