/** Compute plans: what compute tasks belong to. */
import * as Schema from "effect/Schema"
import { Key, KeyInput, OrganizationId } from "./Key.ts"
import { Metadata, MetadataInput, Name, Tag } from "./Text.ts"
import { Timestamp } from "./Timestamp.ts"
import * as Validation from "./Validation.ts"

export const ComputePlan = Schema.Struct({
  key: Key,
  owner: OrganizationId,
  creationDate: Timestamp,
  tag: Schema.String,
  name: Schema.String,
  metadata: Metadata,
  /** Set when the plan was cancelled. */
  cancelationDate: Schema.optionalKey(Timestamp),
  /** Set when a task of the plan failed first. Not shown to clients on a plan that was cancelled. */
  failureDate: Schema.optionalKey(Timestamp)
})
export interface ComputePlan extends Schema.Schema.Type<typeof ComputePlan> {}

/** Cancelled or failed. It still takes tasks, and theirs go on. */
export const isTerminated = (plan: ComputePlan): boolean =>
  plan.cancelationDate !== undefined || plan.failureDate !== undefined

export const NewComputePlan = Schema.Struct({ key: KeyInput, tag: Tag, name: Name, metadata: MetadataInput })
export interface NewComputePlan extends Schema.Schema.Type<typeof NewComputePlan> {}

/** A registration as a client sends it. */
export type NewComputePlanMessage = typeof NewComputePlan.Encoded

/** Checks a registration (behaviour.md, section 2). */
export const validateNew = Validation.make("computeplan", NewComputePlan)

export const ComputePlanUpdate = Schema.Struct({ key: KeyInput, name: Name })
export interface ComputePlanUpdate extends Schema.Schema.Type<typeof ComputePlanUpdate> {}

/** An update as a client sends it. */
export type ComputePlanUpdateMessage = typeof ComputePlanUpdate.Encoded

/** Checks an update: the name is what changes. */
export const validateUpdate = Validation.make("computeplan", ComputePlanUpdate)
