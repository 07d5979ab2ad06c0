/**
 * Reads messages strictly, by what generated code takes from here (scripts/generate.ts): on its own it passes over bytes
 * that are no fields, reads beyond the end of a message, and mends texts that are no UTF-8.
 */
import { BinaryReader, WireType } from "@bufbuild/protobuf/wire"

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })

/** A reader of one whole message for the generated `decode`. Throws, now or then, for what is no message. */
export const strictReader = (bytes: Uint8Array): BinaryReader => new BinaryReader(bytes, (text) => utf8.decode(text))

/** Reads the tag of the next field: its number and its wire type. Throws for what is none. */
export const readTag = (reader: BinaryReader): number => {
  const [field, wireType] = reader.tag()
  if (wireType === WireType.EndGroup) throw new Error(`the end of a group that has not begun, field ${field}`)
  return ((field << 3) | wireType) >>> 0
}

/** Throws where the fields of a message do not end where the message does. */
export const checkEnd = (reader: BinaryReader, end: number): void => {
  if (reader.pos !== end) throw new Error(`a field ends at byte ${reader.pos}, its message at byte ${end}`)
}
