/**
 * What the functions of the example compute: logistic regression by gradient descent, and the average of its models.
 * This file is also the archive that the functions are registered with, and the image that executors run: it imports
 * nothing, and each function takes what a task's inputs are and gives what its output is.
 */

/** One row of data: its features, and which of two classes it belongs to. */
export interface Row {
  readonly features: ReadonlyArray<number>
  readonly label: 0 | 1
}

export interface Model {
  readonly weights: ReadonlyArray<number>
  readonly bias: number
  /** How many rows it was trained on: its weight in an average. */
  readonly rows: number
}

export interface Inputs {
  /** The rows of all data samples of the task. */
  readonly rows: ReadonlyArray<Row>
  readonly models: ReadonlyArray<Model>
}

const learningRate = 0.15
const steps = 8

const score = ({ bias, weights }: Model, features: ReadonlyArray<number>) =>
  features.reduce((sum, feature, index) => sum + feature * (weights[index] ?? 0), bias)

const probability = (model: Model, features: ReadonlyArray<number>) => 1 / (1 + Math.exp(-score(model, features)))

const descend = (model: Model, rows: ReadonlyArray<Row>): Model => {
  const weights = model.weights.map(() => 0)
  let bias = 0
  for (const { features, label } of rows) {
    const error = probability(model, features) - label
    features.forEach((feature, index) => {
      weights[index] = (weights[index] ?? 0) + error * feature
    })
    bias += error
  }
  const move = (value: number, gradient: number) => value - (learningRate * gradient) / rows.length
  return {
    weights: model.weights.map((weight, index) => move(weight, weights[index] ?? 0)),
    bias: move(model.bias, bias),
    rows: rows.length
  }
}

/** A few steps of gradient descent on an organization's own rows, from the model that all share, or from nothing. */
export const train = ({ models, rows }: Inputs): Model => {
  let model = models[0] ?? { weights: rows[0]?.features.map(() => 0) ?? [], bias: 0, rows: 0 }
  for (let step = 0; step < steps; step++) model = descend(model, rows)
  return model
}

/** The average of the models, each weighing as much as the rows that it has seen. */
export const aggregate = ({ models }: Inputs): Model => {
  const rows = models.reduce((sum, model) => sum + model.rows, 0)
  const average = (value: (model: Model) => number) =>
    models.reduce((sum, model) => sum + value(model) * (model.rows / rows), 0)
  return {
    weights: models[0]?.weights.map((_, index) => average(({ weights }) => weights[index] ?? 0)) ?? [],
    bias: average(({ bias }) => bias),
    rows
  }
}

/** The share of rows whose class the model tells. */
export const test = ({ models, rows }: Inputs): number => {
  const model = models[0]
  if (model === undefined) throw new Error("there is no model to test")
  const right = rows.filter(({ features, label }) => (score(model, features) > 0 ? 1 : 0) === label)
  return right.length / rows.length
}
