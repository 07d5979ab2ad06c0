/** Which organizations may use which channels. Ids and names are compared with their letter case. */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { ChannelName, OrganizationId } from "../schema/Key.ts"
import { PermissionDenied } from "../schema/OrchestratorError.ts"

/** Channels with their organizations. */
export type ChannelMap = ReadonlyMap<string, ReadonlyArray<string>>

export class Channels extends Context.Service<
  Channels,
  {
    /** Lets an organization into a channel of its own, else OE0102. */
    readonly authorize: (organization: OrganizationId, channel: ChannelName) => Effect.Effect<void, PermissionDenied>
  }
>()("orchestrator/services/Channels") {
  static readonly layer = (channels: ChannelMap): Layer.Layer<Channels> => {
    const known = new Set([...channels.values()].flat())
    return Layer.succeed(
      Channels,
      Channels.of({
        authorize: (organization, channel) => {
          if (!known.has(organization)) {
            return Effect.fail(new PermissionDenied({ message: `organization "${organization}" is unknown` }))
          }
          return channels.get(channel)?.includes(organization) === true
            ? Effect.void
            : Effect.fail(
                new PermissionDenied({
                  message: `organization "${organization}" has not access to channel "${channel}"`
                })
              )
        }
      })
    )
  }
}
