/** What a call of a sequence is made of, and what calls share. */
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import fc from "fast-check"
import type * as ServiceLayers from "../../src/layers/Services.ts"
import type { Page, PageRequest } from "../../src/schema/Pagination.ts"
import type { EventLog } from "../../src/services/store/EventLog.ts"
import type { KeyRef, Place } from "./World.ts"

/** What calls may use: the same on every store. */
export type Services = Layer.Success<ReturnType<typeof ServiceLayers.layer>> | EventLog

type Run<A> = (args: A, at: Place) => Effect.Effect<unknown, unknown, Services>

/** A call that can be made by anybody, in any channel. */
export interface Rpc {
  /** How often it is made, among all. */
  readonly weight: number
  /** What it may be called with, right and wrong. */
  readonly args: fc.Arbitrary<unknown>
  readonly run: Run<unknown>
}

export const rpc = <A>(weight: number, args: fc.Arbitrary<A>, run: Run<A>): Rpc => ({
  weight,
  args,
  run: run as Run<unknown>
})

/** All pages of a query, each with this many assets at most. */
export const walk = <A, C, E, R>(
  page: (request: PageRequest<C>) => Effect.Effect<Page<A>, E, R>,
  cursorOf: (asset: A) => C,
  limit: number
) =>
  Effect.gen(function* () {
    const pages: Array<Page<A>> = []
    let cursor = Option.none<C>()
    for (;;) {
      const one = yield* page({ cursor, limit })
      pages.push(one)
      const last = one.items.at(-1)
      if (!one.hasMore || last === undefined) return pages
      cursor = Option.some(cursorOf(last))
    }
  })

interface Dated {
  readonly creationDate: number
  readonly key: string
}
export const assetCursor = ({ creationDate, key }: Dated) => [creationDate, key] as const

export const limit = fc.constantFrom(1, 2, 3, 50)

/** A filter on a key. */
export const maybe = (key: fc.Arbitrary<KeyRef>) => fc.option(key, { nil: undefined })
export const text = (at: Place, ref: KeyRef | undefined) => (ref === undefined ? "" : at.key(ref))
