/**
 * The contract that clients in production speak, against the files in proto/. wire.json says what those clients
 * know; more may be added to the files, but nothing that it names may change, and no reserved number may come back.
 */
import { execFileSync } from "node:child_process"
import { resolve } from "node:path"
import { describe, expect, it } from "vitest"
import wire from "./wire.json" with { type: "json" }

interface Contract {
  readonly package: string
  readonly files: Readonly<Record<string, ContractFile>>
}
interface ContractFile {
  readonly services: Readonly<Record<string, Readonly<Record<string, ContractMethod>>>>
  readonly enums: Readonly<
    Record<string, { readonly values: Readonly<Record<string, number>>; readonly reserved: ReadonlyArray<number> }>
  >
  readonly messages: Readonly<
    Record<
      string,
      { readonly fields: Readonly<Record<string, ContractField>>; readonly reserved: ReadonlyArray<number> }
    >
  >
}
interface ContractMethod {
  readonly request: string
  readonly response: string
  readonly serverStreaming: boolean
}
interface ContractField {
  readonly number: number
  readonly type: string
  readonly repeated?: boolean
  readonly oneof?: string
}

// The parts of a FileDescriptorSet in JSON that a fact needs: what has its default value is left out there.
interface Field {
  readonly name: string
  readonly number: number
  readonly label: string
  readonly type: string
  readonly typeName?: string
  readonly oneofIndex?: number
  readonly proto3Optional?: boolean
}
interface Message {
  readonly name: string
  readonly field?: ReadonlyArray<Field>
  readonly nestedType?: ReadonlyArray<Message & { readonly options?: { readonly mapEntry?: boolean } }>
  readonly oneofDecl?: ReadonlyArray<{ readonly name: string }>
}
interface Method {
  readonly name: string
  readonly inputType: string
  readonly outputType: string
  readonly clientStreaming?: boolean
  readonly serverStreaming?: boolean
}
interface File {
  readonly name: string
  readonly package?: string
  readonly messageType?: ReadonlyArray<Message>
  readonly enumType?: ReadonlyArray<{
    readonly name: string
    readonly value: ReadonlyArray<{ readonly name: string; readonly number?: number }>
  }>
  readonly service?: ReadonlyArray<{ readonly name: string; readonly method?: ReadonlyArray<Method> }>
}

/** What a file promises: a name, and its declaration as one would write it. */
type Facts = ReadonlyMap<string, string>

const contract: Contract = wire

const root = resolve(import.meta.dirname, "../..")

const descriptors: ReadonlyMap<string, File> = (() => {
  const output = execFileSync(resolve(root, "node_modules/.bin/buf"), ["build", "proto", "--output", "-#format=json"], {
    cwd: root,
    encoding: "utf8",
    maxBuffer: 64 * 1024 * 1024,
    shell: process.platform === "win32"
  })
  const image: { readonly file: ReadonlyArray<File> } = JSON.parse(output)
  return new Map(image.file.map((file) => [file.name, file]))
})()

const method = (request: string, response: string, clientStreaming: boolean, serverStreaming: boolean) =>
  `rpc (${clientStreaming ? "stream " : ""}${request}) returns (${serverStreaming ? "stream " : ""}${response})`

const field = ({ number, oneof, repeated, type }: ContractField) =>
  `${oneof === undefined ? "" : `oneof ${oneof} `}${repeated ? "repeated " : ""}${type} = ${number}`

const factsOfContract = (file: ContractFile): Facts => {
  const facts = new Map([["package", contract.package]])
  for (const [service, methods] of Object.entries(file.services)) {
    for (const [name, { request, response, serverStreaming }] of Object.entries(methods)) {
      facts.set(`${service}.${name}`, method(request, response, false, serverStreaming))
    }
  }
  for (const [name, { values }] of Object.entries(file.enums)) {
    for (const [value, number] of Object.entries(values)) facts.set(`${name}.${value}`, String(number))
  }
  for (const [name, { fields }] of Object.entries(file.messages)) {
    facts.set(name, "message")
    for (const [fieldName, declaration] of Object.entries(fields)) facts.set(`${name}.${fieldName}`, field(declaration))
  }
  return facts
}

const typeOf = ({ type, typeName }: Field) => typeName?.slice(1) ?? type.replace("TYPE_", "").toLowerCase()

const fieldOfMessage = (message: Message, declared: Field): ContractField => {
  const number = declared.number
  const entry = message.nestedType?.find(
    (nested) => nested.options?.mapEntry === true && declared.typeName?.endsWith(`.${message.name}.${nested.name}`)
  )
  if (entry !== undefined) return { number, type: `map<${(entry.field ?? []).map(typeOf).join(",")}>` }
  const oneof =
    declared.oneofIndex === undefined || declared.proto3Optional === true
      ? undefined
      : message.oneofDecl?.[declared.oneofIndex]?.name
  return {
    number,
    type: typeOf(declared),
    repeated: declared.label === "LABEL_REPEATED",
    ...(oneof === undefined ? {} : { oneof })
  }
}

const factsOfDescriptor = (file: File): Facts => {
  const facts = new Map([["package", file.package ?? ""]])
  for (const service of file.service ?? []) {
    for (const { clientStreaming = false, inputType, name, outputType, serverStreaming = false } of service.method ??
      []) {
      facts.set(
        `${service.name}.${name}`,
        method(inputType.slice(1), outputType.slice(1), clientStreaming, serverStreaming)
      )
    }
  }
  for (const { name, value } of file.enumType ?? []) {
    for (const { name: valueName, number = 0 } of value) facts.set(`${name}.${valueName}`, String(number))
  }
  for (const message of file.messageType ?? []) {
    facts.set(message.name, "message")
    for (const declared of message.field ?? []) {
      facts.set(`${message.name}.${declared.name}`, field(fieldOfMessage(message, declared)))
    }
  }
  return facts
}

/** `Message.field` or `Enum.VALUE` for each that uses a number which the contract withdrew. */
const reservedInUse = (wanted: ContractFile, file: File): ReadonlyArray<string> => {
  const messages = (file.messageType ?? []).flatMap(({ field = [], name }) =>
    field
      .filter(({ number }) => wanted.messages[name]?.reserved.includes(number))
      .map((declared) => `${name}.${declared.name} uses the reserved number ${declared.number}`)
  )
  const enums = (file.enumType ?? []).flatMap(({ name, value }) =>
    value
      .filter(({ number = 0 }) => wanted.enums[name]?.reserved.includes(number))
      .map((declared) => `${name}.${declared.name} uses the reserved number ${declared.number}`)
  )
  return [...messages, ...enums]
}

const broken = (wanted: ContractFile, file: File): ReadonlyArray<string> => {
  const found = factsOfDescriptor(file)
  const changed = [...factsOfContract(wanted)]
    .filter(([name, declaration]) => found.get(name) !== declaration)
    .map(([name, declaration]) => `${name}: clients know "${declaration}", found "${found.get(name) ?? "nothing"}"`)
  return [...changed, ...reservedInUse(wanted, file)]
}

describe("the wire contract", () => {
  it.each(Object.entries(contract.files))("%s is what clients know", (name, wanted) => {
    const file = descriptors.get(name)
    expect(file === undefined ? [`${name} is missing`] : broken(wanted, file)).toEqual([])
  })

  it("names what changed and what came back", () => {
    const wanted: ContractFile = {
      services: { S: { Get: { request: "orchestrator.A", response: "orchestrator.B", serverStreaming: true } } },
      enums: { E: { values: { E_ZERO: 0 }, reserved: [1] } },
      messages: {
        A: {
          fields: { key: { number: 1, type: "string" }, ref: { number: 2, type: "string", oneof: "of" } },
          reserved: [3]
        }
      }
    }
    const file: File = {
      name: "a.proto",
      package: "orchestrator",
      service: [{ name: "S", method: [{ name: "Get", inputType: ".orchestrator.A", outputType: ".orchestrator.B" }] }],
      enumType: [{ name: "E", value: [{ name: "E_ZERO" }, { name: "E_ONE", number: 1 }] }],
      messageType: [
        {
          name: "A",
          field: [
            { name: "ref", number: 2, label: "LABEL_OPTIONAL", type: "TYPE_STRING" },
            { name: "old", number: 3, label: "LABEL_OPTIONAL", type: "TYPE_BOOL" }
          ]
        }
      ]
    }
    expect(broken(wanted, file)).toEqual([
      'S.Get: clients know "rpc (orchestrator.A) returns (stream orchestrator.B)", found "rpc (orchestrator.A) returns (orchestrator.B)"',
      'A.key: clients know "string = 1", found "nothing"',
      'A.ref: clients know "oneof of string = 2", found "string = 2"',
      "A.old uses the reserved number 3",
      "E.E_ONE uses the reserved number 1"
    ])
  })
})
