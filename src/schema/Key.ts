/**
 * Keys of assets, ids of organizations and names of channels.
 * A key is a UUID in the form 8-4-4-4-12, any letter case on input, lower case ever after (behaviour.md, section 1).
 */
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as SchemaTransformation from "effect/SchemaTransformation"

const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i

/** A stored key: a lower-case UUID. */
export const Key = Schema.String.pipe(Schema.brand("Key"))
export type Key = typeof Key.Type

/** Why a text is no key, if it is none. */
export const keyProblem = (text: string): string | undefined => {
  if (text === "") return "cannot be blank"
  return uuid.test(text) ? undefined : "must be a valid UUID of the form xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx"
}

/** A key as a client sends it: required, a UUID in any letter case; decodes to lower case. */
export const KeyInput = Schema.String.check(Schema.makeFilter((text: string) => keyProblem(text))).pipe(
  Schema.decodeTo(
    Key,
    SchemaTransformation.transform({ decode: (text: string) => text.toLowerCase(), encode: (key: string) => key })
  )
)

/** The key in this text, if it is one. */
export const parse = (text: string): Option.Option<Key> =>
  uuid.test(text) ? Option.some(text.toLowerCase() as Key) : Option.none()

/** The id of an organization, its MSP id; compared with its letter case. */
export const OrganizationId = Schema.String.pipe(Schema.brand("OrganizationId"))
export type OrganizationId = typeof OrganizationId.Type

/** The name of a channel: assets and events of one channel are never seen in another. */
export const ChannelName = Schema.String.pipe(Schema.brand("ChannelName"))
export type ChannelName = typeof ChannelName.Type
