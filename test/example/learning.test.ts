/** The example computes something: its accuracies are those of models that learned from data. */
import { describe, expect, it } from "vitest"
import { aggregate, type Model, test, train } from "../../examples/federated/Learning.ts"
import * as Samples from "../../examples/federated/Samples.ts"

const dataOf = (organization: number, seed = 1) => {
  const samples = Samples.generate({ seed, organization, samples: 4, size: 100 })
  return { training: samples.slice(0, 3).flat(), testing: samples.slice(3).flat() }
}

/** The accuracy at each organization, after each round. */
const learn = (organizations: number, rounds: number, seed = 1) => {
  const data = Array.from({ length: organizations }, (_, number) => dataOf(number, seed))
  let shared: Model | undefined
  return Array.from({ length: rounds }, () => {
    const models = data.map(({ training }) => train({ rows: training, models: shared === undefined ? [] : [shared] }))
    const average = aggregate({ rows: [], models })
    shared = average
    return data.map(({ testing }) => test({ rows: testing, models: [average] }))
  })
}

describe("the learning of the example", () => {
  it.each([1, 2, 3, 4, 5])("gets better round by round (seed %d)", (seed) => {
    const means = learn(2, 4, seed).map((accuracies) => (accuracies[0] ?? 0) / 2 + (accuracies[1] ?? 0) / 2)
    expect(means).toEqual(means.toSorted((a, b) => a - b))
    expect(means.at(-1)).toBeGreaterThan((means[0] ?? 1) + 0.05)
    expect(means.at(-1)).toBeGreaterThan(0.8)
  })

  it("gives the same accuracies for the same seed, others for another", () => {
    expect(learn(3, 2, 1)).toEqual(learn(3, 2, 1))
    expect(learn(3, 2, 1)).not.toEqual(learn(3, 2, 2))
  })

  it("gives organizations different data", () => {
    const shares = [0, 1].map((organization) => {
      const { training } = dataOf(organization)
      return training.filter(({ label }) => label === 1).length / training.length
    })
    expect(Math.abs((shares[0] ?? 0) - (shares[1] ?? 0))).toBeGreaterThan(0.1)
  })

  it("weighs models by the rows that they have seen", () => {
    const models: ReadonlyArray<Model> = [
      { weights: [1, 0], bias: 4, rows: 300 },
      { weights: [5, 8], bias: 0, rows: 100 }
    ]
    expect(aggregate({ rows: [], models })).toEqual({ weights: [2, 2], bias: 3, rows: 400 })
  })
})
