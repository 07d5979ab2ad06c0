/**
 * The rpcs of the contract by name, with the types of their messages, made from the generated definitions: an rpc that
 * is added to proto/ is here, and so in every client, without a line written.
 */
import type { BinaryReader } from "@bufbuild/protobuf/wire"
import { services } from "../layers/wire/generated/index.ts"
import { strictReader } from "../layers/wire/StrictReader.ts"

type Intersection<U> = (U extends unknown ? (member: U) => void : never) extends (all: infer I) => void ? I : never

/** The rpcs of all services: no two have the same name. Types that go over its keys keep the comments of proto/. */
export type Methods = Intersection<(typeof services)[number]["methods"]>

interface MessageType<T> {
  readonly encode: (message: T) => { readonly finish: () => Uint8Array }
  readonly decode: (bytes: Uint8Array | BinaryReader) => T
}

type MessageOf<Type> = Type extends { readonly decode: (...args: never) => infer T } ? T : never

type NamesOf<Stream extends boolean> = {
  readonly [Name in keyof Methods]: Methods[Name]["responseStream"] extends Stream ? Name : never
}[keyof Methods]

/** The rpcs that answer once. */
export type UnaryName = NamesOf<false>
/** The rpcs that answer with a stream. */
export type StreamName = NamesOf<true>

/** A message as a caller may give it: nothing of it is changed. */
export type Immutable<T> = T extends string | number | boolean | bigint | undefined
  ? T
  : T extends Map<infer K, infer V>
    ? ReadonlyMap<K, Immutable<V>>
    : T extends Array<infer A>
      ? ReadonlyArray<Immutable<A>>
      : { readonly [K in keyof T]: Immutable<T[K]> }

/** Queries may leave out what they do not ask for, in their filter too; everything else is named in whole. */
type Given<T> = T extends { pageToken: string }
  ? Partial<Immutable<Omit<T, "filter">>> &
      (T extends { filter: infer Filter } ? { readonly filter?: Partial<Immutable<NonNullable<Filter>>> } : unknown)
  : Immutable<T>

export type ResponseOf<Name extends keyof Methods> = MessageOf<Methods[Name]["responseType"]>
export type RequestOf<Name extends keyof Methods> = Given<MessageOf<Methods[Name]["requestType"]>>

/** The arguments of an rpc: its request, unless that may be empty, then the call's options. */
export type Arguments<Name extends keyof Methods, Options> =
  Record<never, never> extends RequestOf<Name>
    ? [request?: RequestOf<Name>, options?: Options]
    : [request: RequestOf<Name>, options?: Options]

/** The queries by pages, which answer with a list and the token of the next page. */
export type QueryName = {
  readonly [Name in UnaryName]: ResponseOf<Name> extends { nextPageToken: string } ? Name : never
}[UnaryName]

/** What the pages of a query hold. */
export type ItemOf<Name extends keyof Methods> = {
  readonly [Field in keyof ResponseOf<Name>]: ResponseOf<Name>[Field] extends Array<infer A> ? A : never
}[keyof ResponseOf<Name>]

/** One rpc as it is on the wire. */
export interface Rpc {
  /** As the contract writes it: `RegisterPlan`. */
  readonly name: string
  /** `/orchestrator.ComputePlanService/RegisterPlan` */
  readonly path: string
  readonly isStream: boolean
  readonly encode: (request: object) => Uint8Array
  /** Throws for bytes that are no such message. */
  readonly decode: (bytes: Uint8Array) => object
}

/** Field 3, present and empty: in all requests that have a filter it is this one. */
const emptyFilter = Uint8Array.of((3 << 3) | 2, 0)

/** A request with what was left out filled in as empty. */
const complete = (type: MessageType<object>, given: object & { readonly filter?: object }): object => {
  const empty = type.decode(given.filter === undefined ? new Uint8Array() : emptyFilter) as { readonly filter?: object }
  return { ...empty, ...given, ...(given.filter === undefined ? {} : { filter: { ...empty.filter, ...given.filter } }) }
}

/** Every rpc by the name that clients call it by. */
export const rpcs: ReadonlyMap<string, Rpc> = new Map(
  services.flatMap(({ fullName, methods }) =>
    Object.entries(methods).map(([name, method]) => {
      const requestType = method.requestType as unknown as MessageType<object>
      const responseType = method.responseType as unknown as MessageType<object>
      const rpc: Rpc = {
        name: method.name,
        path: `/${fullName}/${method.name}`,
        isStream: method.responseStream,
        encode: (request) => requestType.encode(complete(requestType, request)).finish(),
        decode: (bytes) => responseType.decode(strictReader(bytes))
      }
      return [name, rpc] as const
    })
  )
)

/** The names of all queries by pages. */
export const queryNames: ReadonlyArray<QueryName> = [...rpcs].flatMap(([name, rpc]) =>
  "nextPageToken" in rpc.decode(new Uint8Array()) ? [name as QueryName] : []
)
