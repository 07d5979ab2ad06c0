/** DatasetService. */
import * as Effect from "effect/Effect"
import { DatasetServiceDefinition } from "../../layers/wire/generated/dataset.ts"
import * as Messages from "../../layers/wire/Messages.ts"
import { DataManagers } from "../../services/DataManagers.ts"
import { read, service } from "../Rpc.ts"

export const datasetHandlers = Effect.map(DataManagers, (managers) =>
  service(DatasetServiceDefinition, {
    getDataset: read((request) =>
      Effect.map(managers.getDataset(request.key), ({ dataManager, dataSampleKeys }) => ({
        dataManager: Messages.dataManager(dataManager),
        dataSampleKeys: [...dataSampleKeys]
      }))
    )
  })
)
