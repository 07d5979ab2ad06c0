/** Calls of the client against the real server: one method an rpc, identity once, TLS, deadlines, traces. */
import { readFile } from "node:fs/promises"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import * as Tracer from "effect/Tracer"
import { describe, expect, it, vi } from "vitest"
import * as Client from "../../src/client/Client.ts"
import type { ClientOptions } from "../../src/client/ClientOptions.ts"
import { connect } from "../../src/client/PromiseClient.ts"
import { services } from "../../src/layers/wire/generated/index.ts"
import * as Build from "../blackbox/Builders.ts"
import { startServer } from "../blackbox/Server.ts"
import { authority, clientOf } from "../tls/Certificates.ts"
import { makePki, startServer as startTlsServer } from "../tls/Pki.ts"
import { fake } from "./Fake.ts"

const server = await startServer()
const one: ClientOptions = { address: server.address, organization: "MyOrg1MSP", channel: "mychannel" }

/** Runs with a client of its own. */
const using = <A, E>(
  use: (client: Client.OrchestratorClient) => Effect.Effect<A, E>,
  options: Partial<ClientOptions> = {}
): Promise<A> => Effect.runPromise(Effect.scoped(Effect.flatMap(Client.connect({ ...one, ...options }), use)))

const failing = (
  use: (
    client: Client.OrchestratorClient
  ) => Effect.Effect<unknown, { readonly _tag: string; readonly message: string }>,
  options: Partial<ClientOptions> = {}
) => using((client) => Effect.flip(use(client)), options)

describe("a client", () => {
  it("has a method for every rpc of the contract, and a stream for every query", () =>
    using((client) =>
      Effect.sync(() => {
        const names = services.flatMap(({ methods }) => Object.keys(methods))
        expect(names.filter((name) => typeof client[name as keyof typeof client] !== "function")).toEqual([])
        const queries = names.filter((name) => name.startsWith("query") && name !== "queryVersion")
        expect(Object.keys(client.all).sort()).toEqual(queries.sort())
      })
    ))

  it("registers, reads and queries as its organization in its channel", () =>
    using((client) =>
      Effect.gen(function* () {
        const plan = yield* client.registerPlan(Build.newPlan({ name: "mine" }))
        expect(plan).toMatchObject({ owner: "MyOrg1MSP", name: "mine" })
        expect(yield* client.getPlan({ key: plan.key })).toEqual(plan)
        const { plans } = yield* client.queryPlans({ filter: { owner: "MyOrg1MSP" } })
        expect(plans).toContainEqual(plan)
      })
    ))

  it("asks no proxy for an orchestrator of its own machine", async () => {
    vi.stubEnv("http_proxy", "http://127.0.0.1:1")
    vi.stubEnv("no_proxy", "")
    try {
      await using((client) => client.queryVersion({}), { retryFor: 0 })
    } finally {
      vi.unstubAllEnvs()
    }
  })

  it("fills in what a query leaves out, in every filter", () =>
    using((client) =>
      Effect.gen(function* () {
        const key = Build.newKey()
        expect((yield* client.queryTasks({ filter: { computePlanKey: key } })).tasks).toEqual([])
        expect((yield* client.queryFunctions({ filter: { computePlanKey: key } })).Functions).toEqual([])
        expect((yield* client.queryPlans({ filter: { owner: "nobody" } })).plans).toEqual([])
        expect((yield* client.queryDataSamples({ filter: { keys: [key] } })).dataSamples).toEqual([])
        expect((yield* client.queryPerformances({ filter: { computeTaskKey: key } })).Performances).toEqual([])
        expect((yield* client.queryEvents({ filter: { assetKey: key } })).events).toEqual([])
      })
    ))

  it("gives every asset of a query once, page after page", () =>
    using((client) =>
      Effect.gen(function* () {
        const key = yield* Effect.map(client.registerDataManager(Build.newDataManager()), (manager) => manager.key)
        const samples = Array.from({ length: 7 }, () => Build.newDataSample([key]))
        yield* client.registerDataSamples({ samples })
        const keys = samples.map((sample) => sample.key)
        const found = yield* Stream.runCollect(client.all.queryDataSamples({ filter: { keys }, pageSize: 2 }))
        expect(found.map((sample) => sample.key).sort()).toEqual(keys.sort())
      })
    ))

  it("fails with the kind of an error, its fields, and the call's id in the server's log", async () => {
    const wrong = await failing((client) =>
      client.registerPlan(Build.newPlan({ key: "no key", name: "" }), { requestId: "my call, 1" })
    )
    expect(wrong).toMatchObject({ _tag: "InvalidAsset", requestId: "my_call__1", rpc: "RegisterPlan" })
    expect((wrong as unknown as { violations: Array<{ field: string }> }).violations.map(({ field }) => field)).toEqual(
      ["key", "name"]
    )
    const key = Build.newKey()
    expect(await failing((client) => client.getPlan({ key }))).toMatchObject({
      _tag: "NotFound",
      requestId: expect.stringMatching(/^[0-9a-f]{8}$/),
      details: `OE0002: computeplan with key "${key}" not found`
    })
    const plan = Build.newPlan()
    expect(
      await failing((client) => Effect.andThen(client.registerPlan(plan), client.registerPlan(plan)))
    ).toMatchObject({ _tag: "Conflict" })
  })

  it("says who must be told of an organization or channel that the server does not know", async () => {
    for (const options of [{ channel: "nochannel" }, { organization: "NobodyMSP" }]) {
      const error = await failing((client) => client.getAllOrganizations(), options)
      expect(error._tag).toBe("PermissionDenied")
      expect(error.message).toContain("file of channels")
    }
  })

  it("refuses options that cannot be used before any call, all at once", async () => {
    const error = await Effect.runPromise(
      Effect.flip(
        Effect.scoped(
          Client.connect({
            address: "localhost",
            organization: "A,B",
            channel: "",
            timeout: "soon" as never,
            maxResponseSize: 0.5,
            tls: { ca: "-----BEGIN NOTHING-----", certificate: "/no/such/file" }
          })
        )
      )
    )
    expect(error._tag).toBe("InvalidClientOptions")
    for (const option of [
      "address",
      "organization",
      "channel",
      "timeout",
      "maxResponseSize",
      "tls.ca",
      "tls.certificate",
      "tls.certificate, tls.key"
    ]) {
      expect(error.message).toContain(`  ${option}`)
    }
    expect(error.message).toContain("tls.ca: it must be a certificate, PEM")
    expect(error.message).not.toContain("error:")
  })

  it("refuses a request whose fields are of other types", async () => {
    const error = await failing((client) => client.registerPlan({ ...Build.newPlan(), metadata: 5 } as never))
    expect(error).toMatchObject({ _tag: "InvalidRequest" })
  })

  it.each(["soon" as never, 0, -1, "0 seconds"] as const)("refuses %j as the timeout of a call", async (timeout) => {
    const error = await failing((client) => client.queryVersion({}, { timeout }))
    expect(error).toMatchObject({ _tag: "InvalidRequest", message: expect.stringContaining("Give it as") })
  })

  it("refuses a certificate that TLS finds too weak, with its reason", async () => {
    const rsa = {
      name: "RSASSA-PKCS1-v1_5",
      modulusLength: 512,
      publicExponent: Uint8Array.of(1, 0, 1),
      hash: "SHA-256"
    }
    const keys = await crypto.subtle.generateKey(rsa, true, ["sign", "verify"])
    const { certificate, key } = await clientOf("MyOrg1MSP", await authority("CA"), { keys })
    const error = await Effect.runPromise(
      Effect.flip(Effect.scoped(Client.connect({ ...one, tls: { certificate, key } })))
    )
    expect(error).toMatchObject({
      _tag: "InvalidClientOptions",
      message: expect.stringMatching(/tls: OpenSSL does not take these certificates: ee key too small$/)
    })
  })

  it("is told that it is closed", async () => {
    const client = await connect(one)
    const stream = client.events()[Symbol.asyncIterator]()
    await stream.next()
    await client.close()
    await expect(client.queryVersion()).rejects.toMatchObject({ _tag: "ClientClosed" })
    await expect(
      (async () => {
        while (!(await stream.next()).done);
      })()
    ).rejects.toMatchObject({ _tag: "ClientClosed" })
  })
})

describe("a client of promises", () => {
  it("has the same calls, streams and errors", async () => {
    await using client = await connect(one)
    const plan = await client.registerPlan(Build.newPlan())
    expect(await client.getPlan({ key: plan.key })).toEqual(plan)
    await expect(client.getPlan({ key: Build.newKey() })).rejects.toMatchObject({ _tag: "NotFound" })
    const keys: Array<string> = []
    for await (const found of client.all.queryPlans({ pageSize: 1 })) keys.push(found.key)
    expect(keys).toContain(plan.key)
    const since = await client.newestEvent()
    const next = await client.registerPlan(Build.newPlan())
    for await (const event of client.events(since)) {
      expect(event.assetKey).toBe(next.key)
      break
    }
  })

  it("ends a call whose signal is aborted", async () => {
    await using client = await connect(one)
    const aborted = AbortSignal.abort()
    await expect(client.queryVersion({}, { signal: aborted })).rejects.toThrow()
    await expect(client.newestEvent({ signal: aborted })).rejects.toThrow()
    await expect(client.waitForPlan(Build.newKey(), { signal: aborted })).rejects.toThrow()
  })
})

describe("TLS", () => {
  it("comes from files or bytes, and refuses what does not fit, with the way out", async () => {
    const pki = await makePki()
    const tls = await startTlsServer(pki.env)
    const own = await clientOf("MyOrg1MSP", pki.cas.MyOrg1MSP)
    await pki.write("own.pem", own.certificate)
    await pki.write("own.key", own.key)
    const address = `localhost:${tls.port}`
    const version = (options: Partial<ClientOptions>) =>
      using((client) => Effect.map(client.getAllOrganizations(), () => "answered"), {
        address,
        retryFor: 0,
        ...options
      })
    const refusal = (options: Partial<ClientOptions>) =>
      failing((client) => client.getAllOrganizations(), { address, retryFor: "1 second", ...options })

    const files = { ca: pki.path("server-ca.pem"), certificate: pki.path("own.pem"), key: pki.path("own.key") }
    const bytes = {
      ca: await readFile(files.ca),
      certificate: await readFile(files.certificate),
      key: await readFile(files.key)
    }
    const texts = { ca: pki.serverCa.certificate, certificate: own.certificate, key: own.key }
    for (const given of [files, bytes, texts]) expect(await version({ tls: given })).toBe("answered")
    const otherName = { address: `127.0.0.1:${tls.port}`, tls: { ...files, serverName: "localhost" } }
    expect(await version(otherName)).toBe("answered")

    const stranger = await authority("nobody's CA")
    expect(await refusal({ tls: { ...files, ca: stranger.certificate } })).toMatchObject({ _tag: "Untrusted" })
    expect(await refusal({ tls: { ...files, serverName: "elsewhere.example" } })).toMatchObject({ _tag: "Untrusted" })
    expect((await refusal({ tls: { ca: files.ca } })).message).toMatch(/tls\.certificate|TLS/)
    expect((await refusal({})).message).toContain("TLS")
    expect(await refusal({ tls: files, organization: "MyOrg2MSP" })).toMatchObject({ _tag: "PermissionDenied" })
    expect((await refusal({ tls: {}, address: server.address })).message).toContain("TLS")
  })
})

describe("a server that is none", () => {
  it("of plain bytes, of HTTP, or of nothing at all, is told with a typed error that says what to look at", async () => {
    for (const kind of ["garbage", "http", "nobody"] as const) {
      await using wrong = await fake(kind)
      const error = await failing((client) => client.queryVersion(), { address: wrong.address, retryFor: 0 })
      expect(error._tag).toBe("Unavailable")
      expect(error.message).toContain(`Nobody can be reached at ${wrong.address}`)
    }
  })

  it("answers with what is no message", async () => {
    await using wrong = await fake("no message")
    const error = await failing((client) => client.queryVersion(), { address: wrong.address, retryFor: 0 })
    expect(error).toMatchObject({ _tag: "InvalidAnswer" })
    const inStream = await failing((client) => Stream.runDrain(client.events()), {
      address: wrong.address,
      retryFor: 0
    })
    expect(inStream).toMatchObject({ _tag: "InvalidAnswer" })
  })

  it("answers with frames that are none, or as a website", async () => {
    for (const [kind, tag] of [
      ["no frame", "ResourceExhausted"],
      ["website", "ResourceExhausted"],
      ["not found", "Unimplemented"]
    ] as const) {
      await using wrong = await fake(kind)
      const error = await failing((client) => client.queryVersion(), { address: wrong.address, retryFor: 0 })
      expect(error).toMatchObject({ _tag: tag })
    }
  })

  it("says nothing: the call ends with its deadline", async () => {
    await using silent = await fake("silent")
    const error = await failing((client) => client.queryVersion({}, { timeout: "200 millis" }), {
      address: silent.address
    })
    expect(error).toMatchObject({ _tag: "DeadlineExceeded" })
    expect(error.message).toContain("timeout")
  })
})

describe("a trace", () => {
  it("goes with the call as a traceparent of its own span, and only when there is one", async () => {
    await using recorder = await fake("recorder")
    const spans = await using(
      (client) =>
        Effect.gen(function* () {
          yield* client.queryVersion()
          const outer = yield* Effect.currentSpan.pipe(
            Effect.tap(() => client.queryVersion()),
            Effect.withSpan("outer")
          )
          yield* Effect.withSpan(client.queryVersion(), "kept").pipe(
            Effect.provideService(Tracer.DisablePropagation, true)
          )
          return outer
        }),
      { address: recorder.address }
    )
    const [untraced, traced, kept] = recorder.headers.map((headers) => headers.traceparent)
    expect(untraced).toBeUndefined()
    expect(kept).toBeUndefined()
    const [, trace, span] = /^00-([0-9a-f]{32})-([0-9a-f]{16})-01$/.exec(String(traced)) ?? []
    expect(trace).toBe(spans.traceId)
    expect(span).not.toBe(spans.spanId)
  })
})
