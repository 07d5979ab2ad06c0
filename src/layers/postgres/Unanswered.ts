/**
 * What a connection has been asked and has not answered yet. A connection answers its statements in their order, so one
 * that has answered none for longer than a statement may take is lost, and all who wait for it are told at once. Whoever
 * leaves does not take the statement along: it counts until it is answered, or the connection is given up.
 */
import type * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { ConnectionError, SqlError } from "effect/sql/SqlError"
import { noAnswer } from "./Connection.ts"
import type { Lose } from "./Detached.ts"

/** Without an answer for this long a connection is lost that has been asked nothing but what is quick. */
const quickTimeout = Duration.seconds(10)

/** An event loop that was late runs timers before it reads what has come: it gets as long to do so. */
const secondLook = Duration.millis(100)

/** A connection that works for so long at what is slow and was left is given up. */
const forNobodyTimeout = Duration.seconds(1)

/** What those fail with who wait on a connection that is given up for another reason. */
export const takenAway = new SqlError({
  reason: new ConnectionError({ cause: new Error("taken away"), message: "taken away", operation: "execute" })
})

/** A statement on its way. */
interface Asked {
  readonly lose: Lose
  readonly isSlow: boolean
  isLeft: boolean
}

/** The statements of one connection that are sent and not answered, and who waits for them. */
export class Unanswered {
  /** The slow ones among the statements that are sent and not answered. */
  slow = 0
  private lastHeard = 0
  private timer: NodeJS.Timeout | undefined
  private isSuspected = false
  /** In the order in which they were sent, which is that of their answers. */
  private readonly asked = new Set<Asked>()
  private leftBehind = 0
  /** The one whose time runs. */
  private timed: Asked | undefined
  private readonly context: Context.Context<never>
  private readonly timeout: Duration.Duration
  private readonly giveUp: Effect.Effect<void>

  /** `giveUp` is carried out when the connection turns out to be lost, before anybody is told. */
  constructor(context: Context.Context<never>, timeout: Duration.Duration, giveUp: Effect.Effect<void>) {
    this.context = context
    this.timeout = timeout
    this.giveUp = giveUp
  }

  /** Statements that are sent and not answered. */
  get onWire(): number {
    return this.asked.size
  }

  /** A statement that counts until it is answered; `lose` is called, with why, when the connection is given up. */
  counting<A>(statement: Effect.Effect<A, SqlError>, isSlow: boolean, lose: Lose): Effect.Effect<A, SqlError> {
    return Effect.suspend(() => {
      const one: Asked = { lose, isSlow, isLeft: false }
      if (this.onWire === 0) this.lastHeard = performance.now()
      this.asked.add(one)
      if (isSlow) this.slow++
      if (this.timer === undefined) this.lookIn(this.limit())
      const heard = Effect.sync(() => {
        this.asked.delete(one)
        this.lastHeard = performance.now()
        this.isSuspected = false
        if (isSlow) this.slow--
        if (one.isLeft) this.leftBehind--
        if (this.leftBehind > 0) this.lookAfterLeft()
      })
      return Effect.ensuring(statement, heard)
    })
  }

  /** Whoever sent statements with this `lose` waits no longer. What is slow is then not worth anybody's wait behind it. */
  leave(lose: Lose): void {
    for (const one of this.asked) {
      if (one.lose !== lose || one.isLeft) continue
      one.isLeft = true
      this.leftBehind++
    }
    this.lookAfterLeft()
  }

  /** Gives the connection up: what waits for it must ask another one. */
  end(): void {
    this.lost(takenAway)
  }

  /** What the connection works at, where it is slow and was left. */
  private forNobody(): Asked | undefined {
    const [one] = this.asked
    return one?.isSlow === true && one.isLeft ? one : undefined
  }

  private lookAfterLeft(): void {
    const one = this.forNobody()
    if (one === undefined || one === this.timed) return
    this.timed = one
    setTimeout(() => {
      if (this.forNobody() === one) this.end()
    }, Duration.toMillis(forNobodyTimeout)).unref()
  }

  private limit(): number {
    return Duration.toMillis(this.slow > 0 ? this.timeout : Duration.min(this.timeout, quickTimeout))
  }

  /** Often enough: what is quick may be sent, and what is slow answered, before the next look. */
  private lookIn(millis: number): void {
    this.timer = setTimeout(() => this.look(), Math.min(millis, Duration.toMillis(quickTimeout)))
    this.timer.unref()
  }

  private look(): void {
    this.timer = undefined
    if (this.onWire === 0) return
    const remaining = this.lastHeard + this.limit() - performance.now()
    if (remaining > 0) {
      this.isSuspected = false
      this.lookIn(remaining)
    } else if (this.isSuspected) this.lost(noAnswer)
    else {
      this.isSuspected = true
      this.lookIn(Duration.toMillis(secondLook))
    }
  }

  private lost(why: SqlError): void {
    const tell = Effect.sync(() => {
      for (const { lose } of [...this.asked]) lose(why)
    })
    Effect.runForkWith(this.context)(Effect.ensuring(this.giveUp, tell))
  }
}
