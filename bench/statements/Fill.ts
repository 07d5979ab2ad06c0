/** A channel as it is after years: copies of assets that were registered by calls, so that every row is a valid one. */
import * as Build from "../../test/blackbox/Builders.ts"
import type { Client } from "../../test/blackbox/Client.ts"
import * as Drive from "../../test/blackbox/Drivers.ts"
import type { World } from "../speed/World.ts"

export interface Size {
  readonly tasks: number
  readonly events: number
}

/** Tasks of a plan, and tasks between a child and each of its two parents. */
const tasksOfPlan = 100

const copies = (channel: string, { events, tasks }: Size): ReadonlyArray<string> => {
  const plans = Math.ceil(tasks / tasksOfPlan)
  return [
    // Keys that can be made again from a number; the asset's own columns as they are.
    `CREATE FUNCTION pg_temp.key_of(kind text, n bigint) RETURNS uuid IMMUTABLE LANGUAGE sql
       RETURN md5(kind || n::text)::uuid`,
    `INSERT INTO compute_plans (channel, key, owner, name, tag, creation_date, metadata, size)
     SELECT channel, pg_temp.key_of('plan', n), owner, name, tag, creation_date - n * interval '1 minute', metadata, size
       FROM (SELECT * FROM compute_plans WHERE channel = '${channel}' LIMIT 1) p, generate_series(1, ${plans}) n`,
    `INSERT INTO compute_tasks (channel, key, owner, worker, compute_plan_key, function_key, rank, status, creation_date,
                                logs_permission, metadata, inputs, outputs, size)
     SELECT channel, pg_temp.key_of('task', n), owner, worker, pg_temp.key_of('plan', 1 + n / ${tasksOfPlan}), function_key,
            n % ${tasksOfPlan},
            (CASE WHEN n % 1000 = 0 THEN 'STATUS_EXECUTING' WHEN n % 10000 = 1 THEN 'STATUS_FAILED' ELSE 'STATUS_DONE' END)::task_status,
            creation_date - n * interval '1 second', logs_permission, metadata, inputs, outputs, size
       FROM (SELECT * FROM compute_tasks WHERE channel = '${channel}' LIMIT 1) t, generate_series(1, ${tasks - 1}) n`,
    `INSERT INTO task_parents (channel, child_key, parent_key)
     SELECT '${channel}', pg_temp.key_of('task', n), pg_temp.key_of('task', n - d)
       FROM generate_series(10, ${tasks - 1}) n, unnest(ARRAY[1, 7]) d`,
    `INSERT INTO models (channel, key, owner, compute_task_key, output_identifier, ordinal, creation_date, address, permissions)
     SELECT channel, pg_temp.key_of('model', n), owner, pg_temp.key_of('task', n), output_identifier, 0, creation_date, address, permissions
       FROM (SELECT * FROM models WHERE channel = '${channel}' LIMIT 1) m, generate_series(1, ${tasks - 1}) n`,
    `INSERT INTO performances (channel, compute_task_key, output_identifier, value, creation_date)
     SELECT channel, pg_temp.key_of('task', n), output_identifier, value, creation_date - n * interval '1 second'
       FROM (SELECT * FROM performances WHERE channel = '${channel}' LIMIT 1) p, generate_series(1, ${tasks - 1}, 10) n`,
    `INSERT INTO data_samples (channel, key, owner, checksum, creation_date, data_manager_keys, size)
     SELECT channel, pg_temp.key_of('sample', n), owner, checksum, creation_date - n * interval '1 second', data_manager_keys, size
       FROM (SELECT * FROM data_samples WHERE channel = '${channel}' LIMIT 1) s, generate_series(1, ${Math.ceil(tasks / 10)}) n`,
    `INSERT INTO data_manager_samples (channel, data_manager_key, data_sample_key)
     SELECT s.channel, s.data_manager_keys[1], s.key FROM data_samples s ON CONFLICT DO NOTHING`,
    `INSERT INTO events (channel, position, id, "timestamp", asset_key, asset_kind, event_kind, metadata, message)
     SELECT e.channel, head.position + n, pg_temp.key_of('event', n), e."timestamp" + n * interval '1 microsecond',
            pg_temp.key_of('task', n / 5)::text, 'ASSET_COMPUTE_TASK',
            (CASE WHEN n % 5 = 0 THEN 'EVENT_ASSET_CREATED' ELSE 'EVENT_ASSET_UPDATED' END)::event_kind,
            CASE WHEN n % 5 <> 0 THEN jsonb_build_object('reason', CASE WHEN n % 250000 = 7 THEN 'rare' ELSE 'User action' END) END,
            e.message
       FROM (SELECT * FROM events WHERE channel = '${channel}' AND asset_kind = 'ASSET_COMPUTE_TASK' LIMIT 1) e,
            (SELECT max(position) AS position FROM events WHERE channel = '${channel}') head,
            generate_series(1, ${events}) n`
  ]
}

/** A key of the copies. */
export const keyOf = (kind: "plan" | "task", number: number): string => `md5('${kind}${number}')::uuid`

/** Registers one of each asset, and copies it as often as the size says. */
export const fill = async (world: World, one: Client, size: Size): Promise<void> => {
  const manager = await Drive.aManager(one)
  await Drive.aSample(one, manager)
  const fn = await Drive.aFunction(one, { outputs: { out: Build.model, score: Build.performance } })
  const task = await Drive.aTask(one, { fn })
  await Drive.act(one, task, "EXECUTING")
  await Drive.aModel(one, task)
  await one.registerPerformance(Build.newPerformance(task, 0.5, "score"))
  await Drive.act(one, task, "DONE")
  await world.script(copies(one.channel, size))
  await world.query("VACUUM (ANALYZE)")
}
