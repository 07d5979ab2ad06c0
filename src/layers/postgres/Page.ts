/**
 * Pages in SQL: one statement that starts after a key, reads one row more than asked for, and stops where the assets
 * so far fill an answer, by the `size` that each row has of itself, so that large assets are never read in vain.
 */
import * as Option from "effect/Option"
import type { Page, PageRequest } from "../../schema/Pagination.ts"
import type { Row } from "./Session.ts"

export interface PageQuery {
  /** Columns of the asset, with those of the order and `size` among them under their own names. */
  readonly select: string
  readonly from: string
  /** Conditions, all together, with placeholders that `params` fill from $1 on. */
  readonly where: ReadonlyArray<string>
  readonly params: ReadonlyArray<unknown>
  readonly orderBy: string
  readonly limit: number
  readonly maxBytes: number | undefined
}

/** Room for rows whose size is estimated too high. */
const estimateMargin = 2

export const pageStatement = (query: PageQuery): readonly [sql: string, params: ReadonlyArray<unknown>] => {
  const n = query.params.length
  const rows = `SELECT ${query.select} FROM ${query.from} WHERE ${query.where.join(" AND ")} ORDER BY ${query.orderBy} LIMIT $${n + 1}`
  if (query.maxBytes === undefined) {
    return [
      `SELECT t.*, count(*) OVER () AS available FROM (${rows}) t ORDER BY ${query.orderBy}`,
      [...query.params, query.limit + 1]
    ]
  }
  return [
    `SELECT * FROM (
      SELECT t.*, count(*) OVER () AS available,
             sum(t.size) OVER (ORDER BY ${query.orderBy} ROWS UNBOUNDED PRECEDING) - t.size AS before
        FROM (${rows}) t
    ) p WHERE before < $${n + 2}::bigint ORDER BY ${query.orderBy}`,
    [...query.params, query.limit + 1, String(Math.ceil(query.maxBytes * estimateMargin))]
  ]
}

/** The page of these rows. */
export const pageOf = <A>(
  rows: ReadonlyArray<Row>,
  assets: ReadonlyArray<A>,
  request: PageRequest<unknown>
): Page<A> => {
  const items = assets.slice(0, request.limit)
  return { items, hasMore: Number(rows[0]?.available ?? 0) > items.length }
}

/** Puts conditions together with their parameters. */
export class Conditions {
  readonly where: Array<string> = []
  readonly params: Array<unknown> = []

  /** `condition` gets the placeholders of `values`. Absent values put no condition. */
  add(condition: (...placeholders: ReadonlyArray<string>) => string, ...values: ReadonlyArray<unknown>): this {
    if (values.some((value) => value === undefined)) return this
    this.where.push(condition(...values.map((value) => `$${this.params.push(value)}`)))
    return this
  }

  /** The condition that a page starts after the request's cursor, if it has one. */
  after<C extends ReadonlyArray<unknown>>(
    request: PageRequest<C>,
    condition: (...placeholders: ReadonlyArray<string>) => string,
    values: (cursor: C) => ReadonlyArray<unknown>
  ): this {
    return Option.match(request.cursor, {
      onNone: () => this,
      onSome: (cursor) => this.add(condition, ...values(cursor))
    })
  }
}
