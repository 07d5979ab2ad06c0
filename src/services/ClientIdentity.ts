/** The port that tells whether a client is the organization that it says it is. */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { OrganizationId } from "../schema/Key.ts"
import type { PermissionDenied } from "../schema/OrchestratorError.ts"

/** The certificate that a client has shown, and that TLS trusts. */
export interface ClientCertificate {
  /** DER. */
  readonly raw: Uint8Array
  /** The organizations (O) of its subject. */
  readonly organizations: ReadonlyArray<string>
}

/** Whether a client is who it says it is. */
export class ClientIdentity extends Context.Service<
  ClientIdentity,
  {
    /** OE0102 when the certificate, if there is one, does not show that the client is this organization. */
    readonly verify: (
      claimed: OrganizationId,
      certificate: ClientCertificate | undefined
    ) => Effect.Effect<void, PermissionDenied>
  }
>()("orchestrator/services/ClientIdentity") {
  /** Everybody is believed. */
  static readonly layerTrusting: Layer.Layer<ClientIdentity> = Layer.succeed(
    ClientIdentity,
    ClientIdentity.of({ verify: () => Effect.void })
  )
}
