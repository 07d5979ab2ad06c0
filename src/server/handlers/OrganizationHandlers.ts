/** OrganizationService. */
import * as Effect from "effect/Effect"
import { OrganizationServiceDefinition } from "../../layers/wire/generated/organization.ts"
import * as Messages from "../../layers/wire/Messages.ts"
import { Organizations } from "../../services/Organizations.ts"
import { read, service, write } from "../Rpc.ts"

export const organizationHandlers = Effect.map(Organizations, (organizations) =>
  service(OrganizationServiceDefinition, {
    registerOrganization: write((request) => Effect.map(organizations.register(request), Messages.organization)),
    getAllOrganizations: read(() =>
      Effect.map(organizations.all, (all) => ({ organizations: all.map(Messages.organization) }))
    )
  })
)
