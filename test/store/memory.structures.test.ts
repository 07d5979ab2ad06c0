/** The sorted map and the list of the store in memory: as plain ones do, with every version kept. */
import { describe, expect, it } from "@effect/vitest"
import * as FastCheck from "fast-check"
import * as Sequence from "../../src/layers/memory/Sequence.ts"
import * as Tree from "../../src/layers/memory/Tree.ts"

const compare: Tree.Compare<number> = (a, b) => a - b

const place = FastCheck.integer({ min: 0, max: 60 })

const changes = FastCheck.array(FastCheck.record({ place, isRemoval: FastCheck.boolean() }), { maxLength: 200 })

/** The height of a tree that is balanced everywhere. */
const height = (tree: Tree.Tree<number, string>): number => {
  if (tree === undefined) return 0
  const [left, right] = [height(tree.left), height(tree.right)]
  expect(Math.abs(left - right)).toBeLessThanOrEqual(1)
  expect(tree.height).toBe(Math.max(left, right) + 1)
  return tree.height
}

describe("a tree", () => {
  it("lists what was set and not removed, in order, from any place on", () => {
    FastCheck.assert(
      FastCheck.property(changes, place, (changes, after) => {
        let tree: Tree.Tree<number, string>
        const plain = new Map<number, string>()
        for (const [index, { isRemoval, place }] of changes.entries()) {
          if (isRemoval) plain.delete(place)
          else plain.set(place, `value ${index}`)
          tree = isRemoval ? Tree.remove(tree, compare, place) : Tree.set(tree, compare, place, `value ${index}`)
        }
        const ordered = [...plain].toSorted(([a], [b]) => a - b)
        const values = (entries: typeof ordered) => entries.map(([, value]) => value)
        expect([...Tree.values(tree, compare)]).toEqual(values(ordered))
        expect([...Tree.values(tree, compare, after)]).toEqual(values(ordered.filter(([place]) => place > after)))
        height(tree)
      })
    )
  })

  it("leaves older versions as they were", () => {
    FastCheck.assert(
      FastCheck.property(changes, (changes) => {
        const versions: Array<readonly [Tree.Tree<number, string>, ReadonlyArray<string>]> = []
        let tree: Tree.Tree<number, string>
        for (const { isRemoval, place } of changes) {
          tree = isRemoval ? Tree.remove(tree, compare, place) : Tree.set(tree, compare, place, `${place}`)
          versions.push([tree, [...Tree.values(tree, compare)]])
        }
        for (const [version, values] of versions) expect([...Tree.values(version, compare)]).toEqual(values)
      })
    )
  })
})

describe("a sequence", () => {
  it("holds what was appended, in every version that it was appended to", () => {
    FastCheck.assert(
      FastCheck.property(
        FastCheck.array(FastCheck.tuple(FastCheck.nat(), FastCheck.array(FastCheck.nat(), { maxLength: 3 }))),
        (appended) => {
          const versions: Array<readonly [Sequence.Sequence<number>, ReadonlyArray<number>]> = [[Sequence.empty, []]]
          for (const [at, items] of appended) {
            const [version, plain] = versions[at % versions.length] ?? [Sequence.empty, []]
            versions.push([Sequence.append(version, items), [...plain, ...items]])
          }
          for (const [version, plain] of versions) {
            expect(version.length).toBe(plain.length)
            expect(Sequence.slice(version, 0, version.length + 1)).toEqual(plain)
            expect(Sequence.at(version, version.length)).toBeUndefined()
          }
        }
      )
    )
  })

  it("finds the first item of those that are reached", () => {
    FastCheck.assert(
      FastCheck.property(FastCheck.array(place), place, (items, from) => {
        const ordered = items.toSorted(compare)
        const index = ordered.findIndex((item) => item >= from)
        const found = Sequence.firstIndex(Sequence.append(Sequence.empty, ordered), (item) => item >= from)
        expect(found).toBe(index < 0 ? items.length : index)
      })
    )
  })
})
