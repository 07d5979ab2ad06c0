/** The order of a batch of tasks, against a model that looks at every task again for each place in the order. */

import * as Result from "effect/Result"
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import type { Key } from "../../src/schema/Key.ts"
import { type Node, sort } from "../../src/schema/TaskGraph.ts"

const registered: ReadonlyArray<Key> = ["registered 1" as Key, "registered 2" as Key]
const isRegistered = (key: Key): boolean => registered.includes(key)

/** First the tasks whose parents are all registered, then, task after task, the children that wait for no other one. */
const model = <N extends Node>(nodes: ReadonlyArray<N>): ReadonlyArray<N> => {
  const own = (key: Key) => nodes.some((node) => node.key === key)
  const placed = nodes.filter(({ parents }) => parents.every((key) => !own(key) && isRegistered(key)))
  for (let head = 0; head < placed.length; head++) {
    const passed = placed.slice(0, head + 1).map(({ key }) => key)
    const isReady = ({ parents }: N) => parents.every((key) => passed.includes(key) || (!own(key) && isRegistered(key)))
    placed.push(
      ...nodes.filter((node) => !placed.includes(node) && node.parents.includes(passed[head] as Key) && isReady(node))
    )
  }
  return placed
}

/** Batches with any edges: cycles, tasks that are their own parents, parents that nobody knows. */
const batch = fc
  .uniqueArray(fc.integer({ min: 0, max: 30 }), { minLength: 1, maxLength: 12 })
  .map((numbers) => numbers.map((number) => `task ${number}` as Key))
  .chain((keys) => {
    const parent = fc.oneof(
      { weight: 12, arbitrary: fc.constantFrom(...keys) },
      { weight: 3, arbitrary: fc.constantFrom(...registered) },
      { weight: 1, arbitrary: fc.constant("unknown" as Key) }
    )
    return fc.tuple(
      ...keys.map((key) => fc.record({ key: fc.constant(key), parents: fc.uniqueArray(parent, { maxLength: 4 }) }))
    )
  })

/** Batches without cycles, in any order. */
const acyclic = fc
  .array(fc.array(fc.nat(), { maxLength: 4 }), { minLength: 1, maxLength: 40 })
  .map((edges) =>
    edges.map((parents, index) => ({
      key: `task ${index}` as Key,
      parents: [...new Set(index === 0 ? [] : parents.map((parent) => `task ${parent % index}` as Key))]
    }))
  )
  .chain((nodes) => fc.shuffledSubarray(nodes, { minLength: nodes.length }))

describe("the order of a batch of tasks", () => {
  it("is the model's, or counts those that find no place", () => {
    fc.assert(
      fc.property(batch, (nodes) => {
        const expected = model(nodes)
        const sorted = sort(nodes, isRegistered)
        if (expected.length === nodes.length) expect(sorted).toEqual(Result.succeed(expected))
        else expect(sorted).toEqual(Result.fail(nodes.length - expected.length))
      }),
      { numRuns: 2000 }
    )
  })

  it("puts every task behind its parents, and finds a place for each where there is no cycle", () => {
    fc.assert(
      fc.property(acyclic, (nodes) => {
        const sorted = Result.getOrThrow(sort(nodes, isRegistered))
        expect(new Set(sorted)).toEqual(new Set(nodes))
        const seen = new Set<Key>()
        for (const { key, parents } of sorted) {
          for (const parent of parents) expect(seen).toContain(parent)
          seen.add(key)
        }
      }),
      { numRuns: 500 }
    )
  })

  it("of 10,000 tasks in a chain, the last first, looks at each a few times only", () => {
    let looks = 0
    const count = 10_000
    const nodes = Array.from({ length: count }, (_, index) => {
      const place = count - index
      return {
        key: `task ${place}` as Key,
        get parents(): ReadonlyArray<Key> {
          looks++
          return place === 1 ? [] : [`task ${place - 1}` as Key]
        }
      }
    })
    const sorted = Result.getOrThrow(
      sort(nodes, () => {
        looks++
        return false
      })
    )
    expect(sorted).toEqual(nodes.toReversed())
    expect(looks).toBeLessThan(10 * count)
  })
})
