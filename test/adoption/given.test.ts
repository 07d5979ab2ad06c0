/**
 * Real rows of the earlier orchestrator, adopted: every answer that it gave of them is this server's too, its log is
 * the same for who resumes at any event, and work goes on from where it stood.
 */
import { beforeAll, describe, expect, it } from "vitest"
import type { Event } from "../../src/layers/wire/generated/event.ts"
import type { Client } from "../blackbox/Client.ts"
import { type Database, emptyDatabase, envOf, run, type Server, serve } from "../server/Program.ts"
import { message, messages } from "./Messages.ts"
import { answers, oldDatabase, rows } from "./OldServer.ts"

const channels = ["mychannel", "yourchannel"] as const
const pageSize = 10_000

let old: Database
let target: Database
let server: Server
let printed: string

const adoption = (...args: ReadonlyArray<string>) =>
  envOf(target).then((env) => run(env, "adopt", "--from", old.url, ...args).exited)

const everything = (table: string) => rows(old.adminUrl, `SELECT t::text FROM public.${table} t ORDER BY 1`)

const oldTables = async () => {
  const names = await rows(old.adminUrl, "SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1")
  return Promise.all(names.map(async ({ tablename }) => [tablename, await everything(String(tablename))]))
}

beforeAll(async () => {
  old = await oldDatabase()
  target = await emptyDatabase()
  const { code, stderr, stdout } = await adoption()
  printed = stdout
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" })
  server = await serve(await envOf(target))
}, 120_000)

const inOrder = <T>(items: ReadonlyArray<T>): ReadonlyArray<T> =>
  items.toSorted((a, b) => (JSON.stringify(a, noBigInts) < JSON.stringify(b, noBigInts) ? -1 : 1))
const noBigInts = (_name: string, value: unknown) => (typeof value === "bigint" ? String(value) : value)

/** The first page of the old log, whole. */
const oldEvents = (channel: string): ReadonlyArray<Event> => messages("Event", answers[channel].SubscribeToEvents)

describe.each(channels)("what the old server answered in %s, this one answers", (channel) => {
  let client: Client
  const recorded = answers[channel]

  beforeAll(() => {
    client = server.client("MyOrg1MSP", channel)
  })

  it("for organizations", async () => {
    const { organizations } = await client.getAllOrganizations()
    expect(organizations).toEqual(messages("Organization", recorded.GetAllOrganizations))
  })

  it("for plans, and whether they run", async () => {
    const { plans } = await client.queryPlans({ pageSize })
    expect(plans).toEqual(messages("ComputePlan", recorded.QueryPlans))
    for (const [planKey, isRunning] of Object.entries(recorded.IsPlanRunning)) {
      expect(await client.isPlanRunning({ key: planKey })).toEqual({ isRunning })
    }
  })

  it("for tasks", async () => {
    const { tasks } = await client.queryTasks({ pageSize })
    expect(tasks).toEqual(messages("ComputeTask", recorded.QueryTasks))
  })

  it("for functions", async () => {
    const { Functions } = await client.queryFunctions({ pageSize })
    expect(Functions).toEqual(messages("Function", recorded.QueryFunctions))
  })

  it("for data managers and their datasets", async () => {
    const { dataManagers } = await client.queryDataManagers({ pageSize })
    expect(dataManagers).toEqual(messages("DataManager", recorded.QueryDataManagers))
    for (const dataset of messages("Dataset", recorded.GetDataset)) {
      expect(await client.getDataset({ key: dataset.dataManager?.key ?? "" })).toEqual(dataset)
    }
  })

  it("for data samples, whose managers have no order there, and none is no empty key here", async () => {
    const { dataSamples } = await client.queryDataSamples({ pageSize })
    const sorted = (sample: (typeof dataSamples)[number]) => ({
      ...sample,
      dataManagerKeys: sample.dataManagerKeys.filter((key) => key !== "").toSorted()
    })
    expect(dataSamples.flatMap((sample) => sample.dataManagerKeys)).not.toContain("")
    expect(dataSamples.map(sorted)).toEqual(messages("DataSample", recorded.QueryDataSamples).map(sorted))
  })

  it("for performances", async () => {
    const { Performances } = await client.queryPerformances({ pageSize })
    expect(Performances).toEqual(messages("Performance", recorded.QueryPerformances))
  })

  it("for the models of tasks, which have no order there", async () => {
    for (const [computeTaskKey, models] of Object.entries(recorded.GetComputeTaskOutputModels)) {
      const answer = await client.getComputeTaskOutputModels({ computeTaskKey })
      expect(inOrder(answer.models)).toEqual(inOrder(messages("Model", models as ReadonlyArray<unknown>)))
    }
  })

  it("for failure reports", async () => {
    for (const report of messages("FailureReport", recorded.GetFailureReport)) {
      expect(await client.getFailureReport({ assetKey: report.assetKey })).toEqual(report)
    }
  })

  it("for the stream of events", async () => {
    await using stream = client.subscribeToEvents()
    const recordedEvents = oldEvents(channel)
    expect(await stream.take(recordedEvents.length)).toEqual(recordedEvents)
  })

  it("for the stream, resumed from each tenth event", async () => {
    const recordedEvents = oldEvents(channel)
    for (let at = 0; at < recordedEvents.length - 1; at += 10) {
      await using stream = client.subscribeToEvents({ startEventId: recordedEvents[at]?.id ?? "" })
      expect(await stream.take(recordedEvents.length - 1 - at)).toEqual(recordedEvents.slice(at + 1))
    }
  })
})

describe("the command", () => {
  it("tells what it took over by table, and the sample that the old server shows wrongly", () => {
    expect(printed).toMatch(/mychannel +events +76 +76 +0/)
    expect(printed).toMatch(/yourchannel +compute_tasks +19 +19 +0/)
    expect(printed).toContain("channel yourchannel, datasamples 79f19a5a-dd5f-4536-8f53-b4f47aeaaa22")
  })

  it("verifies clean, and says how much it compared", async () => {
    const { code, stdout } = await adoption("--verify")
    expect(stdout).toContain("230 assets and events compared: no difference")
    expect(code).toBe(0)
  })

  it("refuses a channel that holds anything", async () => {
    const { code, stderr } = await adoption("--channel", "yourchannel")
    expect(stderr).toContain('the channel "yourchannel" holds something already')
    expect(code).toBe(1)
  })

  it("leaves the old tables as they were", async () => {
    const again = await oldDatabase()
    const fresh = again.adminUrl
    for (const [table, was] of await oldTables()) {
      expect(await rows(fresh, `SELECT t::text FROM public.${table} t ORDER BY 1`)).toEqual(was)
    }
  })
})

it("the models of a multiple output keep their order of registration", async () => {
  const { models } = await server
    .client("MyOrg1MSP", "yourchannel")
    .getComputeTaskOutputModels({ computeTaskKey: "3b331433-8500-4190-8d12-3e836ff3e7cb" })
  expect(models.map((model) => model.key)).toEqual([
    "f58ad999-5423-492a-8e87-788a110172b2",
    "e0f918bc-83bd-4474-9e56-77e8c6899c22",
    "6bb1c6df-d40e-4ef4-bc8e-0e1ef503d327"
  ])
})

it("an event's message has its time to the microsecond", () => {
  expect(message("Event", answers.mychannel.SubscribeToEvents[0]).timestamp?.nanos).toBe(572_602_000)
})
