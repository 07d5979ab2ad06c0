/**
 * The subject key identifier of a certificate, which node:crypto does not tell. It is read where it stands in the DER:
 * a search for its object id could be led astray by the same bytes in a name or a serial number.
 */
import type { X509Certificate } from "node:crypto"

/** An element of DER: its tag and its content. */
interface Element {
  readonly tag: number
  readonly content: Buffer
}

const sequence = 0x30
const octetString = 0x04
/** [3] of TBSCertificate. */
const extensionsTag = 0xa3

/** 2.5.29.14 */
const subjectKeyIdentifier = Buffer.from([0x55, 0x1d, 0x0e])

/** The elements that these bytes consist of. Throws where they are no DER. */
const elementsIn = (bytes: Buffer): ReadonlyArray<Element> => {
  const elements: Array<Element> = []
  for (let at = 0; at < bytes.length; ) {
    const tag = bytes.readUInt8(at)
    const first = bytes.readUInt8(at + 1)
    if ((tag & 0x1f) === 0x1f || first === 0x80 || first > 0x84) throw new Error("it is no certificate in DER")
    const begin = at + 2 + (first < 0x80 ? 0 : first - 0x80)
    const length = first < 0x80 ? first : bytes.readUIntBE(at + 2, first - 0x80)
    const end = begin + length
    if (end > bytes.length) throw new Error("it is no certificate in DER")
    elements.push({ tag, content: bytes.subarray(begin, end) })
    at = end
  }
  return elements
}

const inside = (elements: ReadonlyArray<Element>, tag: number): ReadonlyArray<Element> =>
  elementsIn(elements.find((element) => element.tag === tag)?.content ?? Buffer.alloc(0))

/** In hexadecimal; `undefined` when the certificate has none. */
export const keyIdOf = (certificate: X509Certificate): string | undefined => {
  const body = inside(inside(elementsIn(certificate.raw), sequence), sequence)
  for (const extension of inside(inside(body, extensionsTag), sequence)) {
    const [id, ...rest] = elementsIn(extension.content)
    if (id?.content.equals(subjectKeyIdentifier) !== true) continue
    return inside(rest, octetString)[0]?.content.toString("hex")
  }
  return undefined
}
