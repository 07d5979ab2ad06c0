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
import { functionActions, functionTransitions, isFunctionAction } from "../schema/FunctionStatus.ts"
import { isTaskAction, taskActions, taskTransitions } from "../schema/TaskStatus.ts"
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

/** The asset that was met, if it holds what was asked for. None at all where one was met: then that is another's. */
const own = <A>(
  met: Effect.Effect<A, ClientError>,
  held: (asset: A) => unknown,
  asked: unknown
): Effect.Effect<Option.Option<A>, ClientError> =>
  met.pipe(
    Effect.map((asset) => (isDeepStrictEqual(held(asset), asked) ? Option.some(asset) : Option.none())),
    Effect.catchTag("NotFound", () => Effect.succeedNone)
  )

/** Everything as a whole, or nothing. */
const all = <A>(met: ReadonlyArray<Option.Option<A>>): Option.Option<Array<A>> => Option.all(met)

const concurrency = 8

const settleModel = ({ ask, organization }: Inquiry, model: RequestOf<"registerModel">): Outcome<"registerModel"> =>
  own(
    ask("getModel", { key: model.key }),
    // A model that was disabled meanwhile has no address any more.
    (met) => [met.owner, met.computeTaskKey, met.address ?? model.address],
    [organization, lower(model.computeTaskKey), model.address]
  )

type NewTask = RequestOf<"registerTasks">["tasks"][number]

const inputsOf = (inputs: NewTask["inputs"]) =>
  inputs.map(({ identifier, ref }) =>
    ref?.$case === "parentTaskOutput"
      ? [identifier, lower(ref.value.parentTaskKey), ref.value.outputIdentifier]
      : [identifier, lower(ref?.value ?? "")]
  )

/** What a task was registered with, but for what the server computes; its outputs and worker are told apart. */
const contentOf = (task: NewTask | ComputeTask): ReadonlyArray<unknown> => [
  lower(task.functionKey),
  lower(task.computePlanKey),
  task.metadata,
  inputsOf(task.inputs)
]

const settleTask = (
  { ask, organization }: Inquiry,
  task: NewTask
): Effect.Effect<Option.Option<ComputeTask>, ClientError> =>
  own(
    ask("getTask", { key: task.key }),
    (met) => [
      met.owner,
      // Without one the server has named the data manager's owner.
      task.worker === "" ? "" : met.worker,
      new Map([...met.outputs].map(([name, one]) => [name, [distinctBoth(one.permissions), one.transient]])),
      contentOf(met)
    ],
    [
      organization,
      task.worker,
      new Map([...task.outputs].map(([name, one]) => [name, [keptBoth(one.permissions, organization), one.transient]])),
      contentOf(task)
    ]
  )

/** An action that meets the state that it leads to. */
const reached = <Answer>(error: ClientError, state: string | undefined, answer: Answer): Option.Option<Answer> =>
  state !== undefined && error._tag === "IncompatibleStatus" && error.current === state
    ? Option.some(answer)
    : Option.none()

/** The states that actions lead to; none for what is no action. */
const taskState = (action: string): string | undefined =>
  isTaskAction(action) ? taskTransitions[taskActions[action].transition].to : undefined

const functionState = (action: string): string | undefined =>
  isFunctionAction(action) ? functionTransitions[functionActions[action]].to : undefined

/** Every rpc that changes something and may be made again. One that is not here is repeated only if it was never sent. */
export const repetitions: { readonly [Name in UnaryName]?: Repetition<Name> } = {
  registerOrganization: {
    settle: ({ ask, organization }, { address }) =>
      Effect.map(ask("getAllOrganizations", {}), ({ organizations }) =>
        Option.fromUndefinedOr(organizations.find((found) => found.id === organization && found.address === address))
      )
  },
  registerFunction: {
    settle: ({ ask, organization }, { archive, description, inputs, key, metadata, name, newPermissions, outputs }) =>
      own(
        ask("getFunction", { key }),
        (met) => [
          met.owner,
          distinctBoth(met.permissions),
          ...[met.name, met.description, met.archive, met.metadata, met.inputs, met.outputs]
        ],
        [organization, keptBoth(newPermissions, organization), name, description, archive, metadata, inputs, outputs]
      )
  },
  registerDataManager: {
    settle: ({ ask, organization }, { description, key, logsPermission, metadata, name, newPermissions, opener }) =>
      own(
        ask("getDataManager", { key }),
        (met) => [
          met.owner,
          distinctBoth(met.permissions),
          distinct(met.logsPermission),
          ...[met.name, met.description, met.opener, met.metadata]
        ],
        [
          organization,
          keptBoth(newPermissions, organization),
          kept(logsPermission, organization),
          ...[name, description, opener, metadata]
        ]
      )
  },
  registerDataSamples: {
    settle: ({ ask, organization }, { samples }) =>
      Effect.map(
        Effect.forEach(
          samples,
          ({ checksum, dataManagerKeys, key }) =>
            own(ask("getDataSample", { key }), (met) => [met.owner, met.checksum, met.dataManagerKeys], [
              organization,
              checksum,
              [...new Set(dataManagerKeys.map(lower))]
            ]),
          { concurrency }
        ),
        (met) => Option.map(all(met), (dataSamples) => ({ dataSamples }))
      )
  },
  registerPlan: {
    settle: ({ ask, organization }, { key, metadata, name, tag }) =>
      own(ask("getPlan", { key }), (met) => [met.owner, met.tag, met.name, met.metadata], [
        organization,
        tag,
        name,
        metadata
      ])
  },
  registerTasks: {
    settle: (inquiry, { tasks }) =>
      Effect.map(
        Effect.forEach(tasks, (task) => settleTask(inquiry, task), { concurrency }),
        // As the contract has it: parents before their children.
        (met) => Option.map(all(met), (registered) => ({ tasks: registered.sort((a, b) => a.rank - b.rank) }))
      )
  },
  registerModel: { settle: settleModel },
  registerModels: {
    settle: (inquiry, { models }) =>
      Effect.map(
        Effect.forEach(models, (model) => settleModel(inquiry, model), { concurrency }),
        (met) => Option.map(all(met), (registered) => ({ models: registered }))
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
    settle: ({ ask, organization }, { assetKey, assetType, errorType, logsAddress }) =>
      own(ask("getFailureReport", { assetKey }), (met) => [met.owner, met.assetType, met.errorType, met.logsAddress], [
        organization,
        assetType,
        errorType,
        logsAddress
      ])
  },
  registerProfilingStep: idempotent,
  updateFunction: idempotent,
  updateDataManager: idempotent,
  updateDataSamples: idempotent,
  updatePlan: idempotent,
  applyTaskAction: {
    settle: (_inquiry, { action }, error) => Effect.succeed(reached(error, taskState(action), {}))
  },
  applyFunctionAction: {
    settle: (_inquiry, { action }, error) => Effect.succeed(reached(error, functionState(action), {}))
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
