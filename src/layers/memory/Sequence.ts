/**
 * A persistent list that grows at its end. Versions share one array, each knows how much of it is its own, so that
 * appending costs in proportion to what is appended, and any place is found at once.
 */

export interface Sequence<A> {
  /** Never changed below `length`. */
  readonly items: Array<A>
  readonly length: number
}

export const empty: Sequence<never> = { items: [], length: 0 }

/** The same list with these behind. The version that the array was grown for last grows it on, others copy theirs. */
export const append = <A>(self: Sequence<A>, more: ReadonlyArray<A>): Sequence<A> => {
  const items = self.length > 0 && self.items.length === self.length ? self.items : self.items.slice(0, self.length)
  for (const item of more) items.push(item)
  return { items, length: items.length }
}

/** The item at this index, if there is one. */
export const at = <A>(self: Sequence<A>, index: number): A | undefined =>
  index < self.length ? self.items[index] : undefined

/** The items from one index to before another. */
export const slice = <A>(self: Sequence<A>, from: number, to: number): ReadonlyArray<A> =>
  self.items.slice(Math.max(from, 0), Math.max(Math.min(to, self.length), 0))

/** The first index whose item is reached, in a list where all that are reached come after those that are not. */
export const firstIndex = <A>(self: Sequence<A>, isReached: (item: A) => boolean): number => {
  let low = 0
  let high = self.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if (isReached(self.items[middle] as A)) high = middle
    else low = middle + 1
  }
  return low
}
