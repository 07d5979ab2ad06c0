/** ComputePlanService. */
import * as Effect from "effect/Effect"
import { ComputePlan, ComputePlanServiceDefinition } from "../../layers/wire/generated/computeplan.ts"
import * as Messages from "../../layers/wire/Messages.ts"
import { ComputePlans } from "../../services/ComputePlans.ts"
import { assetQuery } from "../AssetQuery.ts"
import { read, service, write } from "../Rpc.ts"

export const computePlanHandlers = Effect.map(ComputePlans, (plans) =>
  service(ComputePlanServiceDefinition, {
    registerPlan: write((request) => Effect.map(plans.register(request), Messages.computePlan)),
    getPlan: read((request) => Effect.map(plans.get(request.key), Messages.computePlan)),
    applyPlanAction: write(({ action, key }) => Effect.as(plans.applyAction(key, action), {})),
    queryPlans: assetQuery("QueryPlans", {
      page: (request, page) => plans.query(request.filter ?? { owner: "" }, page),
      encode: (plan) => ComputePlan.encode(Messages.computePlan(plan)).finish()
    }),
    updatePlan: write((request) => Effect.as(plans.update(request), {})),
    isPlanRunning: read((request) => Effect.map(plans.isRunning(request.key), (isRunning) => ({ isRunning })))
  })
)
