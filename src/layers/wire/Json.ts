/**
 * Messages of the contract as JSON for people and tools: maps become objects; 64-bit integers, NaN and infinities, which
 * JSON has not, texts, as in protobuf's own JSON.
 */
export const jsonOf = (message: unknown): string | undefined =>
  JSON.stringify(message, (_key, value: unknown) => {
    if (value instanceof Map) return Object.fromEntries(value)
    return typeof value === "bigint" || (typeof value === "number" && !Number.isFinite(value)) ? String(value) : value
  })
