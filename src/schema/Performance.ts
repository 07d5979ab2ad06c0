/** Performances: numbers that tasks produce. */
import * as Schema from "effect/Schema"
import { Key, KeyInput } from "./Key.ts"
import { IdentifierReference } from "./Text.ts"
import { Timestamp } from "./Timestamp.ts"
import * as Validation from "./Validation.ts"

export const Performance = Schema.Struct({
  computeTaskKey: Key,
  computeTaskOutputIdentifier: Schema.String,
  /** A 32-bit float: infinities and NaN are values like others. */
  performanceValue: Schema.Number,
  creationDate: Timestamp
})
export interface Performance extends Schema.Schema.Type<typeof Performance> {}

/** The key of a performance in events and errors: a task's output has one at most. */
export const keyOf = (taskKey: Key, outputIdentifier: string): string => `${taskKey}|${outputIdentifier}`

export const NewPerformance = Schema.Struct({
  computeTaskKey: KeyInput,
  computeTaskOutputIdentifier: IdentifierReference,
  performanceValue: Schema.Number
})
export interface NewPerformance extends Schema.Schema.Type<typeof NewPerformance> {}

/** A registration as a client sends it. */
export type NewPerformanceMessage = typeof NewPerformance.Encoded

/** Checks a registration (behaviour.md, section 2). */
export const validateNew = Validation.make("performance", NewPerformance)
