/** Functions: what tasks run, with the inputs and outputs that they declare. */
import * as Schema from "effect/Schema"
import { Addressable, AddressableInput } from "./Addressable.ts"
import { InputKind, OutputKind } from "./AssetKind.ts"
import { FunctionStatus } from "./FunctionStatus.ts"
import { Key, KeyInput, OrganizationId } from "./Key.ts"
import type { FieldViolation } from "./OrchestratorError.ts"
import { NewPermissions, Permissions } from "./Permission.ts"
import { asOne, entryProblems, lengthProblem, Metadata, MetadataInput, Name } from "./Text.ts"
import { Timestamp } from "./Timestamp.ts"
import * as Validation from "./Validation.ts"

export const FunctionInput = Schema.Struct({ kind: InputKind, multiple: Schema.Boolean, optional: Schema.Boolean })
export interface FunctionInput extends Schema.Schema.Type<typeof FunctionInput> {}

export const FunctionOutput = Schema.Struct({ kind: OutputKind, multiple: Schema.Boolean })
export interface FunctionOutput extends Schema.Schema.Type<typeof FunctionOutput> {}

export const Function = Schema.Struct({
  key: Key,
  name: Schema.String,
  description: Addressable,
  archive: Addressable,
  permissions: Permissions,
  owner: OrganizationId,
  creationDate: Timestamp,
  metadata: Metadata,
  inputs: Schema.ReadonlyMap(Schema.String, FunctionInput),
  outputs: Schema.ReadonlyMap(Schema.String, FunctionOutput),
  status: FunctionStatus,
  /** Empty texts until the image is built and named by an update. */
  image: Addressable
})
export interface Function extends Schema.Schema.Type<typeof Function> {}

// Maps are named as a whole in errors, so a rule on an entry is a rule on the map.
const AnyInputs = Schema.ReadonlyMap(Schema.String, Schema.Struct({ ...FunctionInput.fields, kind: Schema.String }))
const AnyOutputs = Schema.ReadonlyMap(Schema.String, Schema.Struct({ ...FunctionOutput.fields, kind: Schema.String }))

const isInputKind = Schema.is(InputKind)
const isOutputKind = Schema.is(OutputKind)

const areInputs = (inputs: typeof AnyInputs.Type): inputs is ReadonlyMap<string, FunctionInput> =>
  [...inputs.values()].every(({ kind }) => isInputKind(kind))

const areOutputs = (outputs: typeof AnyOutputs.Type): outputs is ReadonlyMap<string, FunctionOutput> =>
  [...outputs.values()].every(({ kind }) => isOutputKind(kind))

const identifierProblem = (identifier: string): string | undefined => {
  const problem = lengthProblem(identifier, 1, 100)
  return problem === undefined ? undefined : `an identifier is wrong: ${problem}`
}

/** What the data inputs of a function are to each other. */
const dataProblems = (inputs: typeof AnyInputs.Type): ReadonlyArray<string> => {
  const kinds = [...inputs.values()].map(({ kind }) => kind)
  const managers = kinds.filter((kind) => kind === "ASSET_DATA_MANAGER").length
  return [
    ...(managers > 1 ? ["there can be one data manager input at most"] : []),
    ...(managers > 0 !== kinds.includes("ASSET_DATA_SAMPLE")
      ? ["a data manager input needs data sample inputs, and they need it"]
      : [])
  ]
}

const inputsProblem = (inputs: typeof AnyInputs.Type): string | undefined => {
  const ofEntries = entryProblems(inputs, (identifier, { kind, multiple, optional }) => {
    const name = JSON.stringify(identifier)
    return [
      identifierProblem(identifier),
      isInputKind(kind) ? undefined : `${name} must be of kind ${InputKind.literals.join(", ")}`,
      kind === "ASSET_DATA_MANAGER" && (multiple || optional)
        ? `${name} is a data manager, it can be neither multiple nor optional`
        : undefined
    ]
  })
  const problems = [...(ofEntries === undefined ? [] : [ofEntries]), ...dataProblems(inputs)]
  return problems.length === 0 ? undefined : asOne(problems)
}

const outputsProblem = (outputs: typeof AnyOutputs.Type): string | undefined =>
  entryProblems(outputs, (identifier, { kind, multiple }) => {
    const name = JSON.stringify(identifier)
    return [
      identifierProblem(identifier),
      isOutputKind(kind) ? undefined : `${name} must be of kind ${OutputKind.literals.join(", ")}`,
      kind === "ASSET_PERFORMANCE" && multiple ? `${name} is a performance, it cannot be multiple` : undefined
    ]
  })

export const NewFunction = Schema.Struct({
  key: KeyInput,
  name: Name,
  description: AddressableInput,
  archive: AddressableInput,
  newPermissions: NewPermissions,
  metadata: MetadataInput,
  inputs: AnyInputs.check(Schema.makeFilter(inputsProblem)).pipe(Schema.refine(areInputs)),
  outputs: AnyOutputs.check(Schema.makeFilter(outputsProblem)).pipe(Schema.refine(areOutputs))
})

/** A valid registration: identifiers and kinds are as the rules want them. */
export interface NewFunction extends Schema.Schema.Type<typeof NewFunction> {}

/** A registration as a client sends it. */
export type NewFunctionMessage = Validation.Message<typeof NewFunction.Encoded>

/** Checks a registration (behaviour.md, section 2). */
export const validateNew = Validation.make("function", NewFunction)

/** An update: the name is replaced; the image too, when its checksum is not empty. */
export const FunctionUpdate = Schema.Struct({ key: KeyInput, name: Name, image: Schema.optional(Addressable) })
export interface FunctionUpdate extends Schema.Schema.Type<typeof FunctionUpdate> {}

const imageViolations = (message: FunctionUpdateMessage): ReadonlyArray<FieldViolation> =>
  message.image === undefined || message.image.checksum === ""
    ? []
    : Validation.violations(AddressableInput, message.image, ["image"])

/** An update as a client sends it. */
export type FunctionUpdateMessage = Validation.Message<typeof FunctionUpdate.Encoded>

/** Checks an update; an image with an empty checksum is no image and not looked at. */
export const validateUpdate = Validation.make("function", FunctionUpdate, imageViolations)
