/** Queries of assets by creation date, then key: all but those of performances and events. */
import { AssetCursor, tokens } from "../schema/Pagination.ts"
import type { Timestamp } from "../schema/Timestamp.ts"
import { type Query, query } from "./Rpc.ts"

interface Asset {
  readonly key: string
  readonly creationDate: Timestamp
}

export const assetQuery = <Request extends { readonly pageToken: string; readonly pageSize: number }, A extends Asset>(
  name: string,
  options: Pick<Parameters<typeof query<Request, A, AssetCursor>>[0], "page" | "encode">
): Query<Request> => {
  const own = tokens(name, AssetCursor)
  return query({ ...options, tokens: () => own, place: (asset: A): AssetCursor => [asset.creationDate, asset.key] })
}
