/** Sequences of calls by two organizations in two channels, most of them by the first in the first. */
import fc from "fast-check"
import * as build from "../blackbox/Builders.ts"
import { assetRpcs } from "./AssetRpcs.ts"
import type { NewFunctionFields, NewTaskFields } from "./Messages.ts"
import type { Rpc } from "./Rpc.ts"
import { taskRpcs } from "./TaskRpcs.ts"
import { fresh, type KeyRef, known, last, oldKey } from "./World.ts"

export interface Command {
  readonly rpc: string
  readonly by: number
  readonly channel: number
  readonly args: unknown
}

export interface Sequence {
  /** In which order keys sort. */
  readonly salt: number
  readonly commands: ReadonlyArray<Command>
}

export const rpcs: Readonly<Record<string, Rpc>> = { ...assetRpcs, ...taskRpcs }

const address = build.addressable()
const metadata = new Map<string, string>()

const single: fc.Arbitrary<Command> = fc.oneof(
  ...Object.entries(rpcs).map(([rpc, { args, weight }]) => ({
    weight,
    arbitrary: fc.record({
      rpc: fc.constant(rpc),
      by: fc.oneof({ weight: 6, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: fc.constant(1) }),
      channel: fc.oneof({ weight: 14, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: fc.constant(1) }),
      args
    })
  }))
)

const byFirst = (rpc: string, args: unknown): Command => ({ rpc, by: 0, channel: 0, args })

const readyFunction = (index: number): ReadonlyArray<Command> => {
  const key = known("function", index)
  const fields: NewFunctionFields = {
    key: fresh("function"),
    shape: index,
    name: "function",
    description: address,
    archive: address,
    newPermissions: build.everybody,
    metadata,
    wrong: undefined
  }
  return [
    byFirst("registerFunction", fields),
    byFirst("applyFunctionAction", { key, action: "BUILDING" }),
    byFirst("applyFunctionAction", { key, action: "READY" })
  ]
}

const newTask = (parents: ReadonlyArray<number>): NewTaskFields => ({
  key: fresh("task"),
  fn: known("function", 0),
  plan: known("plan", 0),
  worker: "OrgA",
  metadata,
  manager: known("manager", 0),
  samples: [],
  parents: parents.map((parent) => ({ task: parent, output: "out" })),
  model: undefined,
  out: build.output(build.everybody, true),
  more: [],
  less: [],
  reversed: true
})

const move = (task: KeyRef, action: string) => byFirst("applyTaskAction", { key: task, action, log: "" })

const execute = (task: KeyRef): ReadonlyArray<Command> => [
  move(task, "EXECUTING"),
  byFirst("registerModels", { models: [{ key: fresh("model"), task: undefined, output: "out", address }], task })
]

/** What workers and owners do, in the order in which it is allowed: random calls alone do not get that far often. */
const scene: fc.Arbitrary<ReadonlyArray<Command>> = fc
  .record({
    task: oldKey("task"),
    fn: oldKey("function"),
    end: fc.constantFrom("DONE", "FAILED", "CANCELED"),
    which: fc.nat({ max: 3 })
  })
  .map(({ end, fn, task, which }) => {
    const build = (action: string) => byFirst("applyFunctionAction", { key: fn, action })
    const [child, parent] = [last("task", 0), last("task", 2)]
    switch (which) {
      case 0:
        return [
          ...execute(task),
          byFirst("registerPerformance", { task, output: "score", value: 0.5 }),
          move(task, end)
        ]
      case 1:
        return [build("BUILDING"), build("READY")]
      case 2:
        return [byFirst("disableOutput", { key: task, output: "out" })]
      default:
        return [
          byFirst("registerTasks", [newTask([]), newTask([1]), newTask([2])]),
          ...execute(parent),
          move(parent, "DONE"),
          byFirst("getTaskInputAssets", child),
          ...execute(child),
          move(child, end),
          move(last("task", 1), "CANCELED"),
          byFirst("disableOutput", { key: parent, output: "out" })
        ]
    }
  })

/** Both organizations are there. */
const registered: ReadonlyArray<Command> = [0, 1].flatMap((channel) =>
  [0, 1].map((by) => ({ rpc: "registerOrganization", by, channel, args: "" }))
)

/** Then everything that tasks need, and two tasks: the child of one that is being executed. */
const running: ReadonlyArray<Command> = [
  byFirst("registerPlan", { key: fresh("plan"), name: "plan", tag: "", metadata }),
  ...readyFunction(0),
  ...readyFunction(1),
  byFirst("registerDataManager", {
    key: fresh("manager"),
    name: "manager",
    newPermissions: build.everybody,
    description: address,
    opener: address,
    logsPermission: build.everybody,
    metadata
  }),
  byFirst("registerDataSamples", [{ key: fresh("sample"), managers: [known("manager", 0)], checksum: "f".repeat(64) }]),
  byFirst("registerTasks", [newTask([]), newTask([1])]),
  move(known("task", 0), "EXECUTING")
]

const start = fc.oneof(
  { weight: 1, arbitrary: fc.constant([]) },
  { weight: 2, arbitrary: fc.constant(registered) },
  { weight: 7, arbitrary: fc.constant([...registered, ...running]) }
)

export const sequence: fc.Arbitrary<Sequence> = fc.record({
  salt: fc.nat(),
  commands: fc
    .tuple(
      start,
      fc.array(fc.oneof({ weight: 6, arbitrary: single.map((one) => [one]) }, { weight: 1, arbitrary: scene }), {
        minLength: 25,
        maxLength: 45,
        size: "max"
      })
    )
    .map(([before, after]) => [...before, ...after.flat()])
})
