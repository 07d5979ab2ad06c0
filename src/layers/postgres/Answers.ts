/**
 * What a connection has been asked and has not answered yet. A connection answers its statements in their order, so one
 * that has answered none for longer than a statement may take is lost, and all who wait for it are told at once.
 */
import type * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { SqlError } from "effect/sql/SqlError"
import { noAnswer } from "./Connection.ts"

/** Without an answer for this long a connection is lost that has been asked nothing but what is quick. */
const quickTimeout = Duration.seconds(10)

/** An event loop that was late runs timers before it reads what has come: it gets as long to do so. */
const secondLook = Duration.millis(100)

export class Answers {
  /** Statements that are sent and not answered, those among them included that nobody waits for any more. */
  onWire = 0
  slow = 0
  private lastHeard = 0
  private timer: NodeJS.Timeout | undefined
  private isSuspected = false
  private readonly waiting = new Set<(lost: Effect.Effect<never, SqlError>) => void>()
  private readonly context: Context.Context<never>
  private readonly timeout: Duration.Duration
  private readonly onSilence: Effect.Effect<void>

  /** `onSilence` is carried out when the connection turns out to be lost, before anybody is told. */
  constructor(context: Context.Context<never>, timeout: Duration.Duration, onSilence: Effect.Effect<void>) {
    this.context = context
    this.timeout = timeout
    this.onSilence = onSilence
  }

  /**
   * Sends a statement at once and waits for its answer. Fails with `noAnswer` when the connection turns out to be lost.
   * Whoever is interrupted waits no longer; the statement counts until it is answered all the same.
   */
  of<A>(statement: Effect.Effect<A, SqlError>, isSlow: boolean): Effect.Effect<A, SqlError> {
    return Effect.suspend(() => {
      const answer = Deferred.makeUnsafe<A, SqlError>()
      const tell = (lost: Effect.Effect<never, SqlError>) => Deferred.doneUnsafe(answer, lost)
      this.send(isSlow)
      this.waiting.add(tell)
      Effect.runForkWith(this.context)(statement).addObserver((exit) => {
        this.hear(isSlow)
        this.waiting.delete(tell)
        Deferred.doneUnsafe(answer, exit)
      })
      return Effect.onInterrupt(Deferred.await(answer), () => Effect.sync(() => this.waiting.delete(tell)))
    })
  }

  private send(isSlow: boolean): void {
    if (this.onWire === 0) this.lastHeard = performance.now()
    this.onWire++
    if (isSlow) this.slow++
    if (this.timer === undefined) this.lookIn(this.limit())
  }

  private hear(isSlow: boolean): void {
    this.lastHeard = performance.now()
    this.isSuspected = false
    this.onWire--
    if (isSlow) this.slow--
  }

  private limit(): number {
    return Duration.toMillis(this.slow > 0 ? this.timeout : Duration.min(this.timeout, quickTimeout))
  }

  private lookIn(millis: number): void {
    this.timer = setTimeout(() => this.look(), millis)
    this.timer.unref()
  }

  private look(): void {
    this.timer = undefined
    if (this.onWire === 0) return
    const left = this.lastHeard + this.limit() - performance.now()
    if (left > 0) this.lookIn(left)
    else if (this.isSuspected) this.fallSilent()
    else {
      this.isSuspected = true
      this.lookIn(Duration.toMillis(secondLook))
    }
  }

  private fallSilent(): void {
    const tellAll = Effect.sync(() => {
      const told = [...this.waiting]
      this.waiting.clear()
      for (const tell of told) tell(Effect.fail(noAnswer))
    })
    Effect.runForkWith(this.context)(Effect.andThen(this.onSilence, tellAll))
  }
}
