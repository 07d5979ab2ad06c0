/** Data managers: how the samples of one organization are opened, and who may use them. */
import * as Schema from "effect/Schema"
import { Addressable, AddressableInput } from "./Addressable.ts"
import { Key, KeyInput, OrganizationId } from "./Key.ts"
import { NewPermissions, Permission, Permissions } from "./Permission.ts"
import { Metadata, MetadataInput, Name } from "./Text.ts"
import { Timestamp } from "./Timestamp.ts"
import * as Validation from "./Validation.ts"

export const DataManager = Schema.Struct({
  key: Key,
  name: Schema.String,
  owner: OrganizationId,
  permissions: Permissions,
  description: Addressable,
  opener: Addressable,
  creationDate: Timestamp,
  /** Who may read the logs of tasks on this data. */
  logsPermission: Permission,
  metadata: Metadata
})
export interface DataManager extends Schema.Schema.Type<typeof DataManager> {}

export const NewDataManager = Schema.Struct({
  key: KeyInput,
  name: Name,
  newPermissions: NewPermissions,
  description: AddressableInput,
  opener: AddressableInput,
  logsPermission: NewPermissions,
  metadata: MetadataInput
})
export interface NewDataManager extends Schema.Schema.Type<typeof NewDataManager> {}

/** A registration as a client sends it. */
export type NewDataManagerMessage = Validation.Message<typeof NewDataManager.Encoded>

/** Checks a registration (behaviour.md, section 2). */
export const validateNew = Validation.make("datamanager", NewDataManager)

export const DataManagerUpdate = Schema.Struct({ key: KeyInput, name: Name })
export interface DataManagerUpdate extends Schema.Schema.Type<typeof DataManagerUpdate> {}

/** An update as a client sends it. */
export type DataManagerUpdateMessage = typeof DataManagerUpdate.Encoded

/** Checks an update: the name is what changes. */
export const validateUpdate = Validation.make("datamanager", DataManagerUpdate)
