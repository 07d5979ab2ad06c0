/** The states of a compute task and the ways between them (behaviour.md, section 4). */
import * as Schema from "effect/Schema"
import type { Transitions } from "./StateMachine.ts"

export const TaskStatus = Schema.Literals([
  "STATUS_WAITING_FOR_BUILDER_SLOT",
  "STATUS_BUILDING",
  "STATUS_WAITING_FOR_PARENT_TASKS",
  "STATUS_WAITING_FOR_EXECUTOR_SLOT",
  "STATUS_EXECUTING",
  "STATUS_DONE",
  "STATUS_CANCELED",
  "STATUS_FAILED"
])
export type TaskStatus = typeof TaskStatus.Type

/** States that nothing leads out of. */
export const finalStatuses: ReadonlyArray<TaskStatus> = ["STATUS_DONE", "STATUS_CANCELED", "STATUS_FAILED"]

export const isFinal = (status: TaskStatus): boolean => finalStatuses.includes(status)

/** States from which a task may yet be canceled or fail. */
export const unfinishedStatuses: ReadonlyArray<TaskStatus> = TaskStatus.literals.filter((status) => !isFinal(status))

export type TaskTransition =
  | "transitionBuilding"
  | "transitionWaitingParentTasks"
  | "transitionWaitingExecutorSlot"
  | "transitionExecuting"
  | "transitionDone"
  | "transitionFailed"
  | "transitionCanceled"

export const taskTransitions: Transitions<TaskTransition, TaskStatus> = {
  transitionBuilding: { from: ["STATUS_WAITING_FOR_BUILDER_SLOT"], to: "STATUS_BUILDING" },
  transitionWaitingParentTasks: { from: ["STATUS_BUILDING"], to: "STATUS_WAITING_FOR_PARENT_TASKS" },
  transitionWaitingExecutorSlot: {
    from: ["STATUS_BUILDING", "STATUS_WAITING_FOR_PARENT_TASKS"],
    to: "STATUS_WAITING_FOR_EXECUTOR_SLOT"
  },
  transitionExecuting: { from: ["STATUS_WAITING_FOR_EXECUTOR_SLOT"], to: "STATUS_EXECUTING" },
  transitionDone: { from: ["STATUS_EXECUTING"], to: "STATUS_DONE" },
  transitionFailed: { from: unfinishedStatuses, to: "STATUS_FAILED" },
  transitionCanceled: { from: unfinishedStatuses, to: "STATUS_CANCELED" }
}

/** Who asks for a transition through `ApplyTaskAction`, and which one it is. */
export const taskActions = {
  TASK_ACTION_EXECUTING: { transition: "transitionExecuting", actors: ["worker"] },
  TASK_ACTION_DONE: { transition: "transitionDone", actors: ["worker"] },
  TASK_ACTION_FAILED: { transition: "transitionFailed", actors: ["owner", "worker"] },
  TASK_ACTION_CANCELED: { transition: "transitionCanceled", actors: ["owner", "worker"] }
} as const satisfies Record<
  string,
  { readonly transition: TaskTransition; readonly actors: ReadonlyArray<"owner" | "worker"> }
>
export type TaskAction = keyof typeof taskActions

export const isTaskAction = (action: string): action is TaskAction => Object.hasOwn(taskActions, action)
