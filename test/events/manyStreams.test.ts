/** Clients that ask for what there is not, and clients that open more than anybody needs: others do not notice. */
import * as http2 from "node:http2"
import { describe, expect, test } from "vitest"
import * as build from "../blackbox/Builders.ts"
import { execute } from "../support/database.ts"
import { startServers } from "./support.ts"

const { client, database, servers } = await startServers(1, {
  ORCHESTRATOR_DATABASE_POOL_SIZE: "8",
  METRICS_ENABLED: "true"
})
const one = client(0)
const elsewhere = client(0, "MyOrg1MSP", "yourchannel")
await one.registerOrganization()
await elsewhere.registerOrganization()

describe("a start that cannot be", () => {
  const endOf = async (startEventId: string, as = one) => {
    await using stream = as.subscribeToEvents({ startEventId })
    const { code, details } = await stream.ended
    return `${code} ${details.slice(0, 6)}`
  }

  test("is refused with a status that says why", async () => {
    await using there = elsewhere.subscribeToEvents()
    const { id } = await there.next()
    expect(await endOf(id)).toBe("NOT_FOUND OE0002")
    expect(await endOf(build.newKey())).toBe("NOT_FOUND OE0002")
    for (const text of ["1", "not a uuid", `{${build.newKey()}}`, "\u0000"]) {
      expect(await endOf(text)).toBe("INVALID_ARGUMENT OE0101")
    }
    expect(await endOf("", client(0, "MyOrg2MSP", "yourchannel"))).toBe("PERMISSION_DENIED OE0102")
    expect(await endOf("", client(0, "MyOrg1MSP", "nochannel"))).toBe("PERMISSION_DENIED OE0102")
  })

  test("takes capitals for small letters", async () => {
    await using there = elsewhere.subscribeToEvents()
    const { id } = await there.next()
    await using stream = elsewhere.subscribeToEvents({ startEventId: id.toUpperCase() })
    await stream.headers
  })
})

/** Fails when the server has more connections to its database than it may. */
const checkConnections = () =>
  execute(
    database.url,
    `DO $$ BEGIN
       IF (SELECT count(*) FROM pg_stat_activity
            WHERE application_name = 'substra-orchestrator' AND datname = current_database()) > 8
       THEN RAISE EXCEPTION 'more connections than the pool may have'; END IF;
     END $$`
  )

/** Waits until the server knows of no subscriber any more. */
const untilNobodyIsLeft = async (): Promise<void> => {
  const url = `http://127.0.0.1:${servers[0]?.httpPort}/metrics`
  while (!/^orc_event_subscribers\{channel="mychannel"\} 0$/m.test(await fetch(url).then((answer) => answer.text())));
}

/** Time that a live subscriber waits for an event, in milliseconds. */
const latency = async (): Promise<number> => {
  await using stream = elsewhere.subscribeToEvents()
  await stream.headers
  const plan = build.newPlan()
  const begun = performance.now()
  await elsewhere.registerPlan(plan)
  while ((await stream.next()).assetKey !== plan.key);
  return performance.now() - begun
}

const grpcHeaders = {
  ":method": "POST",
  ":path": "/orchestrator.EventService/SubscribeToEvents",
  "content-type": "application/grpc",
  te: "trailers",
  mspid: "MyOrg1MSP",
  channel: "mychannel"
}
const emptyMessage = Buffer.alloc(5)

const connect = async (): Promise<http2.ClientHttp2Session> => {
  const session = http2.connect(`http://127.0.0.1:${servers[0]?.grpcPort}`)
  session.on("error", () => {})
  await new Promise((resolve) => session.once("connect", resolve))
  return session
}

const heapMiB = (): number => {
  global.gc?.()
  return process.memoryUsage().heapUsed / 2 ** 20
}

describe("too many streams", () => {
  test("1,000 on one connection all get every event, on as many database connections as before", async () => {
    const streams = Array.from({ length: 1000 }, () => one.subscribeToEvents())
    await Promise.all(streams.map((stream) => stream.headers))
    const plan = build.newPlan()
    await one.registerPlan(plan)
    const lists = await Promise.all(streams.map((stream) => stream.until(({ assetKey }) => assetKey === plan.key)))
    expect(new Set(lists.map((list) => list.map(({ id }) => id).join())).size).toBe(1)
    await checkConnections()
    await Promise.all(streams.map((stream) => stream[Symbol.asyncDispose]()))
  })

  test("1,000 opened and dropped a second leave nothing, and hold nobody up", async () => {
    const before = heapMiB()
    for (let round = 0; round < 12; round++) {
      // More resets on one connection than this and Node closes it.
      const dropping = client(0)
      const streams = Array.from({ length: 250 }, () => dropping.subscribeToEvents())
      // Not before: grpc-js's client does not tell the server of a call that it cancels while it begins.
      await Promise.all(streams.map((stream) => stream.headers))
      for (const stream of streams) stream.cancel()
      await Promise.all(streams.map((stream) => stream.ended))
    }
    expect(await latency()).toBeLessThan(5000)
    await checkConnections()
    await untilNobodyIsLeft()
    expect(heapMiB() - before).toBeLessThan(200)
  })

  test("reset at once after they were opened harm that connection at most", async () => {
    const before = heapMiB()
    for (let round = 0; round < 3; round++) {
      const session = await connect()
      for (let index = 0; index < 1000 && !session.destroyed && !session.closed; index++) {
        const stream = session.request(grpcHeaders)
        stream.on("error", () => {})
        stream.end(emptyMessage)
        stream.close(http2.constants.NGHTTP2_CANCEL)
        if (index % 100 === 99) await new Promise((resolve) => setImmediate(resolve))
      }
      expect(await latency()).toBeLessThan(5000)
      session.destroy()
    }
    await checkConnections()
    await untilNobodyIsLeft()
    expect(heapMiB() - before).toBeLessThan(200)
  })
})
