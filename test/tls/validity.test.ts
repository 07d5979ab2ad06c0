/** Periods of validity, of certificates and CAs, on connections that stay open: identity is a matter of each call. */
import { X509Certificate } from "node:crypto"
import { expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as SubscriptionRef from "effect/SubscriptionRef"
import * as TestClock from "effect/testing/TestClock"
import * as CertificateIdentity from "../../src/layers/tls/CertificateIdentity.ts"
import type { OrganizationId } from "../../src/schema/Key.ts"
import { ClientIdentity } from "../../src/services/ClientIdentity.ts"
import { authority, type CertificateOptions, clientOf, newKeys } from "./Certificates.ts"
import { load, makePki, one } from "./Pki.ts"

const hour = 3_600_000
const wrongIssuer = { message: `invalid MSPID: invalid issuer for MSPID "${one}"` }

/** Verifies at a time a certificate of a CA, of which the organization's folder has these. */
const verifying = async (leaf: Partial<CertificateOptions>, ...cas: ReadonlyArray<Partial<CertificateOptions>>) => {
  const pki = await makePki()
  const keys = await newKeys()
  const issuers = await Promise.all(cas.map((options) => authority("CA of 1", { keys, ...options })))
  await pki.write(`cas/${one}/ca.pem`, issuers.map(({ certificate }) => certificate).join(""))
  const [issuer] = issuers
  if (issuer === undefined) throw new Error("no CA")
  const { tls } = await load(pki.env)
  if (tls === undefined) throw new Error("no TLS")
  const { raw } = new X509Certificate((await clientOf(one, issuer, leaf)).certificate)
  return Effect.gen(function* () {
    const files = yield* SubscriptionRef.make(tls.files)
    const identity = yield* Effect.provide(ClientIdentity, CertificateIdentity.layer(files))
    return (time: number) =>
      Effect.andThen(
        TestClock.setTime(time),
        Effect.result(identity.verify(one as OrganizationId, { raw, organizations: [one] }))
      )
  })
}

const fails = { _tag: "Failure", failure: wrongIssuer }
const succeeds = { _tag: "Success" }
const now = Math.floor(Date.now() / 1000) * 1000

it.effect("a certificate counts from its first moment to its last", () =>
  Effect.gen(function* () {
    const leaf = { notBefore: new Date(now), notAfter: new Date(now + hour) }
    const at = yield* yield* Effect.promise(() => verifying(leaf, {}))
    expect(yield* at(now)).toMatchObject(succeeds)
    expect(yield* at(now + hour)).toMatchObject(succeeds)
    expect(yield* at(now + hour + 1000)).toMatchObject(fails)
    expect(yield* at(now - 1000)).toMatchObject(fails)
  })
)

it.effect("a CA counts for as long as it is valid", () =>
  Effect.gen(function* () {
    const at = yield* yield* Effect.promise(() => verifying({}, { notAfter: new Date(now + hour) }))
    expect(yield* at(now)).toMatchObject(succeeds)
    expect(yield* at(now + hour + 1000)).toMatchObject(fails)
  })
)

it.effect("a CA that is renewed with its key takes over when the old one expires", () =>
  Effect.gen(function* () {
    const old = { notAfter: new Date(now + hour) }
    const renewed = { notBefore: new Date(now + hour / 2) }
    const at = yield* yield* Effect.promise(() => verifying({}, old, renewed))
    expect(yield* at(now)).toMatchObject(succeeds)
    expect(yield* at(now + hour + 1000)).toMatchObject(succeeds)
  })
)

it.effect("names and key ids prove nothing: the signature must be of a CA in the folder", () =>
  Effect.gen(function* () {
    const issuer = yield* Effect.promise(() => authority("CA of 1", { keyId: "0102" }))
    const at = yield* yield* Effect.promise(() => verifying({ issuer }, { keyId: "0102" }))
    expect(yield* at(now)).toMatchObject(fails)
    const own = yield* yield* Effect.promise(() => verifying({}, { keyId: "0102" }))
    expect(yield* own(now)).toMatchObject(succeeds)
  })
)

it.effect("a certificate in the folder that is no CA's has issued nothing", () =>
  Effect.gen(function* () {
    const at = yield* yield* Effect.promise(() => verifying({}, { ca: false }))
    expect(yield* at(now)).toMatchObject(fails)
  })
)
