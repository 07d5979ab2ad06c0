/** Who calls, and in which channel: what every service knows of a call. */
import * as Context from "effect/Context"
import type { ChannelName, OrganizationId } from "../schema/Key.ts"

/** The caller of a service: provided by the middleware, or by whoever calls a service in process. */
export class RequestContext extends Context.Service<
  RequestContext,
  {
    /** The organization that calls: the owner of what it registers. */
    readonly requester: OrganizationId
    /** The channel of everything that the call reads and writes. */
    readonly channel: ChannelName
  }
>()("orchestrator/services/RequestContext") {}
