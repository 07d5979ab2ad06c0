/**
 * A persistent sorted map: values by their places in an order. A change copies the path to the place that it is at,
 * so it costs O(log n) and older versions stay as they were. A walk may start anywhere, at the same cost.
 */

/** Negative when `a` comes before `b`, positive when after, 0 when they are the same place. */
export type Compare<P> = (a: P, b: P) => number

/** An AVL tree: the heights of any node's sides differ by one at most. */
export type Tree<P, A> = Node<P, A> | undefined

interface Node<P, A> {
  readonly place: P
  readonly value: A
  readonly left: Tree<P, A>
  readonly right: Tree<P, A>
  readonly height: number
}

const heightOf = (tree: Tree<unknown, unknown>): number => tree?.height ?? 0

const node = <P, A>(left: Tree<P, A>, at: Node<P, A>, right: Tree<P, A>): Node<P, A> => ({
  place: at.place,
  value: at.value,
  left,
  right,
  height: 1 + Math.max(heightOf(left), heightOf(right))
})

/** The node over these sides, whose heights differ by two at most. */
const balanced = <P, A>(left: Tree<P, A>, at: Node<P, A>, right: Tree<P, A>): Node<P, A> => {
  if (left !== undefined && left.height > heightOf(right) + 1) {
    const inner = left.right
    return inner === undefined || heightOf(left.left) >= inner.height
      ? node(left.left, left, node(inner, at, right))
      : node(node(left.left, left, inner.left), inner, node(inner.right, at, right))
  }
  if (right !== undefined && right.height > heightOf(left) + 1) {
    const inner = right.left
    return inner === undefined || heightOf(right.right) >= inner.height
      ? node(node(left, at, inner), right, right.right)
      : node(node(left, at, inner.left), inner, node(inner.right, right, right.right))
  }
  return node(left, at, right)
}

/** Puts a value at a place, for the one that was there. */
export const set = <P, A>(tree: Tree<P, A>, compare: Compare<P>, place: P, value: A): Node<P, A> => {
  if (tree === undefined) return { place, value, left: undefined, right: undefined, height: 1 }
  const side = compare(place, tree.place)
  if (side < 0) return balanced(set(tree.left, compare, place, value), tree, tree.right)
  if (side > 0) return balanced(tree.left, tree, set(tree.right, compare, place, value))
  return { ...tree, place, value }
}

const first = <P, A>(tree: Node<P, A>): Node<P, A> => (tree.left === undefined ? tree : first(tree.left))

const withoutFirst = <P, A>(tree: Node<P, A>): Tree<P, A> =>
  tree.left === undefined ? tree.right : balanced(withoutFirst(tree.left), tree, tree.right)

/** Takes away what is at a place, if anything is. */
export const remove = <P, A>(tree: Tree<P, A>, compare: Compare<P>, place: P): Tree<P, A> => {
  if (tree === undefined) return undefined
  const side = compare(place, tree.place)
  if (side < 0) return balanced(remove(tree.left, compare, place), tree, tree.right)
  if (side > 0) return balanced(tree.left, tree, remove(tree.right, compare, place))
  if (tree.right === undefined) return tree.left
  return balanced(tree.left, first(tree.right), withoutFirst(tree.right))
}

/** The values in order: all of them, or those behind a place, whether or not something is there. */
export function* values<P, A>(tree: Tree<P, A>, compare: Compare<P>, after?: P): Generator<A, void> {
  const path: Array<Node<P, A>> = []
  for (let at = tree; at !== undefined; ) {
    if (after !== undefined && compare(at.place, after) <= 0) {
      at = at.right
    } else {
      path.push(at)
      at = at.left
    }
  }
  for (let at = path.pop(); at !== undefined; at = path.pop()) {
    yield at.value
    for (let next = at.right; next !== undefined; next = next.left) path.push(next)
  }
}
