/** EventService. */
import * as Effect from "effect/Effect"
import { EventServiceDefinition } from "../../layers/wire/generated/event.ts"
import { EventCursor, tokens } from "../../schema/Pagination.ts"
import { Events } from "../../services/Events.ts"
import { EventCodec } from "../../services/store/EventCodec.ts"
import { query, service, subscribe } from "../Rpc.ts"

const ascending = tokens("QueryEvents ascending", EventCursor)
const descending = tokens("QueryEvents descending", EventCursor)

/** UNSPECIFIED and unknown orders are ascending. */
const isDescending = (request: { readonly sort: string }): boolean => request.sort === "DESCENDING"

export const eventHandlers = Effect.gen(function* () {
  const events = yield* Events
  const codec = yield* EventCodec
  return service(EventServiceDefinition, {
    queryEvents: query({
      tokens: (request) => (isDescending(request) ? descending : ascending),
      page: (request, page) => events.query(request.filter, isDescending(request), page),
      encode: (event) => codec.complete(event.message, event.timestamp),
      place: (event): EventCursor => [event.timestamp, event.position]
    }),
    subscribeToEvents: subscribe((request) => events.subscribe(request.startEventId))
  })
})
