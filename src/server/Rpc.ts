/**
 * What a handler is: how one rpc of the contract is answered by the services. Headers, time limits, transactions,
 * encoding and errors are the middleware's (Middleware.ts); a handler decodes nothing and knows no gRPC.
 */
import { BinaryWriter } from "@bufbuild/protobuf/wire"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import { InvalidPageToken, type OrchestratorError } from "../schema/OrchestratorError.ts"
import { type Page, type PageRequest, pageLimit, type Tokens } from "../schema/Pagination.ts"
import type { Subscription } from "../services/EventHub.ts"
import type { RequestContext } from "../services/RequestContext.ts"
import type { Snapshot } from "../services/store/Database.ts"
import type { Contended } from "../services/store/StoreError.ts"
import type { UnitOfWork } from "../services/store/UnitOfWork.ts"

/** What a handler fails with. */
export type Failure = OrchestratorError | Contended

/** A call that changes something: it runs in a transaction. */
export interface Write<Request, Response> {
  readonly kind: "write"
  readonly run: (request: Request) => Effect.Effect<Response, Failure, RequestContext | UnitOfWork>
}

/** A call that reads the store. */
export interface Read<Request, Response> {
  readonly kind: "read"
  readonly run: (request: Request) => Effect.Effect<Response, Failure, RequestContext>
}

/** A call that reads the store more than once: all its reads see one state. */
export interface ReadsOneState<Request, Response> {
  readonly kind: "snapshot"
  readonly run: (request: Request) => Effect.Effect<Response, Failure, RequestContext | Snapshot>
}

/** A call that needs nothing but the server itself. */
export interface Plain<Request, Response> {
  readonly kind: "plain"
  readonly run: (request: Request) => Effect.Effect<Response, OrchestratorError>
}

/** A call that reads a page: it is cut where the answer would be larger than `maxBytes`. Answers encoded. */
export interface Query<Request> {
  readonly kind: "query"
  readonly run: (request: Request, maxBytes: number) => Effect.Effect<Uint8Array, Failure, RequestContext>
}

/** A call that subscribes to events. */
export interface Subscribe<Request> {
  readonly kind: "subscribe"
  readonly run: (request: Request) => Effect.Effect<Subscription, Failure, RequestContext | Scope.Scope>
}

export type Rpc<Request, Response> =
  | Write<Request, Response>
  | Read<Request, Response>
  | ReadsOneState<Request, Response>
  | Plain<Request, Response>
  | Query<Request>
  | Subscribe<Request>

export const write = <Request, Response>(run: Write<Request, Response>["run"]): Write<Request, Response> => ({
  kind: "write",
  run
})

export const read = <Request, Response>(run: Read<Request, Response>["run"]): Read<Request, Response> => ({
  kind: "read",
  run
})

export const readOneState = <Request, Response>(
  run: ReadsOneState<Request, Response>["run"]
): ReadsOneState<Request, Response> => ({ kind: "snapshot", run })

export const plain = <Request, Response>(run: Plain<Request, Response>["run"]): Plain<Request, Response> => ({
  kind: "plain",
  run
})

export const subscribe = <Request>(run: Subscribe<Request>["run"]): Subscribe<Request> => ({ kind: "subscribe", run })

/** What all requests of pages have. */
interface PageFields {
  readonly pageToken: string
  readonly pageSize: number
}

/** In all answers of pages the assets are field 1 and the token is field 2, both length-delimited. */
const assetTag = (1 << 3) | 2
const tokenTag = (2 << 3) | 2
/** More than any token takes, with its tag and length. */
const tokenRoom = 256
/** The most that a page is made of, whatever a client says that it takes: what one call may hold in memory. */
const maxPageBytes = 256 * 1024 * 1024
/** More than the tag and length of an asset take. */
const tagRoom = 6

/** A query by pages: its tokens, and how an asset is encoded and where it stands in the query's order. */
export const query = <Request extends PageFields, A, C extends ReadonlyArray<unknown>>(options: {
  /** Which tokens the request takes: they may depend on the direction that it asks for. */
  readonly tokens: (request: Request) => Tokens<C>
  readonly page: (request: Request, page: PageRequest<C>) => Effect.Effect<Page<A>, Failure, RequestContext>
  readonly encode: (asset: A) => Uint8Array
  readonly place: (asset: A) => C
}): Query<Request> => ({
  kind: "query",
  run: (request, acceptedBytes) =>
    Effect.gen(function* () {
      const maxBytes = Math.min(acceptedBytes, maxPageBytes)
      const tokens = options.tokens(request)
      const cursor = request.pageToken === "" ? Option.none<C>() : tokens.decode(request.pageToken)
      if (request.pageToken !== "" && Option.isNone(cursor)) return yield* new InvalidPageToken()
      const page = yield* options.page(request, { cursor, limit: pageLimit(request.pageSize), maxBytes })
      const writer = new BinaryWriter()
      let size = tokenRoom
      let last: A | undefined
      for (const asset of page.items) {
        const bytes = options.encode(asset)
        size += bytes.length + tagRoom
        if (last !== undefined && size > maxBytes) break
        writer.uint32(assetTag).bytes(bytes)
        last = asset
      }
      if (last !== undefined && (page.hasMore || last !== page.items[page.items.length - 1])) {
        writer.uint32(tokenTag).string(tokens.encode(options.place(last)))
      }
      return writer.finish()
    })
})

/** The generated description of one rpc. */
export interface MethodDefinition {
  readonly name: string
  readonly requestType: { readonly decode: (input: never) => unknown }
  readonly responseType: { readonly encode: (message: never) => { finish(): Uint8Array } }
  readonly responseStream: boolean
}

/** The generated description of one service. */
export interface ServiceDefinition {
  readonly fullName: string
  readonly methods: Readonly<Record<string, MethodDefinition>>
}

type Request<M extends MethodDefinition> = ReturnType<M["requestType"]["decode"]>
type Response<M extends MethodDefinition> = Parameters<M["responseType"]["encode"]>[0]

/** A handler for every rpc of a service. */
export type Handlers<S extends ServiceDefinition> = {
  readonly [M in keyof S["methods"]]: Rpc<Request<S["methods"][M]>, Response<S["methods"][M]>>
}

/** A service with its handlers. */
export interface Service {
  readonly definition: ServiceDefinition
  readonly handlers: Readonly<Record<string, Rpc<never, unknown>>>
}

export const service = <S extends ServiceDefinition>(definition: S, handlers: Handlers<S>): Service => ({
  definition,
  handlers: handlers as unknown as Service["handlers"]
})
