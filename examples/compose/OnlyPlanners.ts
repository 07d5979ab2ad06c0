// A policy of your own, as a Layer around a service: only MyOrg1MSP may register compute plans, and two at most.
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import { OrchestratorError } from "substra-orchestrator/schema"
import { ComputePlans, RequestContext } from "substra-orchestrator/services"

const planners = ["MyOrg1MSP"]

export const layer = Layer.effect(
  ComputePlans,
  Effect.map(ComputePlans, (plans) =>
    ComputePlans.of({
      ...plans,
      register: (message) =>
        Effect.gen(function* () {
          const { requester } = yield* RequestContext
          if (!planners.includes(requester)) {
            return yield* new OrchestratorError.PermissionDenied({ message: `${requester} may not register plans` })
          }
          const { items } = yield* plans.query({ owner: requester }, { cursor: Option.none(), limit: 2 })
          if (items.length === 2) {
            return yield* new OrchestratorError.PermissionDenied({ message: `${requester} has two plans already` })
          }
          return yield* plans.register(message)
        })
    })
  )
)
