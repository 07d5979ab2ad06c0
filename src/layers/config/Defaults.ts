/** Options of which some are given: one that is there and undefined is not given. */
export const withDefaults = <A extends object>(standard: A, given: Partial<A>): A => {
  const found = Object.entries(given).filter(([, value]) => value !== undefined)
  return { ...standard, ...Object.fromEntries(found) }
}
