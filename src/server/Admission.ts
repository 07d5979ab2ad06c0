/**
 * Which calls may run: so many of one organization, so many of the server. Those beyond wait in a short line of their
 * organization, and whoever's turn it is goes next, organization by organization: a flood holds up the one that makes it.
 * What finds its line full is refused with UNAVAILABLE, and the text names the limit. Counted in each process.
 */
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Metric from "effect/Metric"
import type * as Scope from "effect/Scope"
import type { OrganizationId } from "../schema/Key.ts"
import { Unavailable } from "../schema/OrchestratorError.ts"

export interface Limits {
  /** Unary calls that run at once, of all organizations. */
  readonly calls: number
  /** Unary calls of one organization that run at once. */
  readonly callsPerOrganization: number
  /** Unary calls of one organization that wait for their turn. */
  readonly waitingPerOrganization: number
  /** Event streams of one organization. */
  readonly streamsPerOrganization: number
}

/** As the metric names them. */
export type Limit = "server_calls" | "organization_calls" | "organization_streams" | "event_loop_delay"

const refusals = Metric.counter("orc_calls_refused_total", {
  description: "Calls refused because the server or their organization has too many, by limit",
  incremental: true
})

/** Counts a refused call. */
export const countRefusal = (limit: Limit, context: Context.Context<never>): void =>
  Metric.withAttributes(refusals, { limit }).updateUnsafe(1, context)

/** What one organization has. */
class Share {
  readonly organization: OrganizationId
  running = 0
  streams = 0
  /** In the order in which they came. */
  readonly waiting = new Set<Ticket>()

  constructor(organization: OrganizationId) {
    this.organization = organization
  }

  get isIdle(): boolean {
    return this.running === 0 && this.streams === 0 && this.waiting.size === 0
  }
}

/** A call's place, in the line or among those that run. */
interface Ticket {
  readonly share: Share
  admitted: boolean
  onAdmitted: () => void
}

export class Admission {
  private readonly limits: Limits
  private readonly context: Context.Context<never>
  private readonly shares = new Map<OrganizationId, Share>()
  /** Organizations with calls in their lines; the first one's turn is next. */
  private readonly turns = new Set<Share>()
  private running = 0

  constructor(limits: Limits, context: Context.Context<never>) {
    this.limits = limits
    this.context = context
  }

  /** Runs a unary call of this organization once it is its turn. */
  call<A, E, R>(organization: OrganizationId, effect: Effect.Effect<A, E, R>): Effect.Effect<A, E | Unavailable, R> {
    return Effect.acquireUseRelease(
      Effect.suspend(() => this.enter(organization)),
      (ticket) => (ticket.admitted ? effect : Effect.andThen(itsTurn(ticket), effect)),
      (ticket) => Effect.sync(() => this.leave(ticket))
    )
  }

  /** Counts an event stream of this organization until the scope closes. */
  stream(organization: OrganizationId): Effect.Effect<void, Unavailable, Scope.Scope> {
    return Effect.acquireRelease(
      Effect.suspend(() => this.open(organization)),
      (share) =>
        Effect.sync(() => {
          share.streams--
          this.forget(share)
        })
    )
  }

  private enter(organization: OrganizationId): Effect.Effect<Ticket, Unavailable> {
    const share = this.shareOf(organization)
    const ticket: Ticket = { share, admitted: false, onAdmitted: () => {} }
    // Nobody overtakes those of the own organization who wait.
    if (share.waiting.size === 0 && this.hasRoom(share)) this.admit(ticket)
    else if (share.waiting.size < this.limits.waitingPerOrganization) {
      share.waiting.add(ticket)
      this.turns.add(share)
    } else return this.refuse(share)
    return Effect.succeed(ticket)
  }

  private leave(ticket: Ticket): void {
    const { share } = ticket
    if (ticket.admitted) {
      share.running--
      this.running--
      this.admitNext()
    } else {
      share.waiting.delete(ticket)
      if (share.waiting.size === 0) this.turns.delete(share)
    }
    this.forget(share)
  }

  /** Whose turn it is, and may have one call more, has it, and goes to the end of the line of organizations. */
  private admitNext(): void {
    for (const share of this.turns) {
      if (!this.hasRoom(share)) continue
      const [ticket] = share.waiting
      this.turns.delete(share)
      if (ticket === undefined) continue
      share.waiting.delete(ticket)
      if (share.waiting.size > 0) this.turns.add(share)
      this.admit(ticket)
      ticket.onAdmitted()
      return
    }
  }

  private admit(ticket: Ticket): void {
    ticket.admitted = true
    ticket.share.running++
    this.running++
  }

  private hasRoom(share: Share): boolean {
    return this.running < this.limits.calls && share.running < this.limits.callsPerOrganization
  }

  private refuse(share: Share): Effect.Effect<never, Unavailable> {
    const { calls, callsPerOrganization, waitingPerOrganization } = this.limits
    const waiting = `${waitingPerOrganization} of organization "${share.organization}" wait (ORCHESTRATOR_MAX_WAITING_CALLS_PER_ORGANIZATION)`
    this.forget(share)
    if (share.running >= callsPerOrganization) {
      countRefusal("organization_calls", this.context)
      return tooMany(
        `${callsPerOrganization} calls of one organization run at once (ORCHESTRATOR_MAX_CALLS_PER_ORGANIZATION), and ${waiting}: make fewer calls at once, call again later`
      )
    }
    countRefusal("server_calls", this.context)
    return tooMany(
      `${calls} calls run at once on this server (ORCHESTRATOR_MAX_CALLS), and ${waiting}: call again later`
    )
  }

  private open(organization: OrganizationId): Effect.Effect<Share, Unavailable> {
    const share = this.shareOf(organization)
    const { streamsPerOrganization } = this.limits
    if (share.streams >= streamsPerOrganization) {
      this.forget(share)
      countRefusal("organization_streams", this.context)
      return tooMany(
        `organization "${organization}" has ${streamsPerOrganization} event streams on this server (ORCHESTRATOR_MAX_STREAMS_PER_ORGANIZATION): end those that nobody reads, subscribe again later`
      )
    }
    share.streams++
    return Effect.succeed(share)
  }

  private shareOf(organization: OrganizationId): Share {
    let share = this.shares.get(organization)
    if (share === undefined) {
      share = new Share(organization)
      this.shares.set(organization, share)
    }
    return share
  }

  private forget(share: Share): void {
    if (share.isIdle) this.shares.delete(share.organization)
  }
}

const itsTurn = (ticket: Ticket): Effect.Effect<void> =>
  Effect.callback((resume) => {
    if (ticket.admitted) return resume(Effect.void)
    ticket.onAdmitted = () => resume(Effect.void)
  })

const tooMany = (message: string): Effect.Effect<never, Unavailable> => Effect.fail(new Unavailable({ message }))
