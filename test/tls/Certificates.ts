/**
 * Certificates for tests, good and bad: whatever a field says, it is signed. Every one has a new key of P-256, unless
 * it is given another's.
 */
import "reflect-metadata"
import type { webcrypto } from "node:crypto"
import * as x509 from "@peculiar/x509"

x509.cryptoProvider.set(crypto)

/** Relative distinguished names in order, each with the values of one attribute. */
export type Subject = ReadonlyArray<Readonly<Record<string, ReadonlyArray<string>>>>

export interface Issued {
  /** PEM. */
  readonly certificate: string
  /** PEM, PKCS #8. */
  readonly key: string
  readonly keys: webcrypto.CryptoKeyPair
  readonly name: x509.Name
  /** In hexadecimal; of CAs. */
  readonly keyId: string | undefined
}

export type Usage = "client" | "server"

export interface CertificateOptions {
  readonly subject: Subject
  /** Left out, the certificate is signed with its own key. */
  readonly issuer?: Pick<Issued, "keys" | "name" | "keyId">
  readonly ca?: boolean
  /** In place of the key's own; `false` leaves the extension out. */
  readonly keyId?: string | false
  /** In place of the issuer's. */
  readonly authorityKeyId?: string
  readonly notBefore?: Date
  readonly notAfter?: Date
  readonly usages?: ReadonlyArray<Usage>
  readonly serialNumber?: string
  readonly extensions?: ReadonlyArray<x509.Extension>
  readonly keys?: webcrypto.CryptoKeyPair
}

const algorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" } as const

const usageIds = { client: x509.ExtendedKeyUsage.clientAuth, server: x509.ExtendedKeyUsage.serverAuth }

export const newKeys = (): Promise<webcrypto.CryptoKeyPair> =>
  crypto.subtle.generateKey(algorithm, true, ["sign", "verify"])

const hour = 3_600_000

const subjectName = (subject: Subject): x509.Name =>
  new x509.Name(
    subject.map((part) =>
      Object.fromEntries(
        Object.entries(part).map(([type, values]) => [type, values.map((utf8String) => ({ utf8String }))])
      )
    )
  )

const keyIdentifier = async (key: webcrypto.CryptoKey): Promise<string> =>
  Buffer.from((await x509.SubjectKeyIdentifierExtension.create(key)).keyId, "hex").toString("hex")

/** A certificate of a server is for localhost. */
export const issue = async (options: CertificateOptions): Promise<Issued> => {
  const { ca = false, usages } = options
  const keys = options.keys ?? (await newKeys())
  const name = subjectName(options.subject)
  const ownKeyId = options.keyId === false ? undefined : (options.keyId ?? (await keyIdentifier(keys.publicKey)))
  const keyId = ca ? ownKeyId : undefined
  const issuer = options.issuer ?? { keys, name, keyId }
  const authorityKeyId = options.authorityKeyId ?? issuer.keyId
  const { digitalSignature, keyCertSign } = x509.KeyUsageFlags
  const certificate = await x509.X509CertificateGenerator.create({
    subject: name,
    issuer: issuer.name,
    ...(options.serialNumber === undefined ? {} : { serialNumber: options.serialNumber }),
    notBefore: options.notBefore ?? new Date(Date.now() - hour),
    notAfter: options.notAfter ?? new Date(Date.now() + 24 * hour),
    signingAlgorithm: algorithm,
    publicKey: keys.publicKey,
    signingKey: issuer.keys.privateKey,
    extensions: [
      new x509.BasicConstraintsExtension(ca, undefined, true),
      // A CA may sign handshakes too, so that nothing but its being one can be held against it.
      new x509.KeyUsagesExtension(ca ? keyCertSign | digitalSignature : digitalSignature, true),
      ...(keyId === undefined ? [] : [new x509.SubjectKeyIdentifierExtension(keyId)]),
      ...(authorityKeyId === undefined ? [] : [new x509.AuthorityKeyIdentifierExtension(authorityKeyId)]),
      ...(usages === undefined ? [] : [new x509.ExtendedKeyUsageExtension(usages.map((usage) => usageIds[usage]))]),
      ...(usages?.includes("server") === true
        ? [new x509.SubjectAlternativeNameExtension([{ type: "dns", value: "localhost" }])]
        : []),
      ...(options.extensions ?? [])
    ]
  })
  const pkcs8 = await crypto.subtle.exportKey("pkcs8", keys.privateKey)
  return {
    certificate: `${certificate.toString("pem")}\n`,
    key: `${x509.PemConverter.encode(pkcs8, "PRIVATE KEY")}\n`,
    keys,
    name,
    keyId
  }
}

/** A CA that has signed itself. */
export const authority = (name: string, options: Partial<CertificateOptions> = {}): Promise<Issued> =>
  issue({ subject: [{ CN: [name] }], ca: true, ...options })

/** What an organization's client shows. */
export const clientOf = (
  organization: string,
  issuer: Issued,
  options: Partial<CertificateOptions> = {}
): Promise<Issued> =>
  issue({ subject: [{ O: [organization] }, { CN: ["backend"] }], issuer, usages: ["client"], ...options })

export const serverOf = (issuer: Issued, options: Partial<CertificateOptions> = {}): Promise<Issued> =>
  issue({ subject: [{ CN: ["orchestrator"] }], issuer, usages: ["server", "client"], ...options })

const der = (tag: number, content: Buffer): Buffer => Buffer.concat([Buffer.from([tag, content.length]), content])

/** A CA with it may sign nothing for subjects that begin like this. */
export const excluding = (subject: Subject): x509.Extension => {
  const directoryName = der(0xa4, Buffer.from(subjectName(subject).toArrayBuffer()))
  return new x509.Extension("2.5.29.30", true, der(0x30, der(0xa1, der(0x30, directoryName))))
}
