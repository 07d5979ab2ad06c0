/** Reads messages strictly: generated code alone passes over bytes that are no fields, and mends texts that are no UTF-8. */
import { BinaryReader } from "@bufbuild/protobuf/wire"

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })

/** Throws where bytes are no fields one after the other: generated code would stop reading there, and say nothing. */
const checkFields = (bytes: Uint8Array): void => {
  const reader = new BinaryReader(bytes)
  while (reader.pos < reader.len) {
    const [field, wireType] = reader.tag()
    reader.skip(wireType, field)
  }
}

/** A reader of one whole message for the generated `decode`. Throws, now or then, for what is no message. */
export const strictReader = (bytes: Uint8Array): BinaryReader => {
  checkFields(bytes)
  return new BinaryReader(bytes, (text) => utf8.decode(text))
}
