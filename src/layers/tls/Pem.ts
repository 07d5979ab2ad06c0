/** Certificates and keys of PEM files. What cannot be used is told in words for whoever made the file, not OpenSSL's. */
import { createPrivateKey, type KeyObject, X509Certificate } from "node:crypto"
import { createSecureContext, type SecureContextOptions } from "node:tls"

const pemBlock = /-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----/g
const pemBegin = /-----BEGIN CERTIFICATE-----/g

/** One at least. */
export const certificatesIn = (content: Buffer): ReadonlyArray<X509Certificate> => {
  const text = content.toString()
  const blocks = text.match(pemBlock) ?? []
  if (blocks.length !== (text.match(pemBegin) ?? []).length) throw new Error("it ends within a certificate")
  if (blocks.length === 0) throw new Error("it must hold PEM certificates")
  try {
    return blocks.map((block) => new X509Certificate(block))
  } catch {
    throw new Error("it must hold PEM certificates, and one of these is damaged")
  }
}

export const privateKeyIn = (content: Buffer): KeyObject => {
  try {
    return createPrivateKey(content)
  } catch {
    throw new Error("it must hold an unencrypted PEM private key")
  }
}

/** Why TLS would not take these, such as a key that it finds too weak. */
export const refusedByTls = (options: SecureContextOptions): string | undefined => {
  try {
    createSecureContext(options)
    return undefined
  } catch (error) {
    const { message, reason = message } = error as Error & { readonly reason?: string }
    return reason
  }
}
