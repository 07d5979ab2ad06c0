/**
 * State machines as plain data: named transitions, each from some states to one. Services follow them, tests go
 * through all of their combinations, the documentation is drawn from them. The machine of tasks is in TaskStatus.ts, that
 * of functions in FunctionStatus.ts.
 */
import * as Result from "effect/Result"
import { IncompatibleStatus } from "./OrchestratorError.ts"

/** One transition: its name in error texts, and where it leads. */
export interface Transition<State extends string> {
  readonly from: ReadonlyArray<State>
  readonly to: State
}

/** Transitions by name. */
export type Transitions<Name extends string, State extends string> = { readonly [N in Name]: Transition<State> }

/** The state that this transition leads to, or OE0104 when it does not start from the current one. */
export const follow = <Name extends string, State extends string>(
  machine: Transitions<Name, State>,
  transition: Name,
  current: State
): Result.Result<State, IncompatibleStatus> =>
  machine[transition].from.includes(current)
    ? Result.succeed(machine[transition].to)
    : Result.fail(new IncompatibleStatus({ transition, status: current }))
