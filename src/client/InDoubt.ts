/**
 * What became of a call whose answer was lost, when its repetition is refused. A registration that meets the asset that
 * it would have registered, and an action that meets the state that it leads to, are done; anything else is refused for
 * good. Keys are the clients' own, so an asset with this key, owner and content is this call's.
 */
import { isDeepStrictEqual } from "node:util"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { Permission, Permissions } from "../layers/wire/generated/common.ts"
import type { ComputeTask } from "../layers/wire/generated/computetask.ts"
import type { ClientError } from "./ClientError.ts"
import type { Immutable, RequestOf, ResponseOf, UnaryName } from "./Contract.ts"

/** Who asks, and what may be asked to find out. */
export interface Inquiry {
  readonly organization: string
  readonly ask: <Name extends UnaryName>(
    name: Name,
    request: RequestOf<Name>
  ) => Effect.Effect<ResponseOf<Name>, ClientError>
}

type Outcome<Name extends UnaryName> = Effect.Effect<Option.Option<ResponseOf<Name>>, ClientError>

/** How an rpc that changes something is repeated. */
interface Repetition<Name extends UnaryName> {
  readonly settle: (inquiry: Inquiry, request: RequestOf<Name>, error: ClientError) => Outcome<Name>
}

/** What a repetition changes once more is the same again: there is nothing to settle. */
const idempotent = { settle: () => Effect.succeedNone }

const lower = (key: string): string => key.toLowerCase()

/** The found asset as the answer, if it holds what was asked for. */
const same = <A>(found: A, held: unknown, asked: unknown): Option.Option<A> =>
  isDeepStrictEqual(held, asked) ? Option.some(found) : Option.none()

/** What is asked for as the server keeps it: the owner is among those who are named. */
const kept = (asked: Immutable<Permission> | undefined, owner: string): Permission => ({
  public: asked?.public ?? false,
  authorizedIds: [...new Set([...(asked?.authorizedIds ?? []), owner])]
})

const keptBoth = (asked: Immutable<Permission> | undefined, owner: string): Permissions => ({
  process: kept(asked, owner),
  download: kept(asked, owner)
})

/** Duplicates that were asked for are kept by the server, and say nothing. */
const distinct = (permission: Permission | undefined): Permission | undefined =>
  permission && { ...permission, authorizedIds: [...new Set(permission.authorizedIds)] }

const distinctBoth = (permissions: Permissions | undefined): Permissions | undefined =>
  permissions && { process: distinct(permissions.process), download: distinct(permissions.download) }

/** No asset where one was met: then what was met is another's. */
const orNone = <A>(found: Effect.Effect<Option.Option<A>, ClientError>): Effect.Effect<Option.Option<A>, ClientError> =>
  Effect.catchTag(found, "NotFound", () => Effect.succeedNone)

/** Everything as a whole, or nothing. */
const all = <A>(found: ReadonlyArray<Option.Option<A>>): Option.Option<Array<A>> => Option.all(found)

const concurrency = 8

const settleModel = ({ ask, organization }: Inquiry, model: RequestOf<"registerModel">): Outcome<"registerModel"> =>
  orNone(
    Effect.map(ask("getModel", { key: model.key }), (found) =>
      same(
        found,
        // A model that was disabled meanwhile has no address any more.
        [found.owner, found.computeTaskKey, found.address ?? model.address],
        [organization, lower(model.computeTaskKey), model.address]
      )
    )
  )

type NewTask = RequestOf<"registerTasks">["tasks"][number]

const inputsOf = (inputs: NewTask["inputs"]) =>
  inputs.map(({ identifier, ref }) =>
    ref?.$case === "parentTaskOutput"
      ? [identifier, lower(ref.value.parentTaskKey), ref.value.outputIdentifier]
      : [identifier, lower(ref?.value ?? "")]
  )

const sameTask = (found: ComputeTask, asked: NewTask, owner: string): Option.Option<ComputeTask> =>
  same(
    found,
    [
      found.owner,
      found.functionKey,
      found.computePlanKey,
      found.metadata,
      inputsOf(found.inputs),
      [...found.outputs.keys()].sort()
    ],
    [
      owner,
      lower(asked.functionKey),
      lower(asked.computePlanKey),
      asked.metadata,
      inputsOf(asked.inputs),
      [...asked.outputs.keys()].sort()
    ]
  )

/** An action that meets the state that it leads to. */
const reached = <Answer>(error: ClientError, state: string | undefined, answer: Answer): Option.Option<Answer> =>
  error._tag === "IncompatibleStatus" && error.current === state ? Option.some(answer) : Option.none()

const taskStates: Readonly<Record<string, string>> = {
  TASK_ACTION_EXECUTING: "STATUS_EXECUTING",
  TASK_ACTION_DONE: "STATUS_DONE",
  TASK_ACTION_FAILED: "STATUS_FAILED",
  TASK_ACTION_CANCELED: "STATUS_CANCELED"
}

/** Every rpc that changes something and may be made again. One that is not here is repeated only if it was never sent. */
export const repetitions: { readonly [Name in UnaryName]?: Repetition<Name> } = {
  registerOrganization: {
    settle: ({ ask, organization }, { address }) =>
      Effect.map(ask("getAllOrganizations", {}), ({ organizations }) =>
        Option.fromUndefinedOr(organizations.find((found) => found.id === organization && found.address === address))
      )
  },
  registerFunction: {
    settle: ({ ask, organization }, asked) =>
      orNone(
        Effect.map(ask("getFunction", { key: asked.key }), (found) =>
          same(
            found,
            [
              found.owner,
              found.name,
              found.description,
              found.archive,
              distinctBoth(found.permissions),
              found.metadata,
              found.inputs,
              found.outputs
            ],
            [
              organization,
              asked.name,
              asked.description,
              asked.archive,
              keptBoth(asked.newPermissions, organization),
              asked.metadata,
              asked.inputs,
              asked.outputs
            ]
          )
        )
      )
  },
  registerDataManager: {
    settle: ({ ask, organization }, asked) =>
      orNone(
        Effect.map(ask("getDataManager", { key: asked.key }), (found) =>
          same(
            found,
            [
              found.owner,
              found.name,
              found.description,
              found.opener,
              distinctBoth(found.permissions),
              distinct(found.logsPermission),
              found.metadata
            ],
            [
              organization,
              asked.name,
              asked.description,
              asked.opener,
              keptBoth(asked.newPermissions, organization),
              kept(asked.logsPermission, organization),
              asked.metadata
            ]
          )
        )
      )
  },
  registerDataSamples: {
    settle: ({ ask, organization }, { samples }) =>
      orNone(
        Effect.map(
          Effect.forEach(
            samples,
            (asked) =>
              Effect.map(ask("getDataSample", { key: asked.key }), (found) =>
                same(
                  found,
                  [found.owner, found.checksum, found.dataManagerKeys],
                  [organization, asked.checksum, [...new Set(asked.dataManagerKeys.map(lower))]]
                )
              ),
            { concurrency }
          ),
          (found) => Option.map(all(found), (dataSamples) => ({ dataSamples }))
        )
      )
  },
  registerPlan: {
    settle: ({ ask, organization }, asked) =>
      orNone(
        Effect.map(ask("getPlan", { key: asked.key }), (found) =>
          same(
            found,
            [found.owner, found.tag, found.name, found.metadata],
            [organization, asked.tag, asked.name, asked.metadata]
          )
        )
      )
  },
  registerTasks: {
    settle: ({ ask, organization }, { tasks }) =>
      orNone(
        Effect.map(
          Effect.forEach(
            tasks,
            (asked) => Effect.map(ask("getTask", { key: asked.key }), (found) => sameTask(found, asked, organization)),
            { concurrency }
          ),
          // As the contract has it: parents before their children.
          (found) => Option.map(all(found), (own) => ({ tasks: own.sort((a, b) => a.rank - b.rank) }))
        )
      )
  },
  registerModel: { settle: settleModel },
  registerModels: {
    settle: (inquiry, { models }) =>
      Effect.map(
        Effect.forEach(models, (model) => settleModel(inquiry, model), { concurrency }),
        (found) => Option.map(all(found), (own) => ({ models: own }))
      )
  },
  registerPerformance: {
    settle: ({ ask }, { computeTaskKey, computeTaskOutputIdentifier, performanceValue }) =>
      Effect.map(ask("queryPerformances", { filter: { computeTaskKey, computeTaskOutputIdentifier } }), (page) =>
        Option.fromUndefinedOr(
          page.Performances.find((found) => Object.is(found.performanceValue, Math.fround(performanceValue)))
        )
      )
  },
  registerFailureReport: {
    // Registered, it has ended its task or function: the repetition meets that before it meets the report.
    settle: ({ ask, organization }, asked) =>
      orNone(
        Effect.map(ask("getFailureReport", { assetKey: asked.assetKey }), (found) =>
          same(
            found,
            [found.owner, found.assetType, found.errorType, found.logsAddress],
            [organization, asked.assetType, asked.errorType, asked.logsAddress]
          )
        )
      )
  },
  registerProfilingStep: idempotent,
  updateFunction: idempotent,
  updateDataManager: idempotent,
  updateDataSamples: idempotent,
  updatePlan: idempotent,
  applyTaskAction: {
    settle: (_inquiry, { action }, error) => Effect.succeed(reached(error, taskStates[action], {}))
  },
  applyFunctionAction: {
    settle: (_inquiry, { action }, error) =>
      Effect.succeed(reached(error, action.replace("FUNCTION_ACTION_", "FUNCTION_STATUS_"), {}))
  },
  applyPlanAction: {
    settle: ({ ask }, { key }, error) =>
      error._tag !== "TerminatedComputePlan"
        ? Effect.succeedNone
        : Effect.map(ask("getPlan", { key }), ({ cancelationDate }) =>
            cancelationDate === undefined ? Option.none() : Option.some({})
          )
  },
  disableOutput: {
    settle: (_inquiry, _request, error) =>
      Effect.succeed(
        error._tag === "CannotDisableOutput" && /is disabled already/.test(error.details)
          ? Option.some({})
          : Option.none()
      )
  }
}

/** Reads may be made any number of times. */
export const isRead = (name: UnaryName): boolean => /^(get|query|is)[A-Z]/.test(name)
