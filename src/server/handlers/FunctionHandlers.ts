/** FunctionService. */
import * as Effect from "effect/Effect"
import { FunctionMessage, FunctionServiceDefinition } from "../../layers/wire/generated/function.ts"
import * as Messages from "../../layers/wire/Messages.ts"
import { Functions } from "../../services/Functions.ts"
import { assetQuery } from "../AssetQuery.ts"
import { read, service, write } from "../Rpc.ts"

export const functionHandlers = Effect.map(Functions, (functions) =>
  service(FunctionServiceDefinition, {
    registerFunction: write((request) => Effect.map(functions.register(request), Messages.fn)),
    getFunction: read((request) => Effect.map(functions.get(request.key), Messages.fn)),
    queryFunctions: assetQuery("QueryFunctions", {
      page: (request, page) => functions.query(request.filter ?? { computePlanKey: "" }, page),
      encode: (fn) => FunctionMessage.encode(Messages.fn(fn)).finish()
    }),
    updateFunction: write((request) => Effect.as(functions.update(request), {})),
    applyFunctionAction: write(({ action, functionKey }) => Effect.as(functions.applyAction(functionKey, action), {}))
  })
)
