/**
 * Files that may change while the server runs. They are read again and again, since links of mounted secrets are
 * swapped in ways that no file watcher sees reliably. A new content that cannot be used is refused, told in the log and
 * counted, and the old one stays in use.
 */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Metric from "effect/Metric"
import type * as Scope from "effect/Scope"
import * as SubscriptionRef from "effect/SubscriptionRef"

const reloads = Metric.counter("orc_config_reloads_total", {
  description: "Changes of files that were taken over, or refused",
  incremental: true
})

const counted = (file: string, outcome: "taken" | "refused") =>
  Metric.update(Metric.withAttributes(reloads, { file, outcome }), 1)

export interface ReloadOptions<A> {
  /** What is read, for the log and the metric: `channels`, `certificates`. */
  readonly what: string
  readonly initial: A
  /** Fails with all that is wrong with the content. */
  readonly read: Effect.Effect<A, ReadonlyArray<string>>
  /** Equal for contents that mean the same. */
  readonly fingerprint: (content: A) => string
  readonly interval: Duration.Duration
}

/** What the files hold now; it changes when they do, for as long as the scope is open. */
export const reloading = <A>(
  options: ReloadOptions<A>
): Effect.Effect<SubscriptionRef.SubscriptionRef<A>, never, Scope.Scope> =>
  Effect.gen(function* () {
    const current = yield* SubscriptionRef.make(options.initial)
    let refused = ""
    const refuse = Effect.fnUntraced(function* (why: string) {
      if (why === refused) return
      refused = why
      yield* counted(options.what, "refused")
      yield* Effect.logError(`the new ${options.what} cannot be used, the old stay in use: ${why}`)
    })
    const take = Effect.fnUntraced(function* (found: A) {
      const wasRefused = refused !== ""
      refused = ""
      if (options.fingerprint(found) === options.fingerprint(yield* SubscriptionRef.get(current))) {
        if (wasRefused) yield* Effect.logInfo(`the ${options.what} can be used again, they are those in use`)
        return
      }
      yield* SubscriptionRef.set(current, found)
      yield* counted(options.what, "taken")
      yield* Effect.logInfo(`the ${options.what} have changed, the new ones are in use`)
    })
    const look = Effect.matchEffect(options.read, {
      onFailure: (problems) => refuse(problems.join("; ")),
      onSuccess: take
      // Whatever goes wrong in a reading, the next is not to be the less tried.
    }).pipe(Effect.catchDefect((defect) => refuse(String(defect))))
    yield* Effect.forkScoped(Effect.forever(Effect.andThen(Effect.sleep(options.interval), look)))
    return current
  })
