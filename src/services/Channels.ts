/** Which organizations may use which channels. Ids and names are compared with their letter case. */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import * as SubscriptionRef from "effect/SubscriptionRef"
import type { ChannelName, OrganizationId } from "../schema/Key.ts"
import { PermissionDenied } from "../schema/OrchestratorError.ts"

/** Channels with their organizations. */
export type ChannelMap = ReadonlyMap<string, ReadonlyArray<string>>

/** Who may use which channel. */
export class Channels extends Context.Service<
  Channels,
  {
    /** Lets an organization into a channel of its own, else OE0102. */
    readonly authorize: (organization: OrganizationId, channel: ChannelName) => Effect.Effect<void, PermissionDenied>
    /** Fails once the organization has lost the channel. */
    readonly lost: (organization: OrganizationId, channel: ChannelName) => Effect.Effect<never, PermissionDenied>
  }
>()("orchestrator/services/Channels") {
  /** Channels that may change while the server runs. */
  static readonly layerFrom = (channels: SubscriptionRef.SubscriptionRef<ChannelMap>): Layer.Layer<Channels> => {
    const authorize = (organization: OrganizationId, channel: ChannelName) =>
      Effect.flatMap(SubscriptionRef.get(channels), (current) => check(current, organization, channel))
    return Layer.succeed(
      Channels,
      Channels.of({
        authorize,
        lost: (organization, channel) =>
          Effect.andThen(
            Stream.runForEach(SubscriptionRef.changes(channels), (current) => check(current, organization, channel)),
            Effect.never
          )
      })
    )
  }

  /** Channels that stay as they are. */
  static readonly layer = (channels: ChannelMap): Layer.Layer<Channels> =>
    Layer.unwrap(Effect.map(SubscriptionRef.make(channels), Channels.layerFrom))
}

const check = (
  channels: ChannelMap,
  organization: OrganizationId,
  channel: ChannelName
): Effect.Effect<void, PermissionDenied> => {
  if (channels.get(channel)?.includes(organization) === true) return Effect.void
  for (const organizations of channels.values()) {
    if (organizations.includes(organization)) {
      return Effect.fail(
        new PermissionDenied({ message: `organization "${organization}" has not access to channel "${channel}"` })
      )
    }
  }
  return Effect.fail(new PermissionDenied({ message: `organization "${organization}" is unknown` }))
}
