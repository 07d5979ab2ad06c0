/**
 * Pages by key set: a page starts after the last asset of the one before, so it costs the same at any depth, and
 * writes in between neither repeat nor hide anything (behaviour.md, section 1).
 */
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"

/** Assets in a page when the client asks for none, and the most that one page holds. */
export const defaultPageSize = 50
export const maxPageSize = 10_000

/** How many assets a page may hold that was asked for with this `page_size`. */
export const pageLimit = (asked: number): number => (asked === 0 ? defaultPageSize : Math.min(asked, maxPageSize))

/** A page of a query: after `cursor`, `limit` assets at most. */
export interface PageRequest<Cursor> {
  readonly cursor: Option.Option<Cursor>
  readonly limit: number
  /** About how many bytes of assets the answer can carry: a store need not read on beyond them. */
  readonly maxBytes?: number
}

/** What a store found: assets in the query's order, and whether more follow. It may hold fewer than were asked for. */
export interface Page<A> {
  readonly items: ReadonlyArray<A>
  readonly hasMore: boolean
}

export const emptyPage: Page<never> = { items: [], hasMore: false }

/** The place of an asset in lists ordered by creation date, then key. Dates in microseconds. */
export const AssetCursor = Schema.Tuple([Schema.Int, Schema.String])
export type AssetCursor = typeof AssetCursor.Type

/** The place of a performance: creation date, task key, output identifier. */
export const PerformanceCursor = Schema.Tuple([Schema.Int, Schema.String, Schema.String])
export type PerformanceCursor = typeof PerformanceCursor.Type

/** The place of an event in lists ordered by timestamp, then position. */
export const EventCursor = Schema.Tuple([Schema.Int, Schema.Int])
export type EventCursor = typeof EventCursor.Type

/** FNV-1a, 53 bits of two runs: tells this server's tokens from other texts. It guards no secret. */
const checksum = (text: string): string => {
  let a = 0x811c9dc5
  let b = 0x01000193
  for (let i = 0; i < text.length; i++) {
    a = Math.imul(a ^ text.charCodeAt(i), 0x01000193)
    b = Math.imul(b ^ text.charCodeAt(i), 0x85ebca6b)
  }
  return (a >>> 0).toString(36) + (b >>> 0).toString(36)
}

/** Tokens of one query in one order: opaque texts that name a place in it. */
export interface Tokens<C> {
  readonly encode: (place: C) => string
  /** The place that a token names; none when it was not made by `encode`, for this query. */
  readonly decode: (token: string) => Option.Option<C>
}

/** The tokens of the query of this name; another name, as for another direction, does not take them. */
export const tokens = <C extends ReadonlyArray<unknown>>(
  query: string,
  cursor: Schema.Codec<C, unknown>
): Tokens<C> => {
  const decodeCursor = Schema.decodeUnknownOption(Schema.fromJsonString(cursor as Schema.Codec<C>))
  const encode = (place: C): string => {
    const text = JSON.stringify(place)
    return btoa(encodeURIComponent(`${checksum(query + text)}.${text}`))
  }
  return {
    encode,
    decode: (token) => {
      const plain = unpack(token)
      return Option.filter(decodeCursor(plain.slice(plain.indexOf(".") + 1)), (place) => encode(place) === token)
    }
  }
}

const unpack = (token: string): string => {
  try {
    return decodeURIComponent(atob(token))
  } catch {
    return ""
  }
}
