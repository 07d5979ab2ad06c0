/** The calls about organizations, functions, data and plans. */
import * as Effect from "effect/Effect"
import fc from "fast-check"
import { ComputePlans } from "../../src/services/ComputePlans.ts"
import { DataManagers } from "../../src/services/DataManagers.ts"
import { DataSamples } from "../../src/services/DataSamples.ts"
import { Functions } from "../../src/services/Functions.ts"
import { Organizations } from "../../src/services/Organizations.ts"
import * as calls from "../concurrency/calls.ts"
import { address, functionMessage, metadata, mostly, name, newFunction, permissions } from "./Messages.ts"
import { assetCursor, limit, maybe, type Rpc, rpc, text, walk } from "./Rpc.ts"
import { newKey, oldKey } from "./World.ts"

const organizations = {
  registerOrganization: rpc(1, mostly(fc.constantFrom("", "https://backend.example"), "nonsense"), (given, at) =>
    calls.registerOrganization(at.as, given)
  ),
  getAllOrganizations: rpc(1, fc.constant(undefined), (_, at) =>
    calls.read(
      at.as,
      Effect.flatMap(Organizations, ({ all }) => all)
    )
  )
}

const functions = {
  registerFunction: rpc(3, newFunction, (fields, at) =>
    calls.write(
      at.as,
      Effect.flatMap(Functions, (service) => service.register(functionMessage(fields, at)))
    )
  ),
  updateFunction: rpc(2, fc.record({ key: oldKey("function"), name, image: address }), ({ key, ...rest }, at) =>
    calls.write(
      at.as,
      Effect.flatMap(Functions, (service) => service.update({ ...rest, key: at.key(key) }))
    )
  ),
  applyFunctionAction: rpc(
    6,
    fc.record({
      key: oldKey("function"),
      action: mostly(fc.constantFrom("BUILDING", "BUILDING", "READY", "READY", "CANCELED", "FAILED"), "UNKNOWN", "")
    }),
    ({ action, key }, at) =>
      calls.write(
        at.as,
        Effect.flatMap(Functions, (service) => service.applyAction(at.key(key), `FUNCTION_ACTION_${action}`))
      )
  ),
  getFunction: rpc(1, oldKey("function"), (key, at) =>
    calls.read(
      at.as,
      Effect.flatMap(Functions, (service) => service.get(at.key(key)))
    )
  ),
  queryFunctions: rpc(1, fc.record({ plan: maybe(oldKey("plan")), limit }), ({ limit, plan }, at) =>
    calls.read(
      at.as,
      Effect.flatMap(Functions, (service) =>
        walk((request) => service.query({ computePlanKey: text(at, plan) }, request), assetCursor, limit)
      )
    )
  )
}

const data = {
  registerDataManager: rpc(
    2,
    fc.record({
      key: newKey("manager"),
      name,
      newPermissions: permissions,
      description: address,
      opener: address,
      logsPermission: permissions,
      metadata
    }),
    ({ key, ...rest }, at) =>
      calls.write(
        at.as,
        Effect.flatMap(DataManagers, (service) => service.register({ ...rest, key: at.key(key) }))
      )
  ),
  updateDataManager: rpc(1, fc.record({ key: oldKey("manager"), name }), ({ key, name }, at) =>
    calls.write(
      at.as,
      Effect.flatMap(DataManagers, (service) => service.update({ name, key: at.key(key) }))
    )
  ),
  getDataset: rpc(1, oldKey("manager"), (key, at) =>
    calls.read(
      at.as,
      Effect.flatMap(DataManagers, (service) => Effect.all([service.get(at.key(key)), service.getDataset(at.key(key))]))
    )
  ),
  queryDataManagers: rpc(1, limit, (limit, at) =>
    calls.read(
      at.as,
      Effect.flatMap(DataManagers, (service) => walk(service.query, assetCursor, limit))
    )
  ),
  registerDataSamples: rpc(
    3,
    fc.array(
      fc.record({
        key: newKey("sample"),
        managers: fc.array(oldKey("manager"), { maxLength: 2 }),
        checksum: mostly(fc.constant("f".repeat(64)), "nonsense")
      }),
      { maxLength: 3 }
    ),
    (samples, at) => {
      const batch = samples.map(({ checksum, key, managers }) => ({
        checksum,
        key: at.key(key),
        dataManagerKeys: managers.map(at.key)
      }))
      return calls.write(
        at.as,
        Effect.flatMap(DataSamples, (service) => service.register(batch))
      )
    }
  ),
  updateDataSamples: rpc(
    2,
    fc.record({
      samples: fc.array(oldKey("sample"), { maxLength: 3 }),
      managers: fc.array(oldKey("manager"), { maxLength: 2 })
    }),
    ({ managers, samples }, at) =>
      calls.write(
        at.as,
        Effect.flatMap(DataSamples, (service) =>
          service.update({ keys: samples.map(at.key), dataManagerKeys: managers.map(at.key) })
        )
      )
  ),
  queryDataSamples: rpc(
    1,
    fc.record({ keys: fc.array(oldKey("sample"), { maxLength: 3 }), limit }),
    ({ keys, limit }, at) =>
      calls.read(
        at.as,
        Effect.flatMap(DataSamples, (service) =>
          walk((request) => service.query({ keys: keys.map(at.key) }, request), assetCursor, limit)
        )
      )
  )
}

const plans = {
  registerPlan: rpc(
    2,
    fc.record({ key: newKey("plan"), name, tag: mostly(fc.constant("tag"), "", "t".repeat(101)), metadata }),
    ({ key, ...rest }, at) =>
      calls.write(
        at.as,
        Effect.flatMap(ComputePlans, (service) => service.register({ ...rest, key: at.key(key) }))
      )
  ),
  updatePlan: rpc(1, fc.record({ key: oldKey("plan"), name }), ({ key, name }, at) =>
    calls.write(
      at.as,
      Effect.flatMap(ComputePlans, (service) => service.update({ name, key: at.key(key) }))
    )
  ),
  applyPlanAction: rpc(
    1,
    fc.record({ key: oldKey("plan"), action: mostly(fc.constant("CANCELED"), "UNKNOWN") }),
    ({ action, key }, at) =>
      calls.write(
        at.as,
        Effect.flatMap(ComputePlans, (service) => service.applyAction(at.key(key), `PLAN_ACTION_${action}`))
      )
  ),
  isPlanRunning: rpc(2, oldKey("plan"), (key, at) =>
    calls.read(
      at.as,
      Effect.flatMap(ComputePlans, (service) => Effect.all([service.get(at.key(key)), service.isRunning(at.key(key))]))
    )
  ),
  queryPlans: rpc(
    1,
    fc.record({ owner: fc.constantFrom("", "OrgA", "OrgB", "OrgC", "a\0b"), limit }),
    ({ limit, owner }, at) =>
      calls.read(
        at.as,
        Effect.flatMap(ComputePlans, (service) =>
          walk((request) => service.query({ owner }, request), assetCursor, limit)
        )
      )
  )
}

export const assetRpcs: Readonly<Record<string, Rpc>> = { ...organizations, ...functions, ...data, ...plans }
