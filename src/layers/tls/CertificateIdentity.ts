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

/** Clients' certificates seen last, with the CA that was found to have signed each; CAs are those of one reading of the files. */
const maxRemembered = 1000

export const layer = (files: SubscriptionRef.SubscriptionRef<TlsFiles>): Layer.Layer<ClientIdentity> => {
  let rememberedFor: TlsFiles | undefined
  const remembered = new Map<string, { readonly leaf: X509Certificate; readonly ca: X509Certificate }>()

  /** The CA of these that has signed the certificate; it may do so, and the certificate is no CA itself. */
  const issuerOf = (raw: Uint8Array, organization: string, current: TlsFiles, cas: ReadonlyArray<CaCertificate>) => {
    if (rememberedFor !== current) {
      remembered.clear()
      rememberedFor = current
    }
    const leaf = new X509Certificate(raw)
    const id = `${leaf.fingerprint256} ${organization}`
    const known = remembered.get(id)
    if (known !== undefined) return known
    if (leaf.ca) return undefined
    const issuer = cas.find(
      ({ certificate: ca }) => ca.ca && leaf.checkIssued(ca) && leaf.verify(ca.publicKey)
    )?.certificate
    if (issuer === undefined) return undefined
    if (remembered.size >= maxRemembered) remembered.clear()
    const found = { leaf, ca: issuer }
    remembered.set(id, found)
    return found
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
          const found = issuerOf(certificate.raw, claimed, current, cas)
          const now = yield* Clock.currentTimeMillis
          if (found === undefined || !isValidAt(found.leaf, now) || !isValidAt(found.ca, now)) {
            return yield* denied(`invalid issuer for MSPID "${claimed}"`)
          }
        })
    })
  )
}
