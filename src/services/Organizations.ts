/** Organizations (behaviour.md, section 4): each registers itself, once for each channel. */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Event from "../schema/Event.ts"
import { Conflict, type InvalidAsset, type PermissionDenied } from "../schema/OrchestratorError.ts"
import { type NewOrganization, type Organization, validateNew } from "../schema/Organization.ts"
import { RequestContext } from "./RequestContext.ts"
import { OrganizationStore } from "./store/OrganizationStore.ts"
import type { ReadError } from "./store/StoreError.ts"
import { emitEvents, readTogether, type UnitOfWork } from "./store/UnitOfWork.ts"

/** The members of a channel (behaviour.md, section 4). */
export class Organizations extends Context.Service<
  Organizations,
  {
    /**
     * Registers the requester itself in its channel (behaviour.md, section 4, organization). Conflict when it is there.
     * PermissionDenied is for a policy in a Layer around this service.
     */
    readonly register: (
      message: NewOrganization
    ) => Effect.Effect<
      Organization,
      InvalidAsset | Conflict | PermissionDenied | ReadError,
      RequestContext | UnitOfWork
    >
    /** All of the channel, oldest first. */
    readonly all: Effect.Effect<ReadonlyArray<Organization>, ReadError, RequestContext>
  }
>()("orchestrator/services/Organizations") {
  static readonly layer = Layer.effect(
    Organizations,
    Effect.gen(function* () {
      const store = yield* OrganizationStore

      const register = Effect.fnUntraced(function* (message: NewOrganization) {
        const { channel, requester } = yield* RequestContext
        const { address } = yield* validateNew(message)
        const { organizations, time } = yield* readTogether({ organizations: store.all(channel) })
        if (organizations.some((one) => one.id === requester)) return yield* Conflict.exists("organization", requester)
        const organization: Organization = { id: requester, creationDate: time, address }
        yield* store.insert(channel, organization)
        yield* emitEvents([Event.created({ kind: "ASSET_ORGANIZATION", asset: organization })])
        return organization
      })

      const all = Effect.flatMap(RequestContext, ({ channel }) => store.all(channel))

      return Organizations.of({ register, all })
    })
  )
}
