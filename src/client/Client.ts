/**
 * The client of an orchestrator, for one organization in one channel: every rpc of the contract as an effect, the
 * channel's events as a stream that outlives connections, queries as streams. Calls fail with the errors of
 * ClientError.ts and nothing else; whatever is open ends with the scope.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import * as Calls from "./Calls.ts"
import type { ClientError } from "./ClientError.ts"
import { type ClientOptions, type InvalidClientOptions, settings } from "./ClientOptions.ts"
import { Connection } from "./Connection.ts"
import * as Events from "./Events.ts"
import * as Pages from "./Pages.ts"
import * as Plans from "./Plans.ts"

export interface OrchestratorClient extends Calls.UnaryCalls, Calls.StreamCalls, Events.EventsApi {
  /** Who calls. */
  readonly organization: string
  /** The channel of every call. */
  readonly channel: string
  /** Every query as a stream of all that fits: `all.queryTasks({ filter: { worker } })`. */
  readonly all: Pages.All
  /**
   * Waits until a plan is over, and looks first whether it is already: every task is DONE, or one FAILED or CANCELED
   * (others may go on), or the plan was canceled (its tasks may go on). A plan without a task has not begun: it is waited
   * for until it has tasks and they are done, or it is canceled. `NotFound` when the channel has no such plan. There is no
   * other end: bound it by Effect.timeout.
   */
  readonly waitForPlan: (key: string) => Effect.Effect<Plans.FinishedPlan, ClientError>
}

/** The newest event is asked for before each subscription: an answer that takes longer than this is none. */
const lookTimeout = 10_000

/** Connects when the first call is made; closes its connection with the scope. */
export const connect = (options: ClientOptions): Effect.Effect<OrchestratorClient, InvalidClientOptions, Scope.Scope> =>
  Effect.gen(function* () {
    const used = yield* settings(options)
    const connection = yield* Connection.make(used)
    const once = Calls.unaryCalls(connection, { ...used, retryFor: 0, timeout: Math.min(used.timeout, lookTimeout) })
    const calls = Calls.unaryCalls(connection, used)
    const newestBy = (by: Calls.UnaryCalls) => (callOptions?: Calls.CallOptions) =>
      Effect.map(by.queryEvents({ pageSize: 1, sort: "DESCENDING" }, callOptions), ({ events: [event] }) => event)
    const events = Events.make({
      newestOnce: newestBy(once)(),
      newest: newestBy(calls),
      subscribe: (startEventId) => Calls.arrivals(connection, "subscribeToEvents", { startEventId }),
      retryFor: used.retryFor
    })
    return {
      ...calls,
      ...Calls.streamCalls(connection),
      ...events,
      organization: used.organization,
      channel: used.channel,
      all: Pages.all(calls),
      waitForPlan: Plans.make(calls, events)
    }
  })

/** The client as a service, for programs with one organization and channel. */
export class Client extends Context.Service<Client, OrchestratorClient>()("orchestrator/client/Client") {
  /** A client for as long as the layer lives. Fails, before any call, with everything that is wrong with the options. */
  static readonly layer = (options: ClientOptions): Layer.Layer<Client, InvalidClientOptions> =>
    Layer.effect(Client, connect(options))
}
