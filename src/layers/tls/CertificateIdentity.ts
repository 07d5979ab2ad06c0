/**
 * Clients are who their certificates say they are (config.md, client identity): the claimed organization is one of the
 * subject's, and a CA of that organization's own folder has signed the certificate. Signatures and dates are verified,
 * key ids compared with nothing: any CA can write another's into a certificate.
 */
import { X509Certificate } from "node:crypto"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as SubscriptionRef from "effect/SubscriptionRef"
import { PermissionDenied } from "../../schema/OrchestratorError.ts"
import { type ClientCertificate, ClientIdentity } from "../../services/ClientIdentity.ts"
import type { CaCertificate, TlsFiles } from "./TlsFiles.ts"

const denied = (why: string): PermissionDenied => new PermissionDenied({ message: `invalid MSPID: ${why}` })

const isValidAt = (certificate: X509Certificate, millis: number): boolean =>
  certificate.validFromDate.getTime() <= millis && millis <= certificate.validToDate.getTime()

/** How many clients' certificates are remembered, with the CAs that have signed each; CAs are those of one reading. */
const maxRemembered = 1000

interface Known {
  readonly leaf: X509Certificate
  /** More than one where a CA was renewed with its key. */
  readonly signers: ReadonlyArray<X509Certificate>
}

export const layer = (files: SubscriptionRef.SubscriptionRef<TlsFiles>): Layer.Layer<ClientIdentity> => {
  let rememberedFor: TlsFiles | undefined
  const remembered = new Map<string, Known>()

  /** The certificate, with the CAs of these that have signed it and may do so: none, when it is itself a CA's. */
  const known = (
    raw: Uint8Array,
    organization: string,
    current: TlsFiles,
    cas: ReadonlyArray<CaCertificate>
  ): Known => {
    if (rememberedFor !== current) {
      remembered.clear()
      rememberedFor = current
    }
    const leaf = new X509Certificate(raw)
    const id = `${leaf.fingerprint256} ${organization}`
    const found = remembered.get(id)
    if (found !== undefined) return found
    const signers = leaf.ca
      ? []
      : cas
          .map(({ certificate }) => certificate)
          .filter((ca) => ca.ca && leaf.checkIssued(ca) && leaf.verify(ca.publicKey))
    if (remembered.size >= maxRemembered) remembered.clear()
    remembered.set(id, { leaf, signers })
    return { leaf, signers }
  }

  return Layer.succeed(
    ClientIdentity,
    ClientIdentity.of({
      verify: (claimed, certificate: ClientCertificate | undefined) =>
        Effect.gen(function* () {
          if (certificate === undefined || !certificate.organizations.includes(claimed)) {
            return yield* denied(`cannot find MSPID "${claimed}" in client TLS certificate Subject Organizations`)
          }
          const current = yield* SubscriptionRef.get(files)
          const cas = current.organizations.get(claimed)
          if (cas === undefined) return yield* denied(`cannot find MSPID "${claimed}" in allowed organizations`)
          const { leaf, signers } = known(certificate.raw, claimed, current, cas)
          const now = yield* Clock.currentTimeMillis
          if (!isValidAt(leaf, now) || !signers.some((ca) => isValidAt(ca, now))) {
            return yield* denied(`invalid issuer for MSPID "${claimed}"`)
          }
        })
    })
  )
}
