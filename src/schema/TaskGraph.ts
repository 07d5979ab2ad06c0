/** The order in which a batch of tasks is registered: parents before their children (behaviour.md, section 4). */
import * as Result from "effect/Result"
import type { Key } from "./Key.ts"

/** A task and the tasks that it takes outputs of, each once. */
export interface Node {
  readonly key: Key
  readonly parents: ReadonlyArray<Key>
}

/**
 * Sorts a batch by Kahn's algorithm, first in, first out: tasks whose parents are all registered already keep their
 * order, then children follow in batch order. Takes time in proportion to tasks and edges.
 *
 * Fails with the number of tasks that find no place: those on a cycle or behind one, or below an unknown parent.
 */
export const sort = <N extends Node>(
  nodes: ReadonlyArray<N>,
  isRegistered: (key: Key) => boolean
): Result.Result<ReadonlyArray<N>, number> => {
  const indexOf = new Map<Key, number>()
  for (const [index, node] of nodes.entries()) indexOf.set(node.key, index)
  const children: Array<Array<number>> = nodes.map(() => [])
  const waitsFor = nodes.map((node, index) => {
    let count = 0
    for (const parent of node.parents) {
      const at = indexOf.get(parent)
      if (at !== undefined) children[at]?.push(index)
      if (at !== undefined || !isRegistered(parent)) count++
    }
    return count
  })

  const queue: Array<number> = []
  waitsFor.forEach((count, index) => {
    if (count === 0) queue.push(index)
  })
  for (let head = 0; head < queue.length; head++) {
    for (const child of children[queue[head] as number] as Array<number>) {
      const left = (waitsFor[child] as number) - 1
      waitsFor[child] = left
      if (left === 0) queue.push(child)
    }
  }
  return queue.length === nodes.length
    ? Result.succeed(queue.map((index) => nodes[index] as N))
    : Result.fail(nodes.length - queue.length)
}
