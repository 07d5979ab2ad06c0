/**
 * Messages as clients may write them: mostly such that the rules on single fields are kept and those on the state of the
 * channel decide. Functions come in three shapes, told by their number, so that tasks can fit them.
 */
import fc from "fast-check"
import type { Addressable, NewPermissions } from "../../src/layers/wire/generated/common.ts"
import type { NewComputeTask, NewComputeTaskOutput } from "../../src/layers/wire/generated/computetask.ts"
import type { NewFunctionMessage } from "../../src/schema/Function.ts"
import * as build from "../blackbox/Builders.ts"
import { known, newKey, oldKey, type Place } from "./World.ts"

/** What is made of a record of arbitraries. */
type Fields<R> = { readonly [K in keyof R]: R[K] extends fc.Arbitrary<infer A> ? A : never }

/** Almost always the first, now and then one of the others. */
export const mostly = <A>(usual: fc.Arbitrary<A>, ...others: ReadonlyArray<A>): fc.Arbitrary<A> =>
  fc.oneof({ weight: 25, arbitrary: usual }, { weight: 1, arbitrary: fc.constantFrom(...others) })

export const name = mostly(fc.constantFrom("name", "other name"), "", "x".repeat(101), "a\0b")
export const metadata = mostly(fc.constant(new Map([["key", "value"]])), new Map(), new Map([["k", "v".repeat(101)]]))
const digest = "0123456789abcdef".repeat(4)
export const address = mostly<Addressable | undefined>(
  fc.constant({ checksum: digest, storageAddress: "https://host.example/x" }),
  { checksum: "nonsense", storageAddress: "https://host.example/x" },
  { checksum: digest, storageAddress: "word" },
  undefined
)
export const permissions = mostly<NewPermissions | undefined>(
  fc.constantFrom(build.everybody, build.everybody, build.only(), build.only("OrgB"), build.only("OrgA", "OrgB")),
  build.only("OrgC"),
  undefined
)

const inputs = {
  models: build.optional(build.many(build.model)),
  model: build.model,
  opener: build.dataManager,
  samples: build.many(build.dataSample)
}
/** Takes models or none; data, and models or none; one model. */
const shapes = [
  { inputs: { models: inputs.models }, outputs: { out: build.model, score: build.performance } },
  {
    inputs: { opener: inputs.opener, samples: inputs.samples, models: inputs.models },
    outputs: { out: build.many(build.model) }
  },
  { inputs: { model: inputs.model }, outputs: { out: build.model, score: build.performance } }
] as const
const shapeAt = (index: number | undefined) => shapes[index ?? 0] as (typeof shapes)[number]

const wrongSlots = [{ samples: inputs.samples }, { "": build.model }, { model: { ...build.model, kind: "NONSENSE" } }]

const functionFields = {
  key: newKey("function"),
  shape: fc.constantFrom<number>(0, 0, 1, 2),
  name,
  description: address,
  archive: address,
  newPermissions: permissions,
  metadata,
  wrong: mostly<Record<string, unknown> | undefined>(fc.constant(undefined), ...wrongSlots)
}
export const newFunction = fc.record(functionFields)
export type NewFunctionFields = Fields<typeof functionFields>

export const functionMessage = ({ shape, wrong, ...fields }: NewFunctionFields, at: Place) => {
  const key = at.key(fields.key)
  if (!at.shapes.has(key)) at.shapes.set(key, shape)
  return {
    ...fields,
    key,
    inputs: new Map(Object.entries(wrong ?? shapeAt(shape).inputs)),
    outputs: new Map(
      Object.entries(shapeAt(shape).outputs).map(([identifier, { kind, multiple }]) => [identifier, { kind, multiple }])
    )
  } as NewFunctionMessage
}

/** An output that others name, right or wrong: of a task that is there, or of one so many places before in the batch. */
const parent = fc.record({
  task: fc.oneof(
    { weight: 2, arbitrary: oldKey("task") },
    { weight: 1, arbitrary: mostly(fc.constantFrom<number>(1, 1, 2), 0, -1) }
  ),
  output: mostly(fc.constant("out"), "score", "nothing", "")
})
const outputPermissions = fc.record({ permissions, transient: fc.boolean() })

const taskFields = {
  key: newKey("task"),
  fn: oldKey("function"),
  plan: oldKey("plan"),
  worker: mostly(fc.constantFrom("OrgA", "OrgA", "OrgA", "OrgB"), "", "OrgC", "a\0b"),
  metadata,
  manager: oldKey("manager"),
  samples: fc.array(oldKey("sample"), { minLength: 1, maxLength: 2 }),
  parents: fc.array(parent, { maxLength: 2 }),
  model: fc.oneof({ weight: 5, arbitrary: fc.constant(undefined) }, { weight: 1, arbitrary: oldKey("model") }),
  out: outputPermissions,
  more: mostly<ReadonlyArray<string>>(fc.constant([]), ["models"], ["nothing"], ["opener"], ["samples"]),
  less: mostly<ReadonlyArray<string>>(fc.constant([]), ["out"], ["score"], ["opener"], ["samples"], ["model"]),
  /** Of the first: whether children come before their parents. */
  reversed: fc.boolean()
}
export const newTask = fc.record(taskFields)
export type NewTaskFields = Fields<typeof taskFields>

/** Tasks that fit their functions, but for what they have more or less. */
export const taskMessages = (batch: ReadonlyArray<NewTaskFields>, at: Place): ReadonlyArray<NewComputeTask> => {
  const keys = batch.map(({ key }) => at.key(key))
  const sorted = batch.map((fields, index) => {
    const before = (places: number) =>
      keys[index < places && index > 0 ? 0 : index - places] ?? at.key(known("task", 0))
    return taskMessage(fields, keys[index] as string, before, at)
  })
  return batch[0]?.reversed === true ? sorted.toReversed() : sorted
}

const taskMessage = (
  fields: NewTaskFields,
  key: string,
  before: (places: number) => string,
  at: Place
): NewComputeTask => {
  const functionKey = at.key(fields.fn)
  const shape = shapeAt(at.shapes.get(functionKey.toLowerCase()))
  const fromParents = (identifier: string) =>
    fields.parents.map(({ output, task }) =>
      build.from(identifier, typeof task === "number" ? before(task) : at.key(task), output)
    )
  const fromModel = (identifier: string) =>
    fields.model === undefined ? [] : [build.asset(identifier, at.key(fields.model))]
  const all: Record<string, () => NewComputeTask["inputs"]> = {
    opener: () => [build.asset("opener", at.key(fields.manager))],
    samples: () => fields.samples.map((sample) => build.asset("samples", at.key(sample))),
    models: () => [...fromParents("models"), ...fromModel("models")],
    model: () => [...fromModel("model"), ...fromParents("model")].slice(0, 1),
    nothing: () => [build.asset("nothing", at.key(fields.manager))]
  }
  const names = [...Object.keys(shape.inputs), ...fields.more].filter((one) => !fields.less.includes(one))
  const outputs = new Map<string, NewComputeTaskOutput>()
  for (const [identifier, { kind }] of Object.entries(shape.outputs)) {
    if (fields.less.includes(identifier)) continue
    outputs.set(identifier, kind === "ASSET_MODEL" ? fields.out : build.output())
  }
  return {
    key,
    functionKey,
    computePlanKey: at.key(fields.plan),
    worker: "opener" in shape.inputs && fields.worker !== "OrgC" ? "" : fields.worker,
    metadata: fields.metadata,
    inputs: names.flatMap((one) => all[one]?.() ?? []),
    outputs
  }
}
