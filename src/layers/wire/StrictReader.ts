/**
 * Reads messages strictly, by what generated code takes from here (scripts/generate.ts): on its own it passes over bytes
 * that are no fields, reads beyond the end of a message, and mends texts that are no UTF-8.
 */
import { BinaryReader, WireType } from "@bufbuild/protobuf/wire"

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })

const decodeText = (text: Uint8Array): string => utf8.decode(text)

/** A reader of one whole message for the generated `decode`. Throws, now or then, for what is no message. */
export const strictReader = (bytes: Uint8Array): BinaryReader => new BinaryReader(bytes, decodeText)

/**
 * What a request is made of at most. More fits into 64 MiB only where nothing is in it: a field takes two bytes there,
 * and in memory a hundred times as much.
 */
const maxFields = 6_000_000
const maxMessages = 2_000_000

/** A message of more parts than a request may have. */
export class TooManyParts extends Error {}

class RequestReader extends BinaryReader {
  fieldsLeft = maxFields
  messagesLeft = maxMessages
}

/** The same for a client's message: throws `TooManyParts` for one of more than six million fields or two million messages. */
export const requestReader = (bytes: Uint8Array): BinaryReader => new RequestReader(bytes, decodeText)

/** Reads the length of a message inside of another one. */
export const readLength = (reader: BinaryReader): number => {
  if (reader instanceof RequestReader && --reader.messagesLeft < 0)
    throw new TooManyParts(`it has more than ${maxMessages} messages in it`)
  return reader.uint32()
}

/** Reads the tag of the next field: its number and its wire type. Throws for what is none. */
export const readTag = (reader: BinaryReader): number => {
  if (reader instanceof RequestReader && --reader.fieldsLeft < 0)
    throw new TooManyParts(`it has more than ${maxFields} fields`)
  const [field, wireType] = reader.tag()
  if (wireType === WireType.EndGroup) throw new Error(`the end of a group that has not begun, field ${field}`)
  return ((field << 3) | wireType) >>> 0
}

/** Throws where the fields of a message do not end where the message does. */
export const checkEnd = (reader: BinaryReader, end: number): void => {
  if (reader.pos !== end) throw new Error(`a field ends at byte ${reader.pos}, its message at byte ${end}`)
}
