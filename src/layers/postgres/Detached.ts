/**
 * Statements run in fibers of their own. A connection answers in order, so a statement that was sent takes its place
 * whether anybody waits for it or not; and whoever finds that the connection is lost ends all that wait for it at once.
 */
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import type { SqlError } from "effect/sql/SqlError"

/** Ends what is waited for, with why no answer will come. */
export type Lose = (why: SqlError) => void

/** Work in a fiber that whoever waits for it may leave behind. */
export class Detached<A> {
  private readonly fiber: Fiber.Fiber<A, SqlError>
  private lost: SqlError | undefined

  /** Begins at once what `make` makes. `lose`, which it gets, ends it. */
  constructor(context: Context.Context<never>, make: (lose: Lose) => Effect.Effect<A, SqlError>) {
    this.fiber = Effect.runForkWith(context)(make(this.lose))
  }

  readonly lose: Lose = (why) => {
    this.lost = why
    this.fiber.interruptUnsafe()
  }

  /** Ends it for nobody. */
  interrupt(): void {
    this.fiber.interruptUnsafe()
  }

  /** How it ended, where it has. */
  poll(): Exit.Exit<A, SqlError> | undefined {
    const exit = this.fiber.pollUnsafe()
    return exit && this.told(exit)
  }

  /** Tells how it ends; gives what takes the listener away. */
  observe(ends: (exit: Exit.Exit<A, SqlError>) => void): () => void {
    return this.fiber.addObserver((exit) => ends(this.told(exit)))
  }

  /** Waits for its end. Whoever waits no longer leaves it as it is. */
  readonly await: Effect.Effect<Exit.Exit<A, SqlError>> = Effect.callback((resume) =>
    Effect.sync(this.observe((exit) => resume(Effect.succeed(exit))))
  )

  private told(exit: Exit.Exit<A, SqlError>): Exit.Exit<A, SqlError> {
    return this.lost !== undefined && Exit.isFailure(exit) ? Exit.fail(this.lost) : exit
  }
}
