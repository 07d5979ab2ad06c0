/**
 * Compute tasks on PostgreSQL. Rows are locked by rank, then key: a child's rank is above that of each of its parents, so
 * a task that finishes can be locked first, then its children, and whoever locks some of them too takes the same way.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { ComputeTask, parentKeys } from "../../schema/ComputeTask.ts"
import { FunctionOutput } from "../../schema/Function.ts"
import type { TaskStatus } from "../../schema/TaskStatus.ts"
import { ComputeTaskStore } from "../../services/store/ComputeTaskStore.ts"
import { assetTable } from "./AssetTable.ts"
import { timestamp } from "./Codecs.ts"
import { Conditions } from "./Page.ts"
import { first, mapJson, ofChannel, type Row, rowDecoder, type Sql, sql, toMap } from "./Session.ts"

const names = [
  "key",
  "owner",
  "worker",
  "compute_plan_key",
  "function_key",
  "rank",
  "status",
  "creation_date",
  "logs_permission",
  "metadata",
  "inputs",
  "outputs",
  "size"
]
export const columns = names.join(", ")
const columnsOf = (table: string): string => names.map((name) => `${table}.${name}`).join(", ")

const fromRow = (row: Row) => ({
  ...row,
  computePlanKey: row.compute_plan_key,
  functionKey: row.function_key,
  creationDate: row.creation_date,
  logsPermission: row.logs_permission,
  metadata: toMap(row.metadata),
  outputs: toMap(row.outputs)
})

export const decode = rowDecoder(ComputeTask, fromRow)

/** A task with the outputs that its function declares. */
const decodeWithFunction = rowDecoder(
  Schema.Struct({ task: ComputeTask, functionOutputs: Schema.ReadonlyMap(Schema.String, FunctionOutput) }),
  (row) => ({ task: fromRow(row), functionOutputs: toMap(row.function_outputs) })
)

const withFunction = `${columnsOf("t")}, (SELECT f.outputs FROM functions f
   WHERE f.channel = t.channel AND f.key = t.function_key) AS function_outputs`

const lockTask = `SELECT ${withFunction} FROM compute_tasks t WHERE channel = $1 AND key = $2 FOR NO KEY UPDATE OF t`

const childrenOf = (parent: string) =>
  `(SELECT child_key FROM task_parents WHERE ${ofChannel()} AND parent_key = ${parent})`

/** After the task itself is locked: nobody can register more of them now. */
const lockChildren = `SELECT key FROM compute_tasks
  WHERE ${ofChannel()} AND key IN ${childrenOf("$2")} AND status NOT IN ('STATUS_DONE', 'STATUS_FAILED', 'STATUS_CANCELED')
  ORDER BY rank, key FOR NO KEY UPDATE`

const releasedBy = `SELECT ${columnsOf("t")} FROM compute_tasks t
  WHERE ${ofChannel("t.")} AND t.key IN ${childrenOf("$2")} AND t.status = 'STATUS_WAITING_FOR_PARENT_TASKS'
    AND NOT EXISTS (
      SELECT FROM task_parents e JOIN compute_tasks p ON p.channel = e.channel AND p.key = e.parent_key
       WHERE e.channel = t.channel AND e.child_key = t.key AND e.parent_key <> $2 AND p.status <> 'STATUS_DONE')
  ORDER BY t.creation_date, t.key`

/** In a statement of its own, after the locks: it sees what was committed while they were waited for. */
const waitingOfFunction = `SELECT t.key FROM compute_tasks t
  WHERE ${ofChannel("t.")} AND t.function_key = $2 AND t.status = ANY ($3::text[]::task_status[])
    AND EXISTS (
      SELECT FROM task_parents e JOIN compute_tasks p ON p.channel = e.channel AND p.key = e.parent_key
       WHERE e.channel = t.channel AND e.child_key = t.key AND p.status <> 'STATUS_DONE')`

export const layer = Layer.effect(
  ComputeTaskStore,
  Effect.map(sql, (access) => {
    const table = assetTable(access, "compute_tasks", columns, decode)
    const { locking, read, write } = access
    return ComputeTaskStore.of({
      find: table.find,
      taken: table.taken,
      page: (channel, filter, request) =>
        table.page(
          new Conditions()
            .add((c) => ofChannel("", c), channel)
            .add((plan) => `compute_plan_key = ${plan}`, filter.computePlanKey)
            .add((fn) => `function_key = ${fn}`, filter.functionKey)
            .add((worker) => `worker = ${worker}`, filter.worker)
            .add((status) => `status = ${status}`, filter.status),
          request
        ),
      lock: (channel, key) => Effect.map(Effect.flatMap(locking(lockTask, [channel, key]), decodeWithFunction), first),
      lockWithChildren: (channel, key) =>
        Effect.map(
          Effect.all(
            [
              Effect.flatMap(locking(lockTask, [channel, key]), decodeWithFunction),
              read(`SELECT status FROM compute_tasks WHERE ${ofChannel()} AND key IN ${childrenOf("$2")}`, [
                channel,
                key
              ])
            ],
            { concurrency: "unbounded" }
          ),
          ([tasks, children]) =>
            Option.map(first(tasks), (task) => ({
              ...task,
              childStatuses: children.map((row) => row.status as TaskStatus)
            }))
        ),
      lockForDone: (channel, key) =>
        Effect.map(
          Effect.all(
            [
              Effect.flatMap(
                locking(`SELECT ${columns} FROM compute_tasks WHERE channel = $1 AND key = $2 FOR NO KEY UPDATE`, [
                  channel,
                  key
                ]),
                decode
              ),
              locking(lockChildren, [channel, key]),
              Effect.flatMap(locking(releasedBy, [channel, key]), decode)
            ],
            { concurrency: "unbounded" }
          ),
          ([tasks, , released]) => Option.map(first(tasks), (task) => ({ task, released }))
        ),
      lockOfFunction: (channel, functionKey, statuses) =>
        Effect.map(
          Effect.all(
            [
              locking(
                `SELECT key FROM compute_tasks
                  WHERE ${ofChannel()} AND function_key = $2 AND status = ANY ($3::text[]::task_status[])
                  ORDER BY rank, key FOR NO KEY UPDATE`,
                [channel, functionKey, statuses]
              ),
              Effect.flatMap(
                locking(
                  `SELECT ${columns} FROM compute_tasks
                    WHERE ${ofChannel()} AND function_key = $2 AND status = ANY ($3::text[]::task_status[])
                    ORDER BY creation_date, key`,
                  [channel, functionKey, statuses]
                ),
                decode
              ),
              locking(waitingOfFunction, [channel, functionKey, statuses])
            ],
            { concurrency: "unbounded" }
          ),
          ([, tasks, waiting]) => {
            const waitingKeys = new Set(waiting.map((row) => row.key))
            return tasks.map((task) => ({ task, waitsForParents: waitingKeys.has(task.key) }))
          }
        ),
      share: (channel, keys) =>
        keys.length === 0
          ? Effect.succeed([])
          : Effect.flatMap(
              locking(
                `SELECT ${withFunction} FROM compute_tasks t WHERE ${ofChannel()} AND key = ANY ($2::text[]::uuid[])
                  ORDER BY rank, key FOR SHARE OF t`,
                [channel, keys]
              ),
              decodeWithFunction
            ),
      insert: (channel, tasks) => insertTasks(write, channel, tasks),
      setStatus: (channel, keys, status) =>
        keys.length === 0
          ? Effect.void
          : write(
              `UPDATE compute_tasks SET status = $3::task_status WHERE ${ofChannel()} AND key = ANY ($2::text[]::uuid[])`,
              [channel, keys, status]
            )
    })
  })
)

/** Rows of one statement: between statements others get their turn. */
const rowsPerStatement = 500

const inParts = <A>(all: ReadonlyArray<A>): ReadonlyArray<ReadonlyArray<A>> =>
  Array.from({ length: Math.ceil(all.length / rowsPerStatement) }, (_, index) =>
    all.slice(index * rowsPerStatement, (index + 1) * rowsPerStatement)
  )

const insertRows = `INSERT INTO compute_tasks (channel, key, owner, worker, compute_plan_key, function_key, rank, status,
                             creation_date, logs_permission, metadata, inputs, outputs, size)
  SELECT $1, key, owner, worker, plan, function, rank, status, $2, logs::jsonb, metadata::jsonb, inputs::jsonb,
         outputs::jsonb, size
    FROM unnest($3::text[]::uuid[], $4::text[], $5::text[], $6::text[]::uuid[], $7::text[]::uuid[], $8::int[],
                $9::text[]::task_status[], $10::text[], $11::text[], $12::text[], $13::text[], $14::int[])
         AS t (key, owner, worker, plan, function, rank, status, logs, metadata, inputs, outputs, size)
   ORDER BY key`

const insertEdges = `INSERT INTO task_parents (channel, child_key, parent_key)
  SELECT $1, child, parent FROM unnest($2::text[]::uuid[], $3::text[]::uuid[]) AS e (child, parent)
   ORDER BY child, parent`

/** In the order of keys, over all statements: who inserts the same keys at once waits, and does not deadlock. */
const insertTasks = Effect.fnUntraced(function* (
  write: Sql["write"],
  channel: string,
  tasks: ReadonlyArray<ComputeTask>
) {
  const sorted = tasks.toSorted((one, other) => (one.key < other.key ? -1 : 1))
  for (const part of inParts(sorted)) {
    const json = part.map((task) => ({
      logs: JSON.stringify(task.logsPermission),
      metadata: mapJson(task.metadata),
      inputs: JSON.stringify(task.inputs),
      outputs: mapJson(task.outputs)
    }))
    yield* write(insertRows, [
      channel,
      timestamp((part[0] as ComputeTask).creationDate),
      part.map((task) => task.key),
      part.map((task) => task.owner),
      part.map((task) => task.worker),
      part.map((task) => task.computePlanKey),
      part.map((task) => task.functionKey),
      part.map((task) => task.rank),
      part.map((task) => task.status),
      json.map((one) => one.logs),
      json.map((one) => one.metadata),
      json.map((one) => one.inputs),
      json.map((one) => one.outputs),
      json.map((one) => 250 + one.logs.length + one.metadata.length + one.inputs.length + one.outputs.length)
    ])
    if (part.length === rowsPerStatement) yield* Effect.yieldNow
  }
  const edges = sorted.flatMap((task) => parentKeys(task).map((parent) => [task.key, parent] as const))
  for (const part of inParts(edges)) {
    yield* write(insertEdges, [channel, part.map(([child]) => child), part.map(([, parent]) => parent)])
  }
})
