/**
 * Rows that break a rule: all of them in a file, one a line as JSON, with the whole row; the first of each table and
 * their number to be told. Kinds (tables) that the operator names are left out; any other stops the adoption.
 */
import { closeSync, existsSync, fsyncSync, openSync, writeSync } from "node:fs"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { Problem, Table } from "../../schema/Adoption.ts"

/** The file of invalid rows cannot be written. */
export class InvalidRowsUnwritable extends Data.TaggedError("InvalidRowsUnwritable")<{ readonly message: string }> {}

/** How many rows of a table are told; the file has them all. */
const shown = 20

export interface InvalidRows {
  readonly add: (problem: Problem) => Effect.Effect<void, InvalidRowsUnwritable>
  /** The first of each table. */
  readonly first: ReadonlyArray<Problem>
  readonly counts: ReadonlyMap<Table, number>
  /** Tables that have invalid rows and may not have any. */
  readonly refused: () => ReadonlyArray<Table>
  /** Makes sure that the file is on the disk. Its path, if there is one. */
  readonly flush: Effect.Effect<string | undefined, InvalidRowsUnwritable>
}

/** The file is made with the first row. One that is there already is left alone, and refused before anything is read. */
export const make = (
  path: string,
  skipped: ReadonlySet<Table>
): Effect.Effect<InvalidRows, InvalidRowsUnwritable, Scope.Scope> =>
  Effect.gen(function* () {
    let file: number | undefined
    const first: Array<Problem> = []
    const counts = new Map<Table, number>()
    const attempt = <A>(what: () => A) =>
      Effect.try({
        try: what,
        catch: (cause) =>
          new InvalidRowsUnwritable({
            message: `the file of invalid rows cannot be written: ${cause instanceof Error ? cause.message : cause}. Name another with --invalid-file`
          })
      })
    yield* attempt(() => {
      if (existsSync(path)) throw new Error(`${path} exists`)
    })
    yield* Effect.addFinalizer(() => Effect.sync(() => file !== undefined && closeSync(file)))
    return {
      first,
      counts,
      add: (problem) =>
        attempt(() => {
          file ??= openSync(path, "wx", 0o600)
          writeSync(
            file,
            `${JSON.stringify(problem, (_key, value: unknown) => (typeof value === "bigint" ? Number(value) : value))}\n`
          )
          const count = (counts.get(problem.table) ?? 0) + 1
          counts.set(problem.table, count)
          if (count <= shown) first.push({ ...problem, row: undefined })
        }),
      refused: () => [...counts.keys()].filter((table) => !skipped.has(table)),
      flush: attempt(() => {
        if (file === undefined) return undefined
        fsyncSync(file)
        return path
      })
    }
  })
