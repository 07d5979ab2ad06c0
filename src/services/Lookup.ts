/** What services share in finding assets: keys and texts as clients send them, and what is said when nothing is found. */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { type Key, keyProblem, parse } from "../schema/Key.ts"
import { type AssetName, InvalidAsset, NotFound } from "../schema/OrchestratorError.ts"
import { nulProblem } from "../schema/Text.ts"

/** The key in a field that must hold one, else OE0101. */
export const requiredKey = (asset: AssetName, field: string, text: string): Effect.Effect<Key, InvalidAsset> =>
  Option.match(parse(text), {
    onNone: () => Effect.fail(InvalidAsset.fields(asset, [{ field, description: keyProblem(text) ?? "" }])),
    onSome: Effect.succeed
  })

/** The key in a filter, `undefined` when there is none: an empty field does not filter. */
export const filterKey = (
  asset: AssetName,
  field: string,
  text: string | undefined
): Effect.Effect<Key | undefined, InvalidAsset> =>
  text === undefined || text === "" ? Effect.succeed(undefined) : requiredKey(asset, field, text)

/** The text in a filter, `undefined` when there is none. */
export const filterText = (
  asset: AssetName,
  field: string,
  text: string | undefined
): Effect.Effect<string | undefined, InvalidAsset> => {
  if (text === undefined || text === "") return Effect.succeed(undefined)
  const problem = nulProblem(text)
  return problem === undefined
    ? Effect.succeed(text)
    : Effect.fail(InvalidAsset.fields(asset, [{ field, description: problem }]))
}

/** The asset that was found, else OE0002. */
export const orNotFound = <A>(asset: AssetName, key: string, found: Option.Option<A>): Effect.Effect<A, NotFound> =>
  Option.match(found, { onNone: () => Effect.fail(new NotFound({ asset, key })), onSome: Effect.succeed })

/** These assets by their keys. */
export const byKey = <A extends { readonly key: Key }>(assets: ReadonlyArray<A>): ReadonlyMap<Key, A> =>
  new Map(assets.map((asset) => [asset.key, asset]))
