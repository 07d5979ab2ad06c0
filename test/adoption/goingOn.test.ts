/**
 * After an adoption, in the same PostgreSQL database as the old tables, work goes on from where it stood: tasks that
 * executed are done, their children start, and the log goes on behind the old one.
 */
import { beforeAll, describe, expect, it } from "vitest"
import { type Database, envOf, run, type Server, serve } from "../server/Program.ts"
import { execute } from "../support/database.ts"
import { messages } from "./Messages.ts"
import { answers, oldDatabase, rows } from "./OldServer.ts"

const executing = ["82d4262c-3e6b-4600-a75b-899c5c7f8c72", "88c596cb-b186-44e3-8be2-bbdba05c98d7"] as const
const like = "e5ac20a5-4d83-4463-9120-6fb460311d28"
const child = "00000000-0000-4000-8000-000000000001"

/** A child that waits for nothing but the tasks that execute: the given rows have none. */
const addChild = [
  "BEGIN",
  `INSERT INTO public.compute_tasks (key, channel, compute_plan_key, status, worker, function_key, owner, rank, creation_date, logs_permission, metadata)
   SELECT '${child}', channel, compute_plan_key, status, worker, function_key, owner, rank, creation_date, logs_permission, metadata
     FROM public.compute_tasks WHERE key = '${like}'`,
  ...["compute_task_inputs", "compute_task_parents"].map((table) => {
    const task = table === "compute_task_inputs" ? "compute_task_key" : "child_task_key"
    const columns = table === "compute_task_inputs" ? ", identifier, parent_task_output_identifier" : ""
    return `INSERT INTO public.${table} (${task}, position, parent_task_key${columns})
      SELECT '${child}', position, parent_task_key${columns} FROM public.${table}
       WHERE ${task} = '${like}' AND parent_task_key IN ('${executing.join("', '")}')`
  }),
  `INSERT INTO public.compute_task_outputs (compute_task_key, identifier, permissions, transient)
   SELECT '${child}', identifier, permissions, transient FROM public.compute_task_outputs WHERE compute_task_key = '${like}'`,
  "COMMIT"
]

const recorded = messages("Event", answers.yourchannel.SubscribeToEvents)

let database: Database
let server: Server

beforeAll(async () => {
  database = await oldDatabase()
  await execute(database.url, ...addChild)
  const env = await envOf(database)
  const adopted = await run(env, "adopt", "--from", database.url).exited
  expect(adopted).toMatchObject({ code: 0, stderr: "" })
  const verified = await run(env, "adopt", "--verify", "--from", database.url).exited
  expect(verified.stdout).toContain("231 assets and events compared: no difference")
  server = await serve(env)
}, 120_000)

describe("after an adoption within one database", () => {
  it("executing tasks are done, their children start, and who resumed sees old and new in one sequence", async () => {
    const reader = server.client("MyOrg2MSP", "yourchannel")
    await using stream = reader.subscribeToEvents({ startEventId: recorded[9]?.id ?? "" })
    expect(await stream.take(30)).toEqual(recorded.slice(10, 40))
    for (const key of executing) {
      const { worker } = await reader.getTask({ key })
      const own = server.client(worker, "yourchannel")
      await own.applyTaskAction({ computeTaskKey: key, action: "TASK_ACTION_DONE", log: "" })
    }
    expect((await reader.getTask({ key: child })).status).toBe("STATUS_WAITING_FOR_EXECUTOR_SLOT")
    expect((await reader.getTask({ key: like })).status).toBe("STATUS_WAITING_FOR_PARENT_TASKS")

    expect(await stream.take(recorded.length - 40)).toEqual(recorded.slice(40))
    const fresh = await stream.take(3)
    expect(fresh.map((event) => event.assetKey)).toEqual([...executing, child])
    expect(fresh[2]?.metadata.get("reason")).toBe(`Last parent task ${executing[1]} done`)
  })

  it("the log is dense, and its newest pages by time are its newest events", async () => {
    const positions = await rows(
      database.url,
      "SELECT channel, count(*)::int AS events, min(position)::int AS first, max(position)::int AS last FROM orchestrator.events GROUP BY 1 ORDER BY 1"
    )
    for (const { events, first, last } of positions) expect({ first, last }).toEqual({ first: 1, last: events })
    const { events } = await server.client("MyOrg1MSP", "yourchannel").queryEvents({ pageSize: 3, sort: "DESCENDING" })
    expect(events.map((event) => event.assetKey)).toEqual([child, executing[1], executing[0]])
  })

  it("a function that waits is built, and its tasks follow", async () => {
    const owner = server.client("MyOrg2MSP", "mychannel")
    const { Functions } = await owner.queryFunctions({ pageSize: 100 })
    const waiting = Functions.find((fn) => fn.status === "FUNCTION_STATUS_WAITING")
    const functionKey = waiting?.key ?? ""
    await server
      .client(waiting?.owner, "mychannel")
      .applyFunctionAction({ functionKey, action: "FUNCTION_ACTION_BUILDING" })
    expect((await owner.getFunction({ key: functionKey })).status).toBe("FUNCTION_STATUS_BUILDING")
  })

  it("a profiling step that the old server has told is not told again", async () => {
    const client = server.client("MyOrg1MSP", "yourchannel")
    const { events } = await client.queryEvents({ pageSize: 1, sort: "DESCENDING" })
    await using stream = client.subscribeToEvents({ startEventId: events[0]?.id ?? "" })
    const step = { assetKey: "3b331433-8500-4190-8d12-3e836ff3e7cb", step: "train", duration: 1 }
    await client.registerProfilingStep(step)
    await client.registerProfilingStep({ ...step, step: "another" })
    expect((await stream.next()).asset).toEqual({ $case: "profilingStep", value: { ...step, step: "another" } })
  })

  it("shows what went on as differences to a verification", async () => {
    const { code, stderr, stdout } = await run(await envOf(database), "adopt", "--verify", "--from", database.url)
      .exited
    expect(stdout).toContain("it is not in the old database")
    expect(stdout).toContain(
      `channel yourchannel, compute_tasks ${child}: message.status: "STATUS_WAITING_FOR_PARENT_TASKS" in the old database, "STATUS_WAITING_FOR_EXECUTOR_SLOT" here`
    )
    expect(stderr).toMatch(/the databases differ in \d+ places?/)
    expect(code).toBe(1)
  })
})

describe("the way back", () => {
  it("the old tables are as they were, so the old server goes on from the moment of the adoption", async () => {
    const untouched = await oldDatabase()
    await execute(untouched.url, ...addChild)
    const tables = await rows(
      untouched.url,
      "SELECT tablename::text AS name FROM pg_tables WHERE schemaname = 'public'"
    )
    expect(tables.length).toBeGreaterThan(20)
    for (const { name } of tables) {
      const all = `SELECT t::text FROM public.${name} t ORDER BY 1`
      expect(await rows(database.url, all)).toEqual(await rows(untouched.url, all))
    }
  })
})
