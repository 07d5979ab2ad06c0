/**
 * ApplyFunctionAction: every action on every status by its owner and by another, as the state machine's data has it. What
 * becomes of the function's tasks: cascades.test.ts.
 */
import { describe, expect, it } from "vitest"
import { FunctionAction } from "../../../src/layers/wire/generated/function.ts"
import {
  FunctionStatus,
  functionActions,
  functionTransitions,
  type FunctionAction as KnownAction
} from "../../../src/schema/FunctionStatus.ts"
import * as Build from "../Builders.ts"
import * as Drive from "../Drivers.ts"
import * as Recording from "../Recording.ts"
import { type Kind, refused } from "../Refusals.ts"
import { startServer } from "../Server.ts"

const { one, two } = await startServer()
const actors = { "its owner": one, "another organization": two } as const
type Who = keyof typeof actors

type Outcome = { readonly becomes: FunctionStatus } | { readonly refusal: readonly [Kind, string] }

const outcomeOf = (action: FunctionAction, status: FunctionStatus, who: Who): Outcome => {
  const transition = action in functionActions ? functionActions[action as KnownAction] : undefined
  if (transition === undefined) return { refusal: ["OE0003", "unsupported action"] }
  if (who !== "its owner") return { refusal: ["OE0102", "only function owner can update it"] }
  const { from, to } = functionTransitions[transition]
  return from.includes(status)
    ? { becomes: to }
    : { refusal: ["OE0104", `event ${transition} inappropriate in current state ${status}`] }
}

const cases = Object.values(FunctionAction).flatMap((action) =>
  FunctionStatus.literals.flatMap((status) =>
    (Object.keys(actors) as Array<Who>).map((who) => {
      const outcome = outcomeOf(action, status, who)
      const result = "becomes" in outcome ? outcome.becomes : outcome.refusal[0]
      return { action, status, who, outcome, title: `${action} by ${who} on ${status}: ${result}` }
    })
  )
)

describe("ApplyFunctionAction", () => {
  it.each(cases)("$title", async ({ action, outcome, status, who }) => {
    const { key } = await Drive.aFunction(one, { status })
    const before = await one.getFunction({ key })
    expect(before.status).toBe(status)
    const apply = () => actors[who].applyFunctionAction({ functionKey: key, action })
    const events = await Recording.recorded(one, async () => {
      if ("becomes" in outcome) expect(await apply()).toEqual({})
      else await refused(apply(), ...outcome.refusal)
    })
    const after = await one.getFunction({ key })
    expect(after).toEqual("becomes" in outcome ? { ...before, status: outcome.becomes } : before)
    expect(events.map(Recording.short)).toEqual(
      "becomes" in outcome ? [["FUNCTION", "UPDATED", key, "User action"]] : []
    )
    expect(events.map(Recording.assetOf)).toEqual(events.map(() => after))
  })

  it("refuses an action that it does not know before it looks for the function", async () => {
    for (const functionKey of [Build.newKey(), "no key", ""]) {
      for (const action of ["FUNCTION_ACTION_UNKNOWN", "UNRECOGNIZED"] as const) {
        await refused(one.applyFunctionAction({ functionKey, action }), "OE0003", "unsupported action")
      }
    }
  })

  it("makes a function READY that has no image", async () => {
    const { key } = await Drive.aFunction(one, { status: "FUNCTION_STATUS_BUILDING" })
    await one.applyFunctionAction({ functionKey: key, action: "FUNCTION_ACTION_READY" })
    const image = { checksum: "", storageAddress: "" }
    expect(await one.getFunction({ key })).toMatchObject({ status: "FUNCTION_STATUS_READY", image })
  })

  it("of an unknown function is refused", async () => {
    const functionKey = Build.newKey()
    const unknown = one.applyFunctionAction({ functionKey, action: "FUNCTION_ACTION_BUILDING" })
    await refused(unknown, "OE0002", `function with key "${functionKey}" not found`)
  })
})
