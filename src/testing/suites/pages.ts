/** What every list in pages promises, whatever it lists: for the suites of the ports to call. */
import { expect } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { ChannelName, Key } from "../../schema/Key.ts"
import type { AssetCursor, Page, PageRequest } from "../../schema/Pagination.ts"
import type { Timestamp } from "../../schema/Timestamp.ts"
import * as build from "./builders.ts"
import type { It, Store } from "./support.ts"

/** All pages of a list in a row. Checks that each page keeps to its limit, and goes on where the one before ended. */
export const walk = <A, C, E, R>(
  page: (request: PageRequest<C>) => Effect.Effect<Page<A>, E, R>,
  cursorOf: (item: A) => C,
  limit: number
): Effect.Effect<ReadonlyArray<A>, E, R> =>
  Effect.gen(function* () {
    const all: Array<A> = []
    let cursor = Option.none<C>()
    for (;;) {
      const { hasMore, items } = yield* page({ cursor, limit })
      expect(items.length).toBeLessThanOrEqual(limit)
      all.push(...items)
      const last = items[items.length - 1]
      if (!hasMore) return all
      if (last === undefined) return expect.unreachable("an empty page says that more follow")
      cursor = Option.some(cursorOf(last))
    }
  })

/** An asset as lists of assets know it. */
interface Listed {
  readonly key: Key
  readonly creationDate: Timestamp
}

export const cursorOf = ({ creationDate, key }: Listed): AssetCursor => [creationDate, key]

export const all = <A extends Listed, E, R>(
  page: (request: PageRequest<AssetCursor>) => Effect.Effect<Page<A>, E, R>
) => walk(page, cursorOf, 100)

/** How the list of one kind of assets is filled and read. */
export interface Listing<A extends Listed, E> {
  /** Makes a channel ready for assets; gives a maker of them. */
  readonly open: (channel: ChannelName) => Effect.Effect<(fields: Partial<Listed>) => A, E, Store>
  readonly insert: (channel: ChannelName, assets: ReadonlyArray<A>) => Effect.Effect<unknown, E, Store>
  readonly page: (channel: ChannelName, request: PageRequest<AssetCursor>) => Effect.Effect<Page<A>, E, Store>
}

/** The tests of a list in order of creation date, then key. */
export const assetPages = <A extends Listed, E>(it: It, { insert, open, page }: Listing<A, E>): void => {
  /** A channel with assets at these dates, stored out of order; gives them in order. */
  const fill = Effect.fnUntraced(function* (dates: ReadonlyArray<number>) {
    const channel = build.channel()
    const make = yield* open(channel)
    const keys = build.keys(dates.length)
    const assets = keys.map((key, index) => make({ key, creationDate: build.at(dates[index] as number) }))
    yield* insert(channel, assets.toReversed())
    const ordered = assets.toSorted((a, b) => a.creationDate - b.creationDate || (a.key < b.key ? -1 : 1))
    return { channel, make, ordered, pageOf: (request: PageRequest<AssetCursor>) => page(channel, request) }
  })

  it.effect("lists by creation date to the microsecond, then by key", () =>
    Effect.gen(function* () {
      const { ordered, pageOf } = yield* fill([1, 0, 1, 2, 1, 1000])
      expect(yield* all(pageOf)).toEqual(ordered)
    })
  )

  it.effect("gives the same list in pages of any size", () =>
    Effect.gen(function* () {
      const { ordered, pageOf } = yield* fill([3, 1, 1, 2, 1])
      for (const limit of [1, 2, 3, 4, 5, 6, 10_000]) {
        expect(yield* walk(pageOf, cursorOf, limit)).toEqual(ordered)
      }
    })
  )

  it.effect("gives the same list in pages of any size in bytes, one asset at least", () =>
    Effect.gen(function* () {
      const { ordered, pageOf } = yield* fill([3, 1, 1, 2, 1])
      for (const maxBytes of [1, 1000, 1_000_000]) {
        expect(yield* walk((request) => pageOf({ ...request, maxBytes }), cursorOf, 4)).toEqual(ordered)
      }
    })
  )

  it.effect("says that more follow exactly when they do", () =>
    Effect.gen(function* () {
      const { ordered, pageOf } = yield* fill([1, 1, 2])
      for (const limit of [1, 2, 3, 4]) {
        const { hasMore, items } = yield* pageOf({ cursor: Option.none(), limit })
        expect(items).toEqual(ordered.slice(0, items.length))
        expect(hasMore).toBe(items.length < ordered.length)
      }
    })
  )

  it.effect("goes on behind a place at which nothing is", () =>
    Effect.gen(function* () {
      const { ordered, pageOf } = yield* fill([1, 3, 5])
      const place: AssetCursor = [build.at(3), "00000000-0000-4000-8000-000000000000"]
      const { items } = yield* pageOf({ cursor: Option.some(place), limit: 10 })
      expect(items).toEqual(ordered.slice(1))
    })
  )

  it.effect("neither repeats nor skips what was there when others write between two pages", () =>
    Effect.gen(function* () {
      const { channel, make, ordered, pageOf } = yield* fill([2, 4, 6, 8])
      const first = yield* pageOf({ cursor: Option.none(), limit: 2 })
      yield* insert(
        channel,
        [1, 3, 5, 9].map((date) => make({ key: build.key(), creationDate: build.at(date) }))
      )
      const cursor = Option.fromUndefinedOr(first.items[first.items.length - 1]).pipe(Option.map(cursorOf))
      const second = yield* pageOf({ cursor, limit: 100 })
      const seen = [...first.items, ...second.items].filter((asset) => ordered.some(({ key }) => key === asset.key))
      expect(seen).toEqual(ordered)
    })
  )

  it.effect("lists nothing of other channels", () =>
    Effect.gen(function* () {
      yield* fill([1])
      const { ordered, pageOf } = yield* fill([1])
      expect(yield* all(pageOf)).toEqual(ordered)
      expect(yield* page(build.channel(), { cursor: Option.none(), limit: 10 })).toEqual({ items: [], hasMore: false })
    })
  )
}
