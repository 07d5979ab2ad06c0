/**
 * Whether the event loop has too much to do. It is late now and then, for a garbage collection or a large message: only
 * where it was late each of the last times that it was looked at does work stand in line. New work is refused then,
 * before what is taken in fills the memory.
 */
import { performance } from "node:perf_hooks"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"

const interval = 50

/** How often in a row it must have been late. */
const looks = 4

export class EventLoopDelay {
  private readonly last: Array<number> = []
  private readonly bound: number

  /** Overloaded beyond this delay. */
  constructor(bound: Duration.Duration) {
    this.bound = Duration.toMillis(bound)
  }

  /** A look at it found it this late, in milliseconds. */
  found(late: number): void {
    this.last.push(late)
    if (this.last.length > looks) this.last.shift()
  }

  get isOverloaded(): boolean {
    return this.last.length === looks && Math.min(...this.last) > this.bound
  }
}

/** Looks at the event loop until the scope closes. */
export const watch = (bound: Duration.Duration): Effect.Effect<EventLoopDelay, never, Scope.Scope> =>
  Effect.map(
    Effect.acquireRelease(
      Effect.sync(() => {
        const delay = new EventLoopDelay(bound)
        let due = performance.now() + interval
        const look = () => {
          const now = performance.now()
          delay.found(now - due)
          due = now + interval
          timer = setTimeout(look, interval).unref()
        }
        let timer = setTimeout(look, interval).unref()
        return { delay, stop: () => clearTimeout(timer) }
      }),
      ({ stop }) => Effect.sync(stop)
    ),
    ({ delay }) => delay
  )
