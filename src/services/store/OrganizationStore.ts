/** The port of stored organizations. */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type { ChannelName } from "../../schema/Key.ts"
import type { Organization } from "../../schema/Organization.ts"
import type { ReadError } from "./StoreError.ts"
import type { UnitOfWork } from "./UnitOfWork.ts"

/** Organizations, registered in each channel apart. */
export class OrganizationStore extends Context.Service<
  OrganizationStore,
  {
    /** All of the channel, by creation date, then id. */
    readonly all: (channel: ChannelName) => Effect.Effect<ReadonlyArray<Organization>, ReadError>
    /** Conflict at the commit when the channel has this id. */
    readonly insert: (channel: ChannelName, organization: Organization) => Effect.Effect<void, never, UnitOfWork>
  }
>()("orchestrator/services/store/OrganizationStore") {}
