/** Every kind of error of the contract from a real call: its status, its text, its details, and what the log says of it. */
import { afterAll, describe, expect, it, vi } from "vitest"
import { NewComputePlan } from "../../src/layers/wire/generated/computeplan.ts"
import * as Build from "../blackbox/Builders.ts"
import { type Client, paths } from "../blackbox/Client.ts"
import * as Drive from "../blackbox/Drivers.ts"
import * as Recording from "../blackbox/Recording.ts"
import { failure, type Kind, refused } from "../blackbox/Refusals.ts"
import * as Gate from "./Gate.ts"
import * as Program from "./Program.ts"
import * as Session from "./Session.ts"

const database = await Program.database()
const gate = await Gate.before(database.url)
const server = await Program.serve({
  ...(await Program.envOf(gate)),
  ORCHESTRATOR_TX_RETRY_BUDGET: "1s",
  ORCHESTRATOR_GRPC_CALL_TIMEOUT: "2s",
  ORCHESTRATOR_GRPC_MAX_REQUEST_SIZE: String(1024 * 1024)
})
const one = server.client("MyOrg1MSP")
await one.registerOrganization()
const session = await Session.open(database.url)
afterAll(async () => {
  await session[Symbol.asyncDispose]()
  await gate[Symbol.asyncDispose]()
})

/** The line that the log has of this call. */
const logged = async (reqid: string): Promise<{ readonly level: string; readonly annotations: object }> => {
  const [line] = await server.prints(new RegExp(`^\\{.*"reqid":"${reqid}".*\\}$`, "m"))
  return JSON.parse(line)
}

/** What only operators may see. */
const secrets = /geheim|INSERT|SELECT|SQLSTATE|plpgsql|constraint|\bat .+:\d+/i

interface Case {
  readonly kind: Kind
  /** What follows the kind. */
  readonly text: string | RegExp
  readonly call: Promise<unknown>
}

const cases: Readonly<Record<string, (as: Client) => Promise<Case>>> = {
  "an asset that is not there": async (as) => {
    const key = Build.newKey()
    return { kind: "OE0002", text: `computeplan with key "${key}" not found`, call: as.getPlan({ key }) }
  },
  "permissions for nobody known": async (as) => ({
    kind: "OE0003",
    text: "invalid permission input values",
    call: as.registerFunction(Build.newFunction({ newPermissions: Build.only("Nobody") }))
  }),
  "a key that is taken": async (as) => {
    const plan = Build.newPlan()
    await as.registerPlan(plan)
    return { kind: "OE0006", text: `computeplan with key "${plan.key}" already exists`, call: as.registerPlan(plan) }
  },
  "what the contract has and the server has not": async (as) => ({
    kind: "OE0010",
    text: /plan action/,
    call: as.applyPlanAction({ key: (await Drive.aPlan(as)).key, action: "PLAN_ACTION_UNKNOWN" })
  }),
  "an organization without access": async (as) => ({
    kind: "OE0102",
    text: 'organization "MyOrg1MSP" has not access to channel "nowhere"',
    call: server.client(as.id, "nowhere").queryPlans()
  }),
  "a transition that the status does not allow": async (as) => {
    const task = await Drive.aTask(as)
    return {
      kind: "OE0104",
      text: /transitionDone inappropriate in current state STATUS_WAITING_FOR_EXECUTOR_SLOT/,
      call: Drive.act(as, task, "DONE")
    }
  },
  "an output that the task has not": async (as) => {
    const task = await Drive.aTaskIn(as, "STATUS_EXECUTING")
    return {
      kind: "OE0106",
      text: `Task "${task.key}" has no output named "other"`,
      call: Drive.aModel(as, task, "other")
    }
  },
  "an asset for an output of another kind": async (as) => {
    const task = await Drive.aTaskIn(as, "STATUS_EXECUTING", { outputs: { score: Build.performance } })
    return {
      kind: "OE0107",
      text: `Incompatible kind for task "${task.key}": output "score" expects "ASSET_PERFORMANCE", received "ASSET_MODEL"`,
      call: Drive.aModel(as, task, "score")
    }
  },
  "an output that is to stay": async (as) => {
    const task = await Drive.aTaskIn(as, "STATUS_DONE")
    return { kind: "OE0108", text: "", call: as.disableOutput({ computeTaskKey: task.key, identifier: "out" }) }
  },
  "a plan that has ended": async (as) => {
    const { key } = await Drive.aPlan(as)
    const cancel = () => as.applyPlanAction({ key, action: "PLAN_ACTION_CANCELED" })
    await cancel()
    return { kind: "OE0109", text: `compute plan ${key} is already terminated`, call: cancel() }
  }
}

describe("a kind that the caller has to do with", () => {
  it.each(Object.entries(cases))("%s", async (_, make) => {
    const { call, kind, text } = await make(one)
    const error = await refused(call, kind, text)
    expect(error.info?.violations).toBeUndefined()
    expect(error.details).not.toMatch(secrets)
  })

  it("an asset that is not valid, with every field that is wrong", async () => {
    const error = await refused(
      one.registerPlan({ key: "x", name: "" }),
      "OE0101",
      /^OE0101: computeplan is not valid: /
    )
    const violations = [...(error.info?.violations ?? [])]
    expect(violations.map(([field]) => field).sort()).toEqual(["key", "name"])
    const listed = violations.map(([field, why]) => `${field}: ${why}`).join("; ")
    expect(error.details).toBe(`OE0101: computeplan is not valid: ${listed}.`)
  })

  it("a map in which several things are wrong: one field, whose problems no semicolon parts", async () => {
    const long = "a".repeat(101)
    const metadata = new Map([[long, long]])
    const error = await refused(one.registerPlan(Build.newPlan({ key: "x", metadata })), "OE0101")
    const violations = [...(error.info?.violations ?? [])]
    expect(violations.map(([field]) => field).sort()).toEqual(["key", "metadata"])
    expect(error.details.split("; ")).toHaveLength(2)
  })

  it("a page token that the server did not make", async () => {
    const error = await failure(one.queryPlans({ pageToken: "12" }))
    expect(error).toMatchObject({ code: "INVALID_ARGUMENT", info: { reason: "OE0003", domain: "orchestrator" } })
    expect(error.details).toMatch(/^OE0003: .*page_token/)
  })
})

it("whoever is not let in is in the log with the reason, for the operator to see", async () => {
  const caller = one.with(["reqid", "a stranger"], ["mspid", "NobodyMSP"])
  await failure(caller.queryPlans())
  expect(await logged("a stranger")).toMatchObject({
    message: "call",
    level: "INFO",
    annotations: { cause: expect.stringMatching(/mspid|NobodyMSP/) }
  })
})

describe("what is not the caller's fault", () => {
  it("damaged data is OE0001, and the log has the call", async () => {
    const fn = await Drive.aFunction(one)
    await session.query(`UPDATE orchestrator.functions SET permissions = '{"geheim": 1}' WHERE key = '${fn.key}'`)
    const caller = one.with(["reqid", "damaged row"])
    const error = await refused(caller.getFunction({ key: fn.key }), "OE0001", "stored data could not be decoded")
    expect(error.header("reqid")).toBe("damaged row")
    expect(await logged("damaged row")).toMatchObject({ level: "ERROR", annotations: { status: "INTERNAL" } })
  })

  it("a page with damaged data too", async () => {
    await refused(one.queryFunctions(), "OE0001", "stored data could not be decoded")
  })

  describe("a failure in the database", async () => {
    // A plan of this name makes the database fail with the SQLSTATE that it ends with.
    await session.query(`
      CREATE FUNCTION orchestrator.fail() RETURNS trigger LANGUAGE plpgsql AS $$
      BEGIN
        IF NEW.name LIKE 'fail %' THEN
          RAISE EXCEPTION 'geheim' USING ERRCODE = split_part(NEW.name, ' ', 2), DETAIL = 'INSERT of ' || NEW.key;
        END IF;
        RETURN NEW;
      END $$`)
    await session.query(
      "CREATE TRIGGER fail BEFORE INSERT ON orchestrator.compute_plans FOR EACH ROW EXECUTE FUNCTION orchestrator.fail()"
    )
    const fail = (as: Client, code: string) => as.registerPlan(Build.newPlan({ name: `fail ${code}` }))

    it.each(["P0001", "23514", "22012", "42501", "XX000"])("of SQLSTATE %s is OE0007", async (code) => {
      const reqid = `failure ${code}`
      const error = await refused(fail(one.with(["reqid", reqid]), code), "OE0007")
      expect(`${error.details} ${error.info?.message}`).not.toMatch(secrets)
      const line = await logged(reqid)
      expect(line).toMatchObject({ level: "ERROR", annotations: { status: "INTERNAL" } })
      expect(JSON.stringify(line)).toContain(`SQLSTATE ${code}`)
    })

    it.each(["40001", "40P01", "55P03"])("of SQLSTATE %s is UNAVAILABLE once the budget is spent", async (code) => {
      const error = await failure(fail(one, code))
      expect([error.code, error.info]).toEqual(["UNAVAILABLE", undefined])
      expect(error.details).toMatch(/^lost to concurrent calls (?:[2-9]|[1-9]\d+) times within 1s, try again later$/)
    })

    it.each(["53100", "53200", "53300", "57014", "25006"])("of SQLSTATE %s is UNAVAILABLE", async (code) => {
      const error = await failure(fail(one, code))
      expect(error.code).toBe("UNAVAILABLE")
      expect(error.details).not.toMatch(secrets)
    })
  })
})

describe("bounds", () => {
  it("a request over the limit is RESOURCE_EXHAUSTED", async () => {
    const metadata = new Map(Array.from({ length: 12_000 }, (_, n) => [`${n}`, "v".repeat(90)]))
    const request = NewComputePlan.encode(Build.newPlan({ metadata })).finish()
    expect((await failure(one.bytes(paths.registerPlan, request))).code).toBe("RESOURCE_EXHAUSTED")
  })

  it("an answer that the client does not take is RESOURCE_EXHAUSTED, and nothing has changed", async () => {
    const plan = Build.newPlan()
    const error = await failure(one.with(["max-response-size", "10"]).registerPlan(plan))
    expect(error.code).toBe("RESOURCE_EXHAUSTED")
    expect(error.details).toMatch(/\d+ bytes.*\b10\b.*max-response-size/)
    await refused(one.getPlan({ key: plan.key }), "OE0002")
  })

  describe("on time", () => {
    const locked = async () => {
      const { key } = await Drive.aPlan(one)
      await Session.lockPlan(session, key)
      return key
    }
    /** The call's transaction is over: nobody waits any more, and nothing has changed. */
    const undone = async (key: string) => {
      await Session.waiters(session, 0)
      await session.query("ROLLBACK")
      expect((await one.getPlan({ key })).name).toBe("plan")
    }

    it("the server's own is DEADLINE_EXCEEDED", async () => {
      const key = await locked()
      const error = await failure(one.updatePlan({ key, name: "too late" }))
      expect([error.code, error.details]).toEqual(["DEADLINE_EXCEEDED", "the call took longer than 2s"])
      await undone(key)
    })

    it("the client's is DEADLINE_EXCEEDED", async () => {
      const key = await locked()
      expect((await failure(one.updatePlan({ key, name: "too late" }, { timeout: 300 }))).code).toBe(
        "DEADLINE_EXCEEDED"
      )
      await undone(key)
    })

    it("a call that its client cancels is CANCELLED", async () => {
      const key = await locked()
      const controller = new AbortController()
      const call = failure(one.updatePlan({ key, name: "cancelled" }, { signal: controller.signal }))
      await Session.waiters(session)
      controller.abort()
      expect((await call).code).toBe("CANCELLED")
      await undone(key)
    })
  })
})

describe("what is no call of the contract", () => {
  it.each(["/orchestrator.ComputePlanService/Nothing", "/orchestrator.Nothing/RegisterPlan", "/x"])(
    "%s is UNIMPLEMENTED",
    async (path) => {
      expect((await failure(one.bytes(path, new Uint8Array()))).code).toBe("UNIMPLEMENTED")
    }
  )

  it("a message that cannot be decoded is INVALID_ARGUMENT", async () => {
    const error = await failure(one.bytes(paths.registerPlan, Uint8Array.of(0x0a, 0xff)))
    expect(error.code).toBe("INVALID_ARGUMENT")
    expect(error.details).not.toMatch(secrets)
  })
})

describe("a database that is out of reach", () => {
  const readiness = async () => (await fetch(`${server.http}/readyz`)).status
  const outcomes = async (plan: string) => {
    const calls = [
      one.getPlan({ key: plan }),
      one.registerPlan(Build.newPlan()),
      server.client("MyOrg1MSP", "yourchannel").subscribeToEvents()
    ]
    return (await Promise.all(calls.map(failure))).map(({ code }) => code)
  }
  const back = () =>
    vi.waitFor(async () => expect([await readiness(), (await Drive.aPlan(one)).owner]).toEqual([200, one.id]), {
      timeout: 20_000,
      interval: 20
    })

  it("is UNAVAILABLE for calls and probes; once it is back so are the service and the stream", async () => {
    await using stream = one.subscribeToEvents({ startEventId: await Recording.mark(one) })
    const plan = await Drive.aPlan(one)
    expect((await stream.next()).assetKey).toBe(plan.key)
    await gate.shut()
    expect(await outcomes(plan.key)).toEqual(["UNAVAILABLE", "UNAVAILABLE", "UNAVAILABLE"])
    expect(await readiness()).toBe(503)
    expect((await fetch(`${server.http}/healthz`)).status).toBe(200)
    await gate.open()
    await back()
    expect(await one.getPlan({ key: plan.key })).toEqual(plan)
    expect((await stream.next()).assetKind).toBe("ASSET_COMPUTE_PLAN")
  })

  it("and says nothing is not waited for: /readyz fails, calls end in time", async () => {
    const plan = await Drive.aPlan(one)
    gate.stall()
    const [ready, read] = await Promise.all([readiness(), failure(one.getPlan({ key: plan.key }))])
    expect([ready, read.code]).toEqual([503, "DEADLINE_EXCEEDED"])
    await gate.open()
    await back()
    expect(await one.getPlan({ key: plan.key })).toEqual(plan)
  })

  it("and refuses connections is UNAVAILABLE", async () => {
    await using admin = await Session.open(Program.administration())
    const plan = await Drive.aPlan(one)
    await admin.query(`ALTER DATABASE ${database.name} WITH ALLOW_CONNECTIONS false`)
    await admin.query(
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
       WHERE datname = '${database.name}' AND application_name = 'substra-orchestrator'`
    )
    const ends = await outcomes(plan.key)
    const ready = await readiness()
    await admin.query(`ALTER DATABASE ${database.name} WITH ALLOW_CONNECTIONS true`)
    await back()
    expect([...ends, ready]).toEqual(["UNAVAILABLE", "UNAVAILABLE", "UNAVAILABLE", 503])
  })
})

it("none of all this was a defect", () => {
  expect(server.output()).not.toMatch(/defect|uncaught|unhandled/i)
})
