/** Where two messages of the contract differ: the path of the first field, and both values. */
import { jsonOf } from "./Json.ts"

const text = (value: unknown): string => {
  const json = jsonOf(value)
  return json === undefined ? "nothing" : json.length > 200 ? `${json.slice(0, 200)}…` : json
}

const entries = (value: object): ReadonlyMap<unknown, unknown> =>
  value instanceof Map ? value : new Map(Object.entries(value))

const isMessage = (value: unknown): value is object => typeof value === "object" && value !== null

/** `undefined` where they are the same. Maps have no order, lists have. */
export const difference = (one: unknown, other: unknown, path = ""): string | undefined => {
  if (Object.is(one, other)) return undefined
  if (!isMessage(one) || !isMessage(other) || Array.isArray(one) !== Array.isArray(other)) {
    return `${path === "" ? "" : `${path}: `}${text(one)} in the old database, ${text(other)} here`
  }
  const left = entries(one)
  const right = entries(other)
  for (const name of new Set([...left.keys(), ...right.keys()])) {
    const found = difference(left.get(name), right.get(name), path === "" ? String(name) : `${path}.${name}`)
    if (found !== undefined) return found
  }
  return undefined
}
