/** A file that an asset names: its checksum and where it can be fetched. The orchestrator never fetches it. */
import * as Schema from "effect/Schema"
import { codePoints, nulProblem } from "./Text.ts"

/** SHA-256 in hexadecimal, and a URL. Empty texts mean that there is none yet (an image that is not built). */
export const Addressable = Schema.Struct({ checksum: Schema.String, storageAddress: Schema.String })
export interface Addressable extends Schema.Schema.Type<typeof Addressable> {}

/** The address of a thing that is not there yet. */
export const none: Addressable = { checksum: "", storageAddress: "" }

const maxAddressLength = 2082

/** A SHA-256 in hexadecimal: 64 characters, any letter case. */
export const Checksum = Schema.String.check(
  Schema.makeFilter((text: string) =>
    text === "" ? "cannot be blank" : /^[0-9a-f]{64}$/i.test(text) ? undefined : "must be 64 hexadecimal characters"
  )
)

const scheme = /^(?:https?|ftp|wss?|tcp|udp):\/\//
const authority = /^([^\s/?#]*@)?(\[[0-9A-Fa-f:.]+\]|[^\s/?#:@[\]]+)(:\d{1,5})?(?=[/?#]|$)/
// ASCII letters and digits, and anything beyond ASCII; hyphens and underscores inside.
const label = /^[\dA-Za-z\u0080-\u{10ffff}](?:[\w\u0080-\u{10ffff}-]*[\dA-Za-z\u0080-\u{10ffff}])?$/u
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is refused
const blankOrControl = /[\s\u0000-\u001f\u007f]/

/**
 * Whether a text can be a storage address: `[scheme://][user@]host[:port][path]`, the scheme one of http, https, ftp,
 * ws, wss, tcp and udp in lower case. Without a scheme, a dot, a user or a port tells it from a word (behaviour.md, section 2).
 */
const isStorageAddress = (text: string): boolean => {
  if (blankOrControl.test(text)) return false
  const schemeText = scheme.exec(text)?.[0]
  const rest = text.slice(schemeText?.length ?? 0)
  const match = authority.exec(rest)
  if (match === null) return false
  const [, user, host = "", port] = match
  if (host.startsWith("[")) return URL.canParse(`http://${host}`)
  const isWord = !rest.includes(".") && (user ?? "@") === "@" && port === undefined
  if (schemeText === undefined && isWord) return false
  const labels = host.endsWith(".") ? host.slice(0, -1).split(".") : host.split(".")
  return labels.every((text) => label.test(text))
}

/** Where a file can be fetched: at most 2,082 characters. */
export const StorageAddress = Schema.String.check(
  Schema.makeFilter((text: string) => {
    if (text === "") return "cannot be blank"
    if (text.length > maxAddressLength && codePoints(text) > maxAddressLength) {
      return `the length must be no more than ${maxAddressLength} characters`
    }
    return isStorageAddress(text)
      ? undefined
      : "must be a valid URL: a host with an optional scheme (http, https, ftp, ws, wss, tcp, udp), port and path, without blanks"
  })
)

/** An address as a client sends it: both fields are required. */
export const AddressableInput = Schema.Struct({ checksum: Checksum, storageAddress: StorageAddress })

/** Why a text is no address of an organization: empty, or an absolute URL with scheme and host. */
export const OrganizationAddress = Schema.String.check(
  Schema.makeFilter((text: string) =>
    text === "" || (!blankOrControl.test(text) && /^[a-z][a-z\d+.-]*:\/\/[^/?#]/i.test(text) && URL.canParse(text))
      ? undefined
      : (nulProblem(text) ?? "must be empty or an absolute URL with scheme and host")
  )
)
