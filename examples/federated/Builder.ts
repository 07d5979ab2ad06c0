/**
 * Builds a function: from the archive that it was registered with to an image that executors can run. A real builder
 * makes a container image; here the archive is a module, and so is the image.
 */
import * as Effect from "effect/Effect"
import { ErrorType, FailedAssetKind } from "../../src/layers/wire/generated/failure_report.ts"
import { FunctionAction, type FunctionMessage } from "../../src/layers/wire/generated/function.ts"
import type { Organization } from "./Organization.ts"
import * as Reports from "./Reports.ts"
import { Storage, StorageError } from "./Storage.ts"

/** The owner of a function builds it. The tasks that use it wait for that. */
export const build = Effect.fnUntraced(
  function* ({ client, id }: Organization, { archive, key, name }: FunctionMessage) {
    const storage = yield* Storage
    const apply = (action: FunctionAction) => client.applyFunctionAction({ functionKey: key, action })

    yield* apply(FunctionAction.FUNCTION_ACTION_BUILDING)
    const image = yield* Effect.gen(function* () {
      if (archive === undefined) return yield* new StorageError({ message: "there is no archive" })
      const module = yield* storage.download(archive)
      return yield* storage.save(id, `images/${key}.mts`, module)
    }).pipe(Reports.timed(client, key, "build_image"))
    yield* client.updateFunction({ key, name, image })
    yield* apply(FunctionAction.FUNCTION_ACTION_READY)
  },
  (building, organization, { key }) =>
    Effect.catchTag(building, "StorageError", (error) =>
      Reports.failure(organization, {
        assetKey: key,
        assetType: FailedAssetKind.FAILED_ASSET_FUNCTION,
        errorType: ErrorType.ERROR_TYPE_BUILD,
        log: error.message
      })
    )
)
