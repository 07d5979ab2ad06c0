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
  const decode = Schema.decodeUnknownResult(schema, { errors: "all" })
  return (message) => Effect.suspend(() => check(asset, decode(message), rules?.(message) ?? []))
}

/** A validator of the items of a batch, one by one; fields are named by the item's place: `samples[1].checksum`. */
export const makeItem = <A, I>(
  asset: AssetName,
  list: string,
  schema: Schema.Codec<A, I>
): ((message: Message<NoInfer<I>>, index: number) => Effect.Effect<A, InvalidAsset>) => {
  const decode = Schema.decodeUnknownResult(schema, { errors: "all" })
  return (message, index) => Effect.suspend(() => check(asset, decode(message), [], [list, index]))
}

/** Items that are checked without a break: others get their turn between. */
const itemsPerTurn = 100

/** A validator of whole batches: errors name all that is wrong with any item, `tasks[1].key`. */
export const makeBatch = <A, I>(
  asset: AssetName,
  list: string,
  schema: Schema.Codec<A, I>,
  rules: (message: Message<NoInfer<I>>) => ReadonlyArray<FieldViolation>
): ((messages: ReadonlyArray<Message<NoInfer<I>>>) => Effect.Effect<ReadonlyArray<A>, InvalidAsset>) => {
  const decode = Schema.decodeUnknownResult(schema, { errors: "all" })
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
