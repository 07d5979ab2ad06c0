/**
 * Which rows of a channel cannot be taken over: those that break a rule, and those that need one of these. Tables are
 * asked in their order; tasks need tasks, in no order of keys, so theirs are found before the first is taken.
 */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import { type Problem, type StoredAsset, type Table, tables } from "../../schema/Adoption.ts"
import { descendants, type OldTable } from "../postgres/adoption/OldAssets.ts"
import type { OldDatabase, OldDatabaseUnusable } from "../postgres/adoption/OldDatabase.ts"
import type { Row } from "../postgres/Session.ts"

export class LeftOut<E> {
  readonly #channel: string
  readonly #keys: ReadonlyMap<Table, Set<string>> = new Map(tables.map((table) => [table, new Set<string>()]))
  readonly #onProblem: (problem: Problem) => Effect.Effect<void, E>

  constructor(channel: string, onProblem: (problem: Problem) => Effect.Effect<void, E>) {
    this.#channel = channel
    this.#onProblem = onProblem
  }

  has(table: Table, key: string): boolean {
    return this.#keys.get(table)?.has(key) === true
  }

  add(table: Table, key: string, reason: string, row: unknown): Effect.Effect<void, E> {
    this.#keys.get(table)?.add(key)
    return this.#onProblem({ channel: this.#channel, table, key, reason, row })
  }

  /** The assets of these rows but for those that are left out. */
  take(table: OldTable, rows: ReadonlyArray<Row>): Effect.Effect<ReadonlyArray<StoredAsset>, E> {
    return Effect.gen({ self: this }, function* () {
      const stored: Array<StoredAsset> = []
      for (const row of rows) {
        const key = table.keyOf(row)
        if (this.has(table.table, key)) continue
        const judged = this.#judge(table, row)
        if (Result.isSuccess(judged)) stored.push(judged.success)
        else yield* this.add(table.table, key, judged.failure, row)
      }
      return stored
    })
  }

  /** Finds the tasks that are left out, and those below them. `onRead` is told how many rows were looked at. */
  findTasks(
    old: OldDatabase,
    table: OldTable,
    onRead: (rows: number) => void
  ): Effect.Effect<void, E | OldDatabaseUnusable> {
    return Effect.gen({ self: this }, function* () {
      yield* old.forEachBatch(table.sql, [this.#channel], (rows) =>
        Effect.map(this.take(table, rows), () => onRead(rows.length))
      )
      const roots = [...(this.#keys.get(table.table) ?? [])]
      if (roots.length === 0) return
      yield* old.forEachBatch(descendants, [this.#channel, roots], (rows) =>
        Effect.forEach(
          rows,
          (row) => this.add(table.table, String(row.key), `its parent compute_tasks ${row.parent} is left out`, row),
          { discard: true }
        )
      )
    })
  }

  #judge(table: OldTable, row: Row): Result.Result<StoredAsset, string> {
    const gone = table.needs(row).find((need) => this.has(need.table, need.key))
    return gone === undefined
      ? table.decode(row)
      : Result.fail(`refers to ${gone.table} ${gone.key}, which is left out`)
  }
}

/** A sample that the earlier orchestrator shows with one empty key, and this one with none. */
export const isWithoutManager = (stored: StoredAsset | undefined): boolean =>
  stored?.asset.kind === "ASSET_DATA_SAMPLE" && stored.asset.asset.dataManagerKeys.length === 0
