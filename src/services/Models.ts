/** Models (behaviour.md, section 4): registered by the worker of the task that produced them. */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Event from "../schema/Event.ts"
import { parse } from "../schema/Key.ts"
import { type Model, type NewModel, type NewModelMessage, validateNew } from "../schema/Model.ts"
import { BadRequest, Conflict, InvalidAsset, type NotFound } from "../schema/OrchestratorError.ts"
import { orNotFound, requiredKey } from "./Lookup.ts"
import { type OutputRefusal, openOutput } from "./OpenOutput.ts"
import { RequestContext } from "./RequestContext.ts"
import { ComputeTaskStore, type TaskWithFunction } from "./store/ComputeTaskStore.ts"
import { ModelStore, type OutputModel } from "./store/ModelStore.ts"
import type { ReadError } from "./store/StoreError.ts"
import { emitEvents, readTogether, type UnitOfWork } from "./store/UnitOfWork.ts"

type RegistrationError = InvalidAsset | BadRequest | NotFound | OutputRefusal | Conflict

/** Models, the outputs of tasks (behaviour.md, section 4). */
export class Models extends Context.Service<
  Models,
  {
    /** Models of one EXECUTING task, all or none; the first that breaks a rule decides. */
    readonly register: (
      messages: ReadonlyArray<NewModelMessage>
    ) => Effect.Effect<ReadonlyArray<Model>, RegistrationError | ReadError, RequestContext | UnitOfWork>
    /** One model; wrong fields are named as those of the model itself. */
    readonly registerOne: (
      message: NewModelMessage
    ) => Effect.Effect<Model, RegistrationError | ReadError, RequestContext | UnitOfWork>
    /** InvalidAsset for a text that is no key, NotFound for a model that the channel does not have. */
    readonly get: (key: string) => Effect.Effect<Model, InvalidAsset | NotFound | ReadError, RequestContext>
    /** The models of a task in the order of their registration, disabled ones included; none of an unknown task. */
    readonly ofTask: (taskKey: string) => Effect.Effect<ReadonlyArray<Model>, InvalidAsset | ReadError, RequestContext>
  }
>()("orchestrator/services/Models") {
  static readonly layer = Layer.effect(
    Models,
    Effect.gen(function* () {
      const tasks = yield* ComputeTaskStore
      const store = yield* ModelStore

      const register = Effect.fnUntraced(function* (messages: ReadonlyArray<NewModelMessage>) {
        const { channel, requester } = yield* RequestContext
        const [first] = messages
        if (first === undefined) return yield* new BadRequest({ message: "no model to register" })
        // Which task it is about must be known first; a key that is none is one of the first model's wrong fields.
        const taskKey = yield* Option.match(parse(first.computeTaskKey), {
          onNone: () => Effect.map(validateNew(first, 0), (model) => model.computeTaskKey),
          onSome: Effect.succeed
        })
        const found = yield* readTogether({
          task: tasks.lock(channel, taskKey),
          held: store.ofTasks(channel, [taskKey]),
          taken: store.taken(messages.flatMap((message) => Option.toArray(parse(message.key))))
        })
        const parent = yield* orNotFound("computetask", taskKey, found.task)
        const models: Array<OutputModel> = []
        const usedOutputs = new Set(found.held.map((one) => one.outputIdentifier))
        const usedKeys = new Set(found.taken)
        for (const [index, message] of messages.entries()) {
          if (message.computeTaskKey.toLowerCase() !== taskKey) {
            return yield* new BadRequest({ message: "All models should be part of the same task" })
          }
          const input = yield* validateNew(message, index)
          const identifier = input.computeTaskOutputIdentifier
          const declared = yield* openOutput(parent, identifier, "ASSET_MODEL", requester)
          if (!declared.multiple && usedOutputs.has(identifier)) {
            return yield* new Conflict({
              message: `compute task "${taskKey}" already has its unique output "${identifier}" registered`
            })
          }
          if (usedKeys.has(input.key)) return yield* Conflict.exists("model", input.key)
          usedOutputs.add(identifier)
          usedKeys.add(input.key)
          models.push(make(input, parent, requester, found.time))
        }
        yield* store.insert(channel, models)
        yield* emitEvents(models.flatMap(events))
        return models.map(({ model }) => model)
      })

      const registerOne = (message: NewModelMessage) =>
        register([message]).pipe(
          Effect.map(([model]) => model as Model),
          Effect.catchTag("InvalidAsset", (error) => Effect.fail(withoutPath(error)))
        )

      const get = Effect.fnUntraced(function* (text: string) {
        const { channel } = yield* RequestContext
        const key = yield* requiredKey("model", "key", text)
        return yield* orNotFound("model", key, yield* store.find(channel, key))
      })

      const ofTask = Effect.fnUntraced(function* (text: string) {
        const { channel } = yield* RequestContext
        const key = yield* requiredKey("computetask", "compute_task_key", text)
        return (yield* store.ofTasks(channel, [key])).map(({ model }) => model)
      })

      return Models.of({ register, registerOne, get, ofTask })
    })
  )
}

const withoutPath = ({ message, violations }: InvalidAsset): InvalidAsset =>
  violations.length === 0
    ? InvalidAsset.because(message)
    : InvalidAsset.fields(
        "model",
        violations.map(({ description, field }) => ({ field: field.replace("models[0].", ""), description }))
      )

const make = (
  { address, computeTaskOutputIdentifier, key }: NewModel,
  { task }: TaskWithFunction,
  owner: Model["owner"],
  creationDate: Model["creationDate"]
): OutputModel => {
  // The output is declared, and a task has every output that its function declares.
  const permissions = task.outputs.get(computeTaskOutputIdentifier)?.permissions as Model["permissions"]
  return {
    model: { key, computeTaskKey: task.key, address, permissions, owner, creationDate },
    outputIdentifier: computeTaskOutputIdentifier
  }
}

/** That the model is there, then that the task's output holds it. */
const events = ({ model, outputIdentifier }: OutputModel): ReadonlyArray<Event.NewEvent> => [
  Event.created({ kind: "ASSET_MODEL", asset: model }),
  Event.created({
    kind: "ASSET_COMPUTE_TASK_OUTPUT_ASSET",
    asset: {
      computeTaskKey: model.computeTaskKey,
      computeTaskOutputIdentifier: outputIdentifier,
      assetKind: "ASSET_MODEL",
      assetKey: model.key
    }
  })
]
