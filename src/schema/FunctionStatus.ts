/** The states of a function's build, the ways between them, and what each does to the function's tasks (behaviour.md, section 4). */
import * as Schema from "effect/Schema"
import type { Transitions } from "./StateMachine.ts"
import type { TaskStatus, TaskTransition } from "./TaskStatus.ts"

export const FunctionStatus = Schema.Literals([
  "FUNCTION_STATUS_WAITING",
  "FUNCTION_STATUS_BUILDING",
  "FUNCTION_STATUS_READY",
  "FUNCTION_STATUS_CANCELED",
  "FUNCTION_STATUS_FAILED"
])
export type FunctionStatus = typeof FunctionStatus.Type

export type FunctionTransition = "transitionBuilding" | "transitionReady" | "transitionCanceled" | "transitionFailed"

export const functionTransitions: Transitions<FunctionTransition, FunctionStatus> = {
  transitionBuilding: { from: ["FUNCTION_STATUS_WAITING"], to: "FUNCTION_STATUS_BUILDING" },
  transitionReady: { from: ["FUNCTION_STATUS_BUILDING"], to: "FUNCTION_STATUS_READY" },
  transitionCanceled: {
    from: ["FUNCTION_STATUS_WAITING", "FUNCTION_STATUS_BUILDING"],
    to: "FUNCTION_STATUS_CANCELED"
  },
  transitionFailed: { from: ["FUNCTION_STATUS_BUILDING"], to: "FUNCTION_STATUS_FAILED" }
}

/** The transition that each action of `ApplyFunctionAction` asks for; only the function's owner may. */
export const functionActions = {
  FUNCTION_ACTION_BUILDING: "transitionBuilding",
  FUNCTION_ACTION_READY: "transitionReady",
  FUNCTION_ACTION_CANCELED: "transitionCanceled",
  FUNCTION_ACTION_FAILED: "transitionFailed"
} as const satisfies Record<string, FunctionTransition>
export type FunctionAction = keyof typeof functionActions

export const isFunctionAction = (action: string): action is FunctionAction => Object.hasOwn(functionActions, action)

/** Which of a function's tasks follow a transition. READY sends each where its parents stand, the others all alike. */
export const followingTasks: { readonly [T in FunctionTransition]: ReadonlyArray<TaskStatus> } = {
  transitionBuilding: ["STATUS_WAITING_FOR_BUILDER_SLOT"],
  transitionReady: ["STATUS_BUILDING"],
  transitionCanceled: ["STATUS_WAITING_FOR_BUILDER_SLOT", "STATUS_BUILDING"],
  transitionFailed: ["STATUS_BUILDING"]
}

/** By which transitions they do. */
export const followingTransitions: { readonly [T in FunctionTransition]: ReadonlyArray<TaskTransition> } = {
  transitionBuilding: ["transitionBuilding"],
  transitionReady: ["transitionWaitingExecutorSlot", "transitionWaitingParentTasks"],
  transitionCanceled: ["transitionCanceled"],
  transitionFailed: ["transitionFailed"]
}
