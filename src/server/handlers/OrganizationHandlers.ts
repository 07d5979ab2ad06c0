/** OrganizationService and InfoService. */
import * as Effect from "effect/Effect"
import { InfoServiceDefinition } from "../../layers/wire/generated/info.ts"
import { OrganizationServiceDefinition } from "../../layers/wire/generated/organization.ts"
import * as Messages from "../../layers/wire/Messages.ts"
import { Info } from "../../services/Info.ts"
import { Organizations } from "../../services/Organizations.ts"
import { plain, read, service, write } from "../Rpc.ts"

export const organizationHandlers = Effect.map(Organizations, (organizations) =>
  service(OrganizationServiceDefinition, {
    registerOrganization: write((request) => Effect.map(organizations.register(request), Messages.organization)),
    getAllOrganizations: read(() =>
      Effect.map(organizations.all, (all) => ({ organizations: all.map(Messages.organization) }))
    )
  })
)

export const infoHandlers = Effect.map(Info, ({ version }) =>
  service(InfoServiceDefinition, {
    queryVersion: plain(() => Effect.succeed({ orchestrator: version }))
  })
)
