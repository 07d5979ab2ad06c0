/** Organizations: registered once for each channel. */
import * as Schema from "effect/Schema"
import { OrganizationAddress } from "./Addressable.ts"
import { OrganizationId } from "./Key.ts"
import { Timestamp } from "./Timestamp.ts"
import * as Validation from "./Validation.ts"

/** `address` is empty, or the absolute URL of the organization's backend. */
export const Organization = Schema.Struct({ id: OrganizationId, creationDate: Timestamp, address: Schema.String })
export interface Organization extends Schema.Schema.Type<typeof Organization> {}

export const NewOrganization = Schema.Struct({ address: OrganizationAddress })
export interface NewOrganization extends Schema.Schema.Type<typeof NewOrganization> {}

/** Checks a registration (behaviour.md, section 2: organization address). */
export const validateNew = Validation.make("organization", NewOrganization)
