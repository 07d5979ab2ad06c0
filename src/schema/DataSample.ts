/** Data samples: checksums of data that stays where it is, each under any number of data managers of its owner. */
import * as Schema from "effect/Schema"
import { Checksum } from "./Addressable.ts"
import { Key, KeyInput, OrganizationId } from "./Key.ts"
import { Timestamp } from "./Timestamp.ts"
import * as Validation from "./Validation.ts"

export const DataSample = Schema.Struct({
  key: Key,
  /** In the order in which they were named, each once. */
  dataManagerKeys: Schema.Array(Key),
  owner: OrganizationId,
  checksum: Schema.String,
  creationDate: Timestamp
})
export interface DataSample extends Schema.Schema.Type<typeof DataSample> {}

export const NewDataSample = Schema.Struct({
  key: KeyInput,
  dataManagerKeys: Schema.Array(KeyInput),
  checksum: Checksum
})
export interface NewDataSample extends Schema.Schema.Type<typeof NewDataSample> {}

/** A sample as a client sends it, not yet looked at. */
export type NewDataSampleMessage = typeof NewDataSample.Encoded

/** Checks the sample at this place of a batch, and names fields by it: `samples[1].checksum`. */
export const validateNew = Validation.makeItem("datasample", "samples", NewDataSample)

export const DataSamplesUpdate = Schema.Struct({
  keys: Schema.Array(KeyInput),
  dataManagerKeys: Schema.Array(KeyInput)
})
export interface DataSamplesUpdate extends Schema.Schema.Type<typeof DataSamplesUpdate> {}

/** An update as a client sends it. */
export type DataSamplesUpdateMessage = typeof DataSamplesUpdate.Encoded

/** Checks an update: it names at least one sample. */
export const validateUpdate = Validation.make("datasample", DataSamplesUpdate, (message) =>
  message.keys.length === 0 ? [{ field: "keys", description: "cannot be blank" }] : []
)
