/** What the owner of a plan registers: the functions with their archive, the plan, and all of its tasks at once. */
import { readFile } from "node:fs/promises"
import * as Effect from "effect/Effect"
import type { Organization } from "./Organization.ts"
import { type FunctionName, only, type Plan, signatures } from "./Plan.ts"
import { Storage } from "./Storage.ts"

const registerFunction = Effect.fnUntraced(function* ({ client, id }: Organization, plan: Plan, name: FunctionName) {
  const { save } = yield* Storage
  const key = plan.functions[name]
  const module = yield* Effect.promise(() => readFile(new URL("./Learning.ts", import.meta.url), "utf8"))
  yield* client.registerFunction({
    key,
    name,
    description: yield* save(id, `functions/${key}/description.md`, `# ${name}\n\nLogistic regression.\n`),
    archive: yield* save(id, `functions/${key}/archive.ts`, module),
    newPermissions: only(...plan.organizations),
    metadata: new Map(),
    ...signatures[name]
  })
})

/** A task may be registered before its function is built, and before its parents are done: it waits for them. */
export const register = Effect.fnUntraced(function* (owner: Organization, plan: Plan) {
  const { client } = owner
  yield* Effect.forEach(["train", "aggregate", "test"] as const, (name) => registerFunction(owner, plan, name))
  const name = `Federated example, ${plan.rounds} rounds`
  yield* client.registerPlan({ key: plan.key, tag: "example", name, metadata: new Map() })
  yield* client.registerTasks({ tasks: [...plan.tasks] })
})
