/** Compute plans on PostgreSQL. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import { ComputePlan } from "../../schema/ComputePlan.ts"
import { ComputePlanStore } from "../../services/store/ComputePlanStore.ts"
import { assetTable } from "./AssetTable.ts"
import { optionalTimestamp, timestamp, timestamps } from "./Codecs.ts"
import { Conditions } from "./Page.ts"
import { first, mapJson, ofChannel, rowDecoder, sql, toMap } from "./Session.ts"

export const columns = "key, owner, name, tag, creation_date, cancelation_date, failure_date, metadata, size"

export const decode = rowDecoder(ComputePlan, (row) => ({
  ...row,
  creationDate: row.creation_date,
  ...(row.cancelation_date === null ? {} : { cancelationDate: row.cancelation_date }),
  ...(row.failure_date === null ? {} : { failureDate: row.failure_date }),
  metadata: toMap(row.metadata)
}))

export const layer = Layer.effect(
  ComputePlanStore,
  Effect.map(sql, (access) => {
    const table = assetTable(access, "compute_plans", columns, decode)
    const { locking, read, write } = access
    return ComputePlanStore.of({
      find: table.find,
      findActivity: (channel, key) =>
        Effect.flatMap(
          read(
            `SELECT ${columns},
                EXISTS (SELECT FROM compute_tasks t WHERE t.channel = p.channel AND t.compute_plan_key = p.key
                         AND t.status IN ('STATUS_FAILED', 'STATUS_CANCELED')) AS has_broken,
                EXISTS (SELECT FROM compute_tasks t WHERE t.channel = p.channel AND t.compute_plan_key = p.key
                         AND t.status NOT IN ('STATUS_DONE', 'STATUS_FAILED', 'STATUS_CANCELED')) AS has_unfinished
              FROM compute_plans p WHERE channel = $1 AND key = $2`,
            [channel, key]
          ),
          (rows) =>
            Effect.map(decode(rows), (plans) =>
              Option.map(first(plans), (plan) => ({
                plan,
                hasBroken: rows[0]?.has_broken === true,
                hasUnfinished: rows[0]?.has_unfinished === true
              }))
            )
        ),
      many: table.many,
      lock: (channel, keys) => table.lockMany(channel, keys, "NO KEY UPDATE"),
      lockOfTask: (channel, taskKey) =>
        Effect.map(
          Effect.flatMap(
            locking(
              `SELECT ${columns} FROM compute_plans WHERE ${ofChannel()}
                  AND key = (SELECT compute_plan_key FROM compute_tasks WHERE channel = $1 AND key = $2)
                FOR NO KEY UPDATE`,
              [channel, taskKey]
            ),
            decode
          ),
          first
        ),
      lockOfFunction: (channel, functionKey, statuses) =>
        Effect.flatMap(
          locking(
            `SELECT ${columns} FROM compute_plans WHERE ${ofChannel()}
                AND key IN (SELECT compute_plan_key FROM compute_tasks
                             WHERE ${ofChannel()} AND function_key = $2 AND status = ANY ($3::text[]::task_status[]))
              ORDER BY key FOR NO KEY UPDATE`,
            [channel, functionKey, statuses]
          ),
          decode
        ),
      isTaken: table.isTaken,
      page: (channel, filter, request) =>
        table.page(
          new Conditions().add((c) => ofChannel("", c), channel).add((owner) => `owner = ${owner}`, filter.owner),
          request
        ),
      insert: (channel, plan) => {
        const metadata = mapJson(plan.metadata)
        return write(
          `INSERT INTO compute_plans (channel, key, owner, name, tag, creation_date, cancelation_date, failure_date,
                                      metadata, size)
           VALUES ($1, $2, $3, $4, $5, $6, $7::timestamptz, $8::timestamptz, $9, $10)`,
          [
            channel,
            plan.key,
            plan.owner,
            plan.name,
            plan.tag,
            timestamp(plan.creationDate),
            optionalTimestamp(plan.cancelationDate),
            optionalTimestamp(plan.failureDate),
            metadata,
            150 + plan.name.length + plan.tag.length + metadata.length
          ]
        )
      },
      update: (channel, plans) =>
        plans.length === 0
          ? Effect.void
          : write(
              `UPDATE compute_plans p SET name = n.name, cancelation_date = n.canceled, failure_date = n.failed
                 FROM unnest($2::text[]::uuid[], $3::text[], $4::timestamptz[], $5::timestamptz[])
                      AS n (key, name, canceled, failed)
                WHERE ${ofChannel("p.")} AND p.key = n.key`,
              [
                channel,
                plans.map((plan) => plan.key),
                plans.map((plan) => plan.name),
                timestamps(plans.map((plan) => plan.cancelationDate)),
                timestamps(plans.map((plan) => plan.failureDate))
              ]
            )
    })
  })
)
