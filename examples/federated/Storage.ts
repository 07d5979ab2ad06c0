/**
 * The file stores of the organizations, which the orchestrator only knows the addresses and checksums of: here, a
 * temporary folder with a folder for each. A file at `http://<organization>.example/<path>` is public to the others.
 */
import { createHash } from "node:crypto"
import { dirname, join } from "node:path"
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import type { Addressable } from "../../src/layers/wire/generated/common.ts"

export class StorageError extends Data.TaggedError("StorageError")<{ readonly message: string }> {}

const sha256 = (content: string) => createHash("sha256").update(content).digest("hex")

const host = (organization: string) => `${organization.toLowerCase()}.example`

const make = Effect.gen(function* () {
  const fs = yield* FileSystem.FileSystem
  const fails = Effect.mapError(({ message }: { readonly message: string }) => new StorageError({ message }))
  const root = yield* fs.makeTempDirectoryScoped({ prefix: "federated-example-" }).pipe(fails)

  const pathOf = (organization: string, path: string) => join(root, host(organization), path)

  return {
    /** Where a file of an organization is on its own disk. */
    pathOf,
    /** Writes a file of an organization. The answer is how the orchestrator wants to know it. */
    save: Effect.fnUntraced(function* (organization: string, path: string, content: string) {
      const file = pathOf(organization, path)
      yield* fs.makeDirectory(dirname(file), { recursive: true })
      yield* fs.writeFileString(file, content)
      const address: Addressable = {
        checksum: sha256(content),
        storageAddress: `http://${host(organization)}/${path}`
      }
      return address
    }, fails),
    /** Reads a file of one's own. */
    read: (organization: string, path: string) => fs.readFileString(pathOf(organization, path)).pipe(fails),
    /** Gets a file of any organization, and makes sure that it is the one which was registered. */
    download: Effect.fnUntraced(function* ({ checksum, storageAddress }: Addressable) {
      const { hostname, pathname } = new URL(storageAddress)
      const content = yield* fs.readFileString(join(root, hostname, pathname)).pipe(fails)
      if (sha256(content) === checksum) return content
      return yield* new StorageError({ message: `${storageAddress} is not the file that was registered` })
    }),
    remove: (organization: string, path: string) => fs.remove(pathOf(organization, path), { force: true }).pipe(fails)
  }
})

export class Storage extends Context.Service<Storage, Effect.Success<typeof make>>()("orchestrator/examples/Storage") {
  /** The folder is removed at the end. */
  static readonly layer = Layer.effect(Storage, make)
}
