/** Queries as streams: every asset that fits, page after page, each page asked for when it is needed. */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import type { CallOptions, UnaryCalls } from "./Calls.ts"
import type { ClientError } from "./ClientError.ts"
import { type ItemOf, type Methods, type QueryName, queryNames, type RequestOf } from "./Contract.ts"

/** Every query of the contract, by the name of its rpc. */
export type All = {
  readonly [Name in keyof Methods as Name extends QueryName ? Name : never]: (
    request?: Omit<RequestOf<Name>, "pageToken">,
    options?: CallOptions
  ) => Stream.Stream<ItemOf<Name>, ClientError>
}

/** Assets asked for at once, where the request does not say: the server sends fewer where they are large. */
const pageSize = 1000

interface Page {
  readonly nextPageToken: string
}

type Query = (request: object, options?: CallOptions) => Effect.Effect<Page, ClientError>

/** In an answer of pages, everything but the token is the list. */
const itemsOf = (page: Page): ReadonlyArray<unknown> =>
  Object.values(page).find((value) => Array.isArray(value)) as ReadonlyArray<unknown>

/** The streams of these calls. */
export const all = (calls: UnaryCalls): All => {
  const streamed = (name: QueryName) => (request?: object, options?: CallOptions) =>
    Stream.paginate("", (pageToken: string) =>
      Effect.map(
        (calls[name] as Query)({ pageSize, ...request, pageToken }, options),
        (page) =>
          [itemsOf(page), page.nextPageToken === "" ? Option.none<string>() : Option.some(page.nextPageToken)] as const
      )
    )
  return Object.fromEntries(queryNames.map((name) => [name, streamed(name)])) as unknown as All
}
