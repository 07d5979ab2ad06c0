/** ModelService. */
import * as Effect from "effect/Effect"
import { ModelServiceDefinition } from "../../layers/wire/generated/model.ts"
import * as Messages from "../../layers/wire/Messages.ts"
import { Models } from "../../services/Models.ts"
import { read, service, write } from "../Rpc.ts"

export const modelHandlers = Effect.map(Models, (models) =>
  service(ModelServiceDefinition, {
    registerModel: write((request) => Effect.map(models.registerOne(request), Messages.model)),
    registerModels: write((request) =>
      Effect.map(models.register(request.models), (registered) => ({ models: registered.map(Messages.model) }))
    ),
    getModel: read((request) => Effect.map(models.get(request.key), Messages.model)),
    getComputeTaskOutputModels: read((request) =>
      Effect.map(models.ofTask(request.computeTaskKey), (found) => ({ models: found.map(Messages.model) }))
    )
  })
)
