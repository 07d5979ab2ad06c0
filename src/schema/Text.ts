/**
 * Rules for texts (behaviour.md, section 2). Lengths count Unicode code points. PostgreSQL stores no NUL character,
 * so no text may hold one, on any store.
 */
import * as Schema from "effect/Schema"

/** Why a text of any length is refused, if it is. */
export const nulProblem = (text: string): string | undefined =>
  text.includes("\0") ? "must not contain a NUL character" : undefined

/** Code points of a text; surrogate pairs count once. */
export const codePoints = (text: string): number => {
  let pairs = 0
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i)
    if (unit >= 0xd800 && unit <= 0xdbff) {
      pairs++
      i++
    }
  }
  return text.length - pairs
}

/** Why a text is refused that must have `min` to `max` code points. */
export const lengthProblem = (text: string, min: number, max: number): string | undefined => {
  if (min > 0 && text === "") return "cannot be blank"
  // No text has more code points than UTF-16 units: the usual short one is not counted.
  if (text.length > max && codePoints(text) > max) return `the length must be no more than ${max} characters`
  return nulProblem(text)
}

const sized = (min: number, max: number) =>
  Schema.String.check(Schema.makeFilter((text: string) => lengthProblem(text, min, max)))

/** Any text without NUL. */
export const AnyText = Schema.String.check(Schema.makeFilter(nulProblem))

/** A name: 1 to 100 characters. */
export const Name = sized(1, 100)

/** A tag: at most 100 characters. */
export const Tag = sized(0, 100)

/** An identifier that names a declared one: required, of any length. */
export const IdentifierReference = Schema.String.check(
  Schema.makeFilter((text: string) => (text === "" ? "cannot be blank" : nulProblem(text)))
)

/** Metadata of an asset: any number of entries. */
export const Metadata = Schema.ReadonlyMap(Schema.String, Schema.String)
export type Metadata = ReadonlyMap<string, string>

/** Problems of one field as one text. Semicolons part fields (behaviour.md, section 2). */
export const asOne = (problems: Iterable<string>): string => [...problems].join(", also ")

/** What is wrong with entries of a map, which errors name as a whole: its keys are no field names. All, each once. */
export const entryProblems = <K, V>(
  entries: ReadonlyMap<K, V>,
  problemsOf: (key: K, value: V) => ReadonlyArray<string | undefined>
): string | undefined => {
  let found: Set<string> | undefined
  for (const [key, value] of entries) {
    for (const problem of problemsOf(key, value)) {
      if (problem === undefined) continue
      found ??= new Set()
      found.add(problem)
    }
  }
  return found === undefined ? undefined : asOne(found)
}

/** Metadata as a client sends it: keys and values of at most 100 characters each. */
export const MetadataInput = Metadata.check(
  Schema.makeFilter((metadata: Metadata) =>
    entryProblems(metadata, (key, value) => {
      const keyProblem = lengthProblem(key, 0, 100)
      const valueProblem = lengthProblem(value, 0, 100)
      return [
        keyProblem && `a key is wrong: ${keyProblem}`,
        valueProblem && `the value of ${JSON.stringify(key)} is wrong: ${valueProblem}`
      ]
    })
  )
)
