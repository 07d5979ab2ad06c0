/** Permissions as services give them: what a request asks for, held against the organizations of the channel. */
import * as Effect from "effect/Effect"
import type { OrganizationId } from "../schema/Key.ts"
import { BadRequest } from "../schema/OrchestratorError.ts"
import type { Organization } from "../schema/Organization.ts"
import * as Permission from "../schema/Permission.ts"

/** Gives permissions to organizations that are registered; clients match on the text of the refusal. */
export const grants = (organizations: ReadonlyArray<Organization>, owner: OrganizationId) => {
  const registered = new Set(organizations.map((organization) => organization.id))
  return {
    isRegistered: (id: OrganizationId): boolean => registered.has(id),
    /** OE0003 when an id of a request that is not public is unknown. */
    grant: (asked: Permission.NewPermissions): Effect.Effect<Permission.Permission, BadRequest> => {
      const granted = Permission.grant(asked, owner, (id) => registered.has(id))
      return granted === undefined
        ? Effect.fail(new BadRequest({ message: "invalid permission input values" }))
        : Effect.succeed(granted)
    }
  }
}
