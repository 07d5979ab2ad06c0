/**
 * Random old databases that keep the old constraints: texts of any script, metadata of any names, dates anywhere in a
 * microsecond, permissions with and without what can be left out, graphs of tasks, events in any order of time.
 */
import { randomUUID } from "node:crypto"
import fc from "fast-check"

type Json = Readonly<Record<string, unknown>>

/** Rows by table. */
export type Rows = Readonly<Record<string, ReadonlyArray<Json>>>

const text = (maxLength: number) =>
  fc
    .string({ unit: "grapheme", maxLength })
    .map((any) => [...any.replaceAll("\0", "").toWellFormed()].slice(0, 100).join(""))

const metadata = fc.oneof(
  { weight: 1, arbitrary: fc.constant(null) },
  {
    weight: 3,
    arbitrary: fc.dictionary(fc.oneof(text(10), fc.constantFrom("__proto__", "constructor", "")), text(20), {
      maxKeys: 4
    })
  }
)

const micros = fc.integer({ min: 1_500_000_000_000_000, max: 1_900_000_000_000_000 })
const iso = (at: number): string =>
  `${new Date(Math.floor(at / 1e6) * 1000).toISOString().slice(0, 19)}.${String(at % 1e6).padStart(6, "0")}Z`
const date = micros.map(iso)

/** What is false or empty may be left out. */
const permission = fc.record(
  {
    public: fc.constant(true),
    authorizedIds: fc.array(fc.constantFrom("OrgA", "OrgB", "OrgC"), { minLength: 1, maxLength: 4 })
  },
  { requiredKeys: [] }
)
const permissions = fc.record({ process: permission, download: permission })

const checksum = fc.stringMatching(/^[0-9a-f]{64}$/)
const bool = fc.boolean()
const organization = fc.constantFrom("OrgA", "OrgB")
const owned = { owner: organization, creation_date: date }
const identifiers = fc.uniqueArray(
  text(8).filter((name) => name !== ""),
  { maxLength: 3 }
)

const addressable = fc.record({ checksum: fc.option(checksum, { nil: "" }) }).map(({ checksum: sum }) => ({
  storage_address: `https://${randomUUID()}.example.org/x`,
  checksum: sum
}))

const functions = fc.record({
  ...owned,
  name: text(30),
  addresses: fc.tuple(addressable, addressable),
  hasImage: bool,
  permissions,
  metadata,
  status: fc
    .constantFrom("WAITING", "BUILDING", "READY", "CANCELED", "FAILED")
    .map((status) => `FUNCTION_STATUS_${status}`),
  inputs: identifiers,
  outputs: identifiers
})

const managers = fc.record({
  ...owned,
  name: text(30),
  addresses: fc.tuple(addressable, addressable),
  permissions,
  logs_permission: permission,
  metadata
})

const samples = fc.record({ ...owned, checksum, managers: fc.array(fc.nat(9), { maxLength: 3 }) })

const plans = fc.record({
  ...owned,
  tag: text(20),
  name: text(20),
  metadata,
  cancelation_date: fc.option(date),
  failure_date: fc.option(date)
})

const statuses = [
  "WAITING_FOR_BUILDER_SLOT",
  "BUILDING",
  "WAITING_FOR_PARENT_TASKS",
  "WAITING_FOR_EXECUTOR_SLOT",
  "EXECUTING",
  "DONE",
  "CANCELED",
  "FAILED"
]

const float = fc.float({ noDefaultInfinity: true, noNaN: true }).map((value) => (value === 0 ? 0 : value))

const tasks = fc.record({
  ...owned,
  plan: fc.nat(9),
  fn: fc.nat(9),
  worker: organization,
  status: fc.constantFrom(...statuses).map((status) => `STATUS_${status}`),
  logs_permission: permission,
  metadata,
  inputs: fc.array(fc.record({ identifier: text(8), parent: fc.option(fc.nat(20)) }), { maxLength: 4 }),
  outputs: fc.uniqueArray(
    fc.record({
      identifier: text(8).filter((name) => name !== ""),
      permissions,
      transient: bool,
      models: fc.nat(3),
      value: fc.option(float)
    }),
    { maxLength: 3, selector: ({ identifier }) => identifier }
  ),
  models: fc.record({ ...owned, permissions, isDisabled: bool }),
  report: fc.option(fc.constantFrom("BUILD", "EXECUTION", "INTERNAL"))
})

const nanos = fc
  .tuple(micros, fc.nat(999))
  .map(([at, rest]) => iso(at).replace("Z", `${String(rest).padStart(3, "0")}Z`))

/** Assets as events hold them: messages in proto3 JSON, defaults left out, tasks with or without inputs and outputs. */
const eventAssets = fc.oneof(
  fc
    .record({ id: organization, address: text(10), creationDate: nanos }, { requiredKeys: ["id"] })
    .map((asset) => ({ kind: "ASSET_ORGANIZATION", asset })),
  fc
    .record(
      {
        key: fc.uuid(),
        owner: organization,
        rank: fc.nat(100),
        status: fc.constantFrom(...statuses).map((status) => `STATUS_${status}`),
        creationDate: nanos,
        logsPermission: permission,
        metadata: fc.dictionary(fc.oneof(text(8), fc.constant("__proto__")), text(8), { maxKeys: 3 }),
        inputs: fc.array(
          fc.oneof(
            fc.record({ identifier: text(5), assetKey: fc.uuid() }),
            fc.record({
              identifier: text(5),
              parentTaskOutput: fc.record({ parentTaskKey: fc.uuid(), outputIdentifier: text(5) })
            })
          ),
          { maxLength: 3 }
        ),
        outputs: fc.dictionary(
          text(5),
          fc.record({ permissions, transient: fc.constant(true) }, { requiredKeys: ["permissions"] }),
          { maxKeys: 2 }
        )
      },
      { requiredKeys: ["key"] }
    )
    .map((asset) => ({ kind: "ASSET_COMPUTE_TASK", asset })),
  fc
    .record(
      {
        key: fc.uuid(),
        dataManagerKeys: fc.array(fc.constantFrom("", randomUUID()), { maxLength: 2 }),
        checksum,
        testOnly: fc.constant(true)
      },
      { requiredKeys: ["key"] }
    )
    .map((asset) => ({ kind: "ASSET_DATA_SAMPLE", asset })),
  fc
    .record(
      {
        computeTaskKey: fc.uuid(),
        performanceValue: fc.oneof(float, fc.constantFrom("NaN", "Infinity", "-Infinity")),
        creationDate: nanos
      },
      { requiredKeys: ["computeTaskKey"] }
    )
    .map((asset) => ({ kind: "ASSET_PERFORMANCE", asset })),
  fc
    .record({
      assetKey: fc.uuid(),
      step: text(10).filter((step) => step !== ""),
      duration: fc.integer({ min: 1, max: 4_294_967_295 })
    })
    .map((asset) => ({ kind: "ASSET_PROFILING_STEP", asset }))
)

const events = fc.record({
  timestamp: date,
  asset_key: text(20),
  event_kind: fc.constantFrom("CREATED", "UPDATED", "DISABLED").map((kind) => `EVENT_ASSET_${kind}`),
  metadata,
  of: eventAssets,
  gap: fc.nat(5),
  channel: fc.nat(1)
})

const channels = ["mychannel", "yourchannel"] as const

const channel = fc.record({
  functions: fc.array(functions, { minLength: 1, maxLength: 3 }),
  managers: fc.array(managers, { maxLength: 3 }),
  samples: fc.array(samples, { maxLength: 4 }),
  plans: fc.array(plans, { minLength: 1, maxLength: 3 }),
  tasks: fc.array(tasks, { maxLength: 10 })
})

type Channel = typeof channel extends fc.Arbitrary<infer A> ? A : never

/** Collects rows by table. */
class Tables {
  readonly rows: Record<string, Array<Json>> = {}
  add(table: string, row: Json): void {
    const ofTable = this.rows[table] ?? []
    ofTable.push(row)
    this.rows[table] = ofTable
  }
}

const addFunctions = (into: Tables, name: string, made: Channel): ReadonlyArray<string> =>
  made.functions.map(({ addresses, hasImage, inputs, outputs, ...fn }) => {
    const key = randomUUID()
    for (const address of addresses) into.add("addressables", address)
    const [description, archive] = addresses.map((address) => address.storage_address)
    into.add("functions", {
      ...fn,
      key,
      channel: name,
      description,
      archive_address: archive,
      image_address: hasImage ? archive : ""
    })
    for (const identifier of inputs) {
      into.add("function_inputs", {
        function_key: key,
        identifier,
        kind: "ASSET_MODEL",
        multiple: true,
        optional: false
      })
    }
    for (const identifier of outputs) {
      into.add("function_outputs", { function_key: key, identifier, kind: "ASSET_PERFORMANCE", multiple: false })
    }
    return key
  })

const addData = (into: Tables, name: string, made: Channel): void => {
  const keys = made.managers.map(({ addresses, ...manager }) => {
    const key = randomUUID()
    for (const address of addresses) into.add("addressables", address)
    const [description, opener] = addresses.map((address) => address.storage_address)
    into.add("datamanagers", { ...manager, key, channel: name, description, opener })
    return key
  })
  for (const { managers: named, ...sample } of made.samples) {
    const key = randomUUID()
    into.add("datasamples", { ...sample, key, channel: name })
    for (const manager of new Set(named.flatMap((index) => keys[index] ?? []))) {
      into.add("datasample_datamanagers", { datasample_key: key, datamanager_key: manager })
    }
  }
}

const addTasks = (into: Tables, name: string, made: Channel, fns: ReadonlyArray<string>): void => {
  const planKeys = made.plans.map((plan) => {
    const key = randomUUID()
    into.add("compute_plans", { ...plan, key, channel: name })
    return key
  })
  const done: Array<{ readonly key: string; readonly rank: number }> = []
  for (const { fn, inputs, models, outputs, plan, report, ...task } of made.tasks) {
    const key = randomUUID()
    let rank = 0
    for (const [position, { identifier, parent }] of inputs.entries()) {
      const from = parent === null ? undefined : done[parent]
      if (from !== undefined) {
        rank = Math.max(rank, from.rank + 1)
        into.add("compute_task_parents", { child_task_key: key, parent_task_key: from.key, position })
      }
      into.add("compute_task_inputs", {
        compute_task_key: key,
        identifier,
        position,
        asset_key: from === undefined ? randomUUID() : null,
        parent_task_key: from?.key ?? null,
        parent_task_output_identifier: from === undefined ? null : identifier
      })
    }
    into.add("compute_tasks", {
      ...task,
      key,
      channel: name,
      rank,
      compute_plan_key: planKeys[plan % planKeys.length],
      function_key: fns[fn % fns.length]
    })
    for (const { models: count, value, ...output } of outputs) addOutput(into, name, key, output, count, value, models)
    if (report !== null) addReport(into, name, key, report, task)
    done.push({ key, rank })
  }
}

const addOutput = (
  into: Tables,
  name: string,
  task: string,
  output: Json,
  count: number,
  value: number | null,
  { isDisabled, ...model }: Channel["tasks"][number]["models"]
): void => {
  const { identifier } = output
  const place = { compute_task_key: task, compute_task_output_identifier: identifier }
  into.add("compute_task_outputs", { ...output, compute_task_key: task })
  if (value !== null) {
    into.add("performances", { ...place, channel: name, performance_value: value, creation_date: model.creation_date })
    into.add("compute_task_output_assets", {
      ...place,
      position: 0,
      asset_kind: "ASSET_PERFORMANCE",
      asset_key: `${task}|${identifier}`
    })
    return
  }
  for (let position = 0; position < count; position++) {
    const key = randomUUID()
    const address = `https://${key}.example.org/model`
    into.add("addressables", { storage_address: address, checksum: "0".repeat(64) })
    into.add("models", { ...model, key, channel: name, compute_task_key: task, address: isDisabled ? null : address })
    into.add("compute_task_output_assets", { ...place, position, asset_kind: "ASSET_MODEL", asset_key: key })
  }
}

const addReport = (
  into: Tables,
  name: string,
  key: string,
  type: string,
  by: { readonly owner: string; readonly creation_date: string }
) => {
  const logs = type === "INTERNAL" ? null : `https://${key}.example.org/logs`
  if (logs !== null) into.add("addressables", { storage_address: logs, checksum: "1".repeat(64) })
  into.add("failure_reports", {
    asset_key: key,
    channel: name,
    error_type: `ERROR_TYPE_${type}`,
    logs_address: logs,
    owner: by.owner,
    creation_date: by.creation_date,
    asset_type: "FAILED_ASSET_COMPUTE_TASK"
  })
}

/** Positions grow over both channels, with gaps. */
const addEvents = (into: Tables, all: ReadonlyArray<typeof events extends fc.Arbitrary<infer A> ? A : never>): void => {
  let position = 0
  for (const { channel: of, gap, of: made, ...event } of all) {
    position += 1 + gap
    into.add("events", {
      ...event,
      id: randomUUID(),
      channel: channels[of],
      asset_kind: made.kind,
      asset: made.asset,
      position
    })
  }
}

export const databases: fc.Arbitrary<Rows> = fc
  .record({ mychannel: channel, yourchannel: channel, events: fc.array(events, { maxLength: 30 }), founded: date })
  .map((made) => {
    const into = new Tables()
    into.add("addressables", { storage_address: "", checksum: "" })
    for (const name of channels) {
      for (const id of ["OrgA", "OrgB"])
        into.add("organizations", { id, channel: name, creation_date: made.founded, address: "" })
      const fns = addFunctions(into, name, made[name])
      addData(into, name, made[name])
      addTasks(into, name, made[name], fns)
    }
    addEvents(into, made.events)
    return into.rows
  })
