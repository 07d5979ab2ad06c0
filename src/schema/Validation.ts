/**
 * From an untrusted message to a valid input, or to one error that names every wrong field (behaviour.md, section 2).
 * Rules between fields are checked beside the schema, so that one kind of problem never hides the other.
 */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as SchemaIssue from "effect/SchemaIssue"
import { type AssetName, type FieldViolation, InvalidAsset } from "./OrchestratorError.ts"

/** A path of property names and indexes in the contract's spelling: `tasks[1].parent_task_key`. */
const fieldPath = (path: ReadonlyArray<PropertyKey>): string => {
  let text = ""
  for (const segment of path) {
    if (typeof segment === "number") text += `[${segment}]`
    else {
      const name = String(segment).replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)
      text += text === "" ? name : `.${name}`
    }
  }
  return text
}

const format = SchemaIssue.makeFormatterStandardSchemaV1({
  leafHook: (issue) => {
    if (issue._tag === "MissingKey") return "cannot be blank"
    if (issue._tag !== "InvalidType") return SchemaIssue.defaultLeafHook(issue)
    return SchemaIssue.hasInput(issue) && issue.input !== undefined ? "must be a known value" : "cannot be blank"
  }
})

const violationsOf = (
  error: Schema.SchemaError,
  at: ReadonlyArray<PropertyKey> = []
): ReadonlyArray<FieldViolation> => {
  const first = new Map<string, string>()
  for (const issue of format(error.issue).issues) {
    const path = issue.path?.map((segment) => (typeof segment === "object" ? segment.key : segment)) ?? []
    const field = fieldPath([...at, ...path])
    if (!first.has(field)) first.set(field, issue.message)
  }
  return Array.from(first, ([field, description]) => ({ field, description }))
}

/** What is wrong with a part of a message, by paths that start at `at`: for rules that ask for a part only sometimes. */
export const violations = <A, I>(
  schema: Schema.Codec<A, I>,
  value: unknown,
  at: ReadonlyArray<PropertyKey>
): ReadonlyArray<FieldViolation> => {
  const decoded = Schema.decodeUnknownResult(schema, { errors: "all" })(value)
  return Result.isFailure(decoded) ? violationsOf(decoded.failure, at) : []
}

/** Of a message with more items than this the first wrong field is told: to find and name all could take minutes. */
const maxItems = 10_000

/** How many items the lists and maps of a message have, counted up to one too many. */
const countItems = (value: unknown, before = 0): number => {
  if (typeof value !== "object" || value === null || ArrayBuffer.isView(value)) return before
  const isList = Array.isArray(value) || value instanceof Map
  let count = before
  for (const item of isList ? value.values() : Object.values(value)) {
    if (isList) count++
    if (count > maxItems) return count
    count = countItems(item, count)
  }
  return count
}

/** Decodes a message, and finds all that is wrong with it, or the first where it is too large for that. */
const decoder = <A, I>(schema: Schema.Codec<A, I>) => {
  const all = Schema.decodeUnknownResult(schema, { errors: "all" })
  const first = Schema.decodeUnknownResult(schema, { errors: "first" })
  return (message: unknown): Result.Result<A, Schema.SchemaError> =>
    (countItems(message) > maxItems ? first : all)(message)
}

type Leaf = string | number | boolean | bigint | undefined | ReadonlyMap<unknown, unknown> | ReadonlyArray<unknown>

/** An input as it comes off the wire: messages in it may be unset, whatever the rules want. */
export type Message<I> = I extends Leaf
  ? I
  : { readonly [K in keyof I]: I[K] extends Leaf ? I[K] : Message<I[K]> | undefined }

/**
 * A validator of inputs of one kind. `rules` are those that look at more than one field; they see the message as it
 * came. A field that the schema refuses already is not named twice.
 */
export const make = <A, I>(
  asset: AssetName,
  schema: Schema.Codec<A, I>,
  rules?: (message: Message<I>) => ReadonlyArray<FieldViolation>
): ((message: Message<NoInfer<I>>) => Effect.Effect<A, InvalidAsset>) => {
  const decode = decoder(schema)
  return (message) => Effect.suspend(() => check(asset, decode(message), rules?.(message) ?? []))
}

/** A validator of the items of a batch, one by one; fields are named by the item's place: `samples[1].checksum`. */
export const makeItem = <A, I>(
  asset: AssetName,
  list: string,
  schema: Schema.Codec<A, I>
): ((message: Message<NoInfer<I>>, index: number) => Effect.Effect<A, InvalidAsset>) => {
  const decode = decoder(schema)
  return (message, index) => Effect.suspend(() => check(asset, decode(message), [], [list, index]))
}

/** With more wrong fields than this the rest of a batch is not looked at. */
const maxViolations = 10_000

/** Items that are checked without a break: others get their turn between. */
const itemsPerTurn = 100

/** A validator of whole batches: errors name all that is wrong with any item, `tasks[1].key`. */
export const makeBatch = <A, I>(
  asset: AssetName,
  list: string,
  schema: Schema.Codec<A, I>,
  rules: (message: Message<NoInfer<I>>) => ReadonlyArray<FieldViolation>
): ((messages: ReadonlyArray<Message<NoInfer<I>>>) => Effect.Effect<ReadonlyArray<A>, InvalidAsset>) => {
  const decode = decoder(schema)
  return Effect.fnUntraced(function* (messages) {
    const items: Array<A> = []
    const found: Array<FieldViolation> = []
    const ruled: Array<FieldViolation> = []
    for (const [index, message] of messages.entries()) {
      if (index % itemsPerTurn === itemsPerTurn - 1) yield* Effect.yieldNow
      const decoded = decode(message)
      if (Result.isSuccess(decoded)) items.push(decoded.success)
      else found.push(...violationsOf(decoded.failure, [list, index]))
      for (const { description, field } of rules(message))
        ruled.push({ field: `${list}[${index}].${field}`, description })
      if (found.length + ruled.length > maxViolations && index + 1 < messages.length) {
        ruled.push({ field: `${list}[${index + 1}]`, description: "not looked at, too much is wrong before it" })
        break
      }
    }
    const all = together(found, ruled)
    return all.length === 0 ? items : yield* InvalidAsset.fields(asset, all)
  })
}

/** What the schema found, then what the rules did; a field that is named already is not named twice. */
const together = (
  found: ReadonlyArray<FieldViolation>,
  ruled: ReadonlyArray<FieldViolation>
): ReadonlyArray<FieldViolation> => {
  if (found.length === 0) return ruled
  const named = new Set(found.map(({ field }) => field))
  return [...found, ...ruled.filter(({ field }) => !named.has(field))]
}

const check = <A>(
  asset: AssetName,
  decoded: Result.Result<A, Schema.SchemaError>,
  ruled: ReadonlyArray<FieldViolation>,
  at: ReadonlyArray<PropertyKey> = []
): Effect.Effect<A, InvalidAsset> => {
  const found = Result.isFailure(decoded) ? violationsOf(decoded.failure, at) : []
  const all = together(found, ruled)
  return Result.isSuccess(decoded) && all.length === 0
    ? Effect.succeed(decoded.success)
    : Effect.fail(InvalidAsset.fields(asset, all))
}
