/**
 * The data of the example: two classes that a line separates, but for some noise. Every organization sees another
 * part of it: other features around other means, and other shares of the classes. One seed always gives the same rows.
 */
import type { Row } from "./Learning.ts"

/** What decides the class, the same for all organizations. */
const truth = { weights: [1.6, -1.2, 0.8, -0.5, 0], bias: -0.4 }

/** Features differ in scale and lie off the middle, which gradient descent has to work on. */
const scales = [0.8, 1, 1.2, 0.6, 2]

/** Uniform in [0, 1): the generator "mulberry32". */
const generator = (seed: number) => {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
}

/** Normally distributed, by the method of Box and Muller. */
const normal = (random: () => number) => Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random())

/**
 * The data samples of one organization: `samples` lists of `size` rows.
 * `organization` is its number, from 0: it moves the means of the features.
 */
export const generate = (options: {
  readonly seed: number
  readonly organization: number
  readonly samples: number
  readonly size: number
}): ReadonlyArray<ReadonlyArray<Row>> => {
  const random = generator(options.seed * 1_000_003 + options.organization)
  const means = scales.map((_, index) => 1.5 + Math.sin(options.organization * 2.6 + index * 1.7))
  const row = (): Row => {
    const features = scales.map((scale, index) => (means[index] ?? 0) + scale * normal(random))
    const margin = features.reduce((sum, feature, index) => sum + feature * (truth.weights[index] ?? 0), truth.bias)
    return { features, label: margin + 0.5 * normal(random) > 0 ? 1 : 0 }
  }
  const list = <A>(length: number, make: () => A) => Array.from({ length }, make)
  return list(options.samples, () => list(options.size, row))
}
