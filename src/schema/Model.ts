/** Models: what tasks produce and hand on. */
import * as Schema from "effect/Schema"
import { Addressable, AddressableInput } from "./Addressable.ts"
import { Key, KeyInput, OrganizationId } from "./Key.ts"
import { Permissions } from "./Permission.ts"
import { IdentifierReference } from "./Text.ts"
import { Timestamp } from "./Timestamp.ts"
import * as Validation from "./Validation.ts"

export const Model = Schema.Struct({
  key: Key,
  computeTaskKey: Key,
  /** Absent once the model is disabled. */
  address: Schema.optionalKey(Addressable),
  permissions: Permissions,
  owner: OrganizationId,
  creationDate: Timestamp
})
export interface Model extends Schema.Schema.Type<typeof Model> {}

/** Whether its output was disabled: nothing can use it any more. */
export const isDisabled = (model: Model): boolean => model.address === undefined

export const NewModel = Schema.Struct({
  key: KeyInput,
  computeTaskKey: KeyInput,
  computeTaskOutputIdentifier: IdentifierReference,
  address: AddressableInput
})
export interface NewModel extends Schema.Schema.Type<typeof NewModel> {}

/** A model as a client sends it, not yet looked at. */
export type NewModelMessage = Validation.Message<typeof NewModel.Encoded>

/** Checks the model at this place of a batch, and names fields by it: `models[0].address.checksum`. */
export const validateNew = Validation.makeItem("model", "models", NewModel)
