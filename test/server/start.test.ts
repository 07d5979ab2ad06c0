/** How a server starts, alone and beside others, and what it says when it cannot. */
import { execFile } from "node:child_process"
import { once } from "node:events"
import { existsSync } from "node:fs"
import * as fs from "node:fs/promises"
import { createServer, type Server as NetServer } from "node:net"
import { join, resolve } from "node:path"
import { promisify } from "node:util"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import { afterAll, beforeAll, describe, expect, inject, it } from "vitest"
import * as EmbeddedPostgres from "../../src/layers/EmbeddedPostgres.ts"
import { layout } from "../../src/layers/embedded/DataDir.ts"
import * as Build from "../blackbox/Builders.ts"
import * as Drivers from "../blackbox/Drivers.ts"
import { execute } from "../support/database.ts"
import { makePki } from "../tls/Pki.ts"
import * as Gate from "./Gate.ts"
import * as Program from "./Program.ts"
import * as Session from "./Session.ts"

/** How a start ended that had to fail: in one message on a few lines, without a stack. */
const failure = async (env: Program.Env): Promise<string> => {
  const { code, stderr, stdout } = await Program.run({ ...Program.freePorts, ...env }).exited
  expect([code, stdout]).toEqual([1, ""])
  expect(stderr).not.toMatch(/^ +at |geheim/m)
  return stderr
}

const organizationsOf = async (server: Program.Server): Promise<ReadonlyArray<string>> =>
  (await server.client().getAllOrganizations()).organizations.map(({ id }) => id)

/** One data folder for all that need one, since making a cluster takes a while. */
let dataDir = ""
beforeAll(async () => {
  dataDir = await Program.dataFolder()
})

describe("a port that is taken", () => {
  const holders: Array<NetServer> = []
  const held = async (): Promise<string> => {
    const holder = createServer().listen(0, "127.0.0.1")
    holders.push(holder)
    await once(holder, "listening")
    const address = holder.address()
    return typeof address === "object" ? String(address?.port) : ""
  }
  let taken = ""
  let alsoTaken = ""
  beforeAll(async () => {
    taken = await held()
    alsoTaken = await held()
  })
  afterAll(() => {
    for (const holder of holders) holder.close()
  })

  const said = new Map<string, string>()
  describe.each(["ORCHESTRATOR_GRPC_PORT", "ORCHESTRATOR_HTTP_PORT"])("%s", (variable) => {
    beforeAll(async () => {
      said.set(variable, await failure({ ORCHESTRATOR_DATA_DIR: dataDir, [variable]: taken }))
    })

    it("is told with its variable and the address", () => {
      expect(said.get(variable)).toContain(variable)
      expect(said.get(variable)).toContain(`127.0.0.1:${taken}`)
    })

    it("leaves no PostgreSQL behind", async () => {
      expect(Program.postgresOf(dataDir)).toBeUndefined()
      const log = await fs.readFile(layout(dataDir).log, "utf8")
      expect(log.trimEnd().split("\n").at(-1)).toContain("database system is shut down")
    })
  })

  const oneLine = /^cannot listen on [^\n(]+\n$/

  it("of HTTP is told in one line", () => {
    expect(said.get("ORCHESTRATOR_HTTP_PORT")).toMatch(oneLine)
  })

  it("of gRPC is told in one line", () => {
    expect(said.get("ORCHESTRATOR_GRPC_PORT")).toMatch(oneLine)
  })

  it("is told by a server of several processes as by one", async () => {
    const several = { ORCHESTRATOR_DATA_DIR: dataDir, ORCHESTRATOR_WORKERS: "2" }
    expect(await failure({ ...several, ORCHESTRATOR_GRPC_PORT: taken })).toBe(said.get("ORCHESTRATOR_GRPC_PORT"))
  })

  it("is told for both where neither can be had", async () => {
    const text = await failure({
      ...{ ORCHESTRATOR_DATA_DIR: dataDir, ORCHESTRATOR_GRPC_PORT: taken, ORCHESTRATOR_HTTP_PORT: alsoTaken }
    })
    expect(text).toMatch(/^cannot listen on [^\n]* for HTTP: [^\n]*\ncannot listen on [^\n]* for gRPC: [^\n]*\n$/)
  })
})

describe("a command on the database alone needs no file of channels", () => {
  it("migrate, and events tail", async () => {
    const env = { ORCHESTRATOR_DATABASE_URL: (await Program.emptyDatabase()).url }
    expect(await Program.run(env, "migrate").exited).toMatchObject({
      code: 0,
      stderr: "",
      stdout: expect.stringMatching(/^migrated: /)
    })
    const tail = (...args: ReadonlyArray<string>) => Program.run(env, "events", "tail", ...args).exited
    const none = 'channel "mychannel" has no events\n'
    expect(await tail("mychannel")).toEqual({ code: 0, stderr: none, stdout: "" })
    expect(await tail("mychannel", "--after", "x")).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/event is not valid: --after: /)
    })
  })

  it("events tail prints a client's text on one line, with nothing that a terminal obeys", async () => {
    const env = await Program.envOf(await Program.database())
    const client = (await Program.serve(env)).client()
    await client.registerOrganization()
    const { key } = await Drivers.aTaskIn(client, "STATUS_EXECUTING")
    const log = "gone\n2026-01-01 forged \u001b[2J\u009b31m é"
    await client.applyTaskAction({ computeTaskKey: key, action: "TASK_ACTION_CANCELED", log })
    const { stdout } = await Program.run(env, "events", "tail", "mychannel").exited
    expect(stdout).toContain(" (gone\\u000a2026-01-01 forged \\u001b[2J\\u009b31m é)\n")
  })

  it("events tail ends when nobody reads it any more", async () => {
    const env = await Program.envOf(await Program.database())
    const server = await Program.serve(env)
    await server.client().registerOrganization()
    const program = Program.run(env, "events", "tail", "mychannel", "--follow")
    await program.prints(/ASSET_ORGANIZATION/)
    program.process.stdout?.destroy()
    await server.client("MyOrg2MSP").registerOrganization()
    expect((await program.exited).code).toBe(0)
  })

  it.each([
    ["events", "tail", "mychannel"],
    ["adopt", "--verify", "--from", "postgresql://old@127.0.0.1:1/old"]
  ])("%s %s makes no data where there is none", async (...args) => {
    const dataDir = join(await Program.folder(), "nothing")
    const { code, stderr } = await Program.run({ ORCHESTRATOR_DATA_DIR: dataDir }, ...args).exited
    expect([code, stderr]).toEqual([
      1,
      expect.stringContaining(`there is no data in ${dataDir}. Set ORCHESTRATOR_DATA_DIR`)
    ])
    expect(existsSync(dataDir)).toBe(false)
  })

  it("events tail names a schema that is not there", async () => {
    const env = { ORCHESTRATOR_DATABASE_URL: (await Program.emptyDatabase()).url }
    expect(await Program.run(env, "events", "tail", "mychannel").exited).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/^the database's schema is 0 of \d: run migrate/)
    })
  })
})

describe("a role that owns the schema, and may make no other in its database,", () => {
  it("serves where the schema is migrated", async () => {
    const database = await Program.database()
    await execute(database.adminUrl, `ALTER DATABASE ${database.name} OWNER TO postgres`)
    await (await Program.serve(await Program.envOf(database))).client().registerOrganization()
  })

  it("migrates where the schema is empty", async () => {
    const database = await Program.emptyDatabase()
    await execute(
      database.adminUrl,
      `ALTER DATABASE ${database.name} OWNER TO postgres`,
      "CREATE SCHEMA orchestrator AUTHORIZATION orchestrator"
    )
    await (await Program.serve(await Program.envOf(database))).client().registerOrganization()
  })
})

describe("a database that cannot be used", () => {
  it("that is not there is told", async () => {
    const url = new URL((await Program.emptyDatabase()).url)
    url.pathname = "/no_such_database"
    url.password = "geheim"
    const said = await failure(await Program.envOf({ url: url.href }))
    expect(said).toMatch(/^the database cannot be used: .*no_such_database.*ORCHESTRATOR_DATABASE_URL.*\n$/)
  })

  const nowhere = "postgresql://orchestrator:geheim@127.0.0.1:1/orchestrator"

  it("whose server is not there is told, at once without a time to wait", async () => {
    const said = await failure({ ...(await Program.envOf({ url: nowhere })), ORCHESTRATOR_DATABASE_WAIT: "0" })
    expect(said).toMatch(/^the database cannot be used: .*ECONNREFUSED 127.0.0.1:1.*ORCHESTRATOR_DATABASE_URL.*\n$/)
  })

  it.each(["serve", "migrate"])(
    "whose server does not come is waited for by %s, which says so, and then told",
    async (command) => {
      const env = { ...Program.freePorts, ...(await Program.envOf({ url: nowhere })), ORCHESTRATOR_DATABASE_WAIT: "1s" }
      const { code, stderr, stdout } = await Program.run(env, command).exited
      expect(code).toBe(1)
      // The log of a server is its output, that of a command is beside it.
      const [log, said] = command === "serve" ? [stdout, stderr] : [stderr, stderr]
      expect(log).toMatch(/waiting for the database, 1 s more \(ORCHESTRATOR_DATABASE_WAIT\).*ECONNREFUSED/)
      expect(said).toMatch(
        /^the database cannot be used: .*ECONNREFUSED.*waited for, 1s \(ORCHESTRATOR_DATABASE_WAIT\)\n$/m
      )
      expect(stdout + stderr).not.toContain("geheim")
      if (command === "migrate") expect(stdout).toBe("")
    }
  )

  it("migrate that is ended while it waits for one has no success, and logs what is asked for", async () => {
    const env = { ...(await Program.envOf({ url: nowhere })), LOG_LEVEL: "WARN" }
    const program = Program.run(env, "migrate")
    await program.prints(/waiting for the database/)
    program.process.kill("SIGTERM")
    expect((await program.exited).code).toBe(130)
    const quiet = Program.run({ ...env, LOG_LEVEL: "ERROR", ORCHESTRATOR_DATABASE_WAIT: "1s" }, "migrate")
    expect((await quiet.exited).stderr).not.toContain("waiting for the database")
  })

  it("that comes while it is waited for is used", async () => {
    await using gate = await Gate.before((await Program.emptyDatabase()).url)
    await gate.shut()
    const program = Program.run({ ...Program.freePorts, ...(await Program.envOf({ url: gate.url })) })
    await program.prints(/waiting for the database, 60 s more/)
    await gate.open()
    await program.prints(/gRPC +127/)
    program.process.kill("SIGTERM")
    expect((await program.exited).code).toBe(0)
  })

  /** Each with what to do about it. */
  const wrong: ReadonlyArray<readonly [string, (url: URL) => unknown, RegExp]> = [
    ["database", (url) => (url.pathname = "/none"), /Create it, CREATE DATABASE/],
    [
      "host",
      (url) => (url.href = "postgresql://orchestrator:geheim@no-such-host.invalid/orchestrator"),
      /Look at the host in ORCHESTRATOR_DATABASE_URL/
    ],
    ["port", (url) => (url.href = nowhere), /Nobody listens there: start PostgreSQL/],
    [
      "user, which it does not name",
      (url) => (url.href = "postgresql://127.0.0.1:1/orchestrator"),
      /Look at ORCH.*_URL/
    ],
    ["sslmode", (url) => url.searchParams.set("sslmode", "require"), /Turn TLS on there .*sslmode=disable/],
    ["role", (url) => url.searchParams.set("user", "nobody"), /role "nobody" does not exist. Look at the role in/]
  ]

  it.each(wrong)("for its %s is told with the way out", async (_, change, wayOut) => {
    const url = new URL(inject("postgres").url)
    await change(url)
    const said = await failure({ ...(await Program.envOf({ url: url.href })), ORCHESTRATOR_DATABASE_WAIT: "0" })
    expect(said).toMatch(/^the database cannot be used: /)
    expect(said).toMatch(wayOut)
    expect(said).not.toContain("geheim")
  })

  /** Each with what a superuser does to a database with the schema. */
  const closed: ReadonlyArray<readonly [string, (name: string) => string, RegExp]> = [
    [
      "its role may not make the schema",
      (name) => `DROP SCHEMA orchestrator CASCADE; ALTER DATABASE ${name} OWNER TO postgres`,
      /permission denied for database.*GRANT CREATE ON DATABASE/
    ],
    [
      "its role may not connect",
      (name) => `REVOKE CONNECT ON DATABASE ${name} FROM public, orchestrator`,
      /permission denied for database.*GRANT CONNECT ON DATABASE/
    ],
    [
      "its role may not use the schema",
      () => "ALTER SCHEMA orchestrator OWNER TO postgres; REVOKE ALL ON SCHEMA orchestrator FROM orchestrator",
      /permission denied for schema.*the owner of the schema orchestrator/
    ],
    [
      "it is read-only",
      (name) => `ALTER DATABASE ${name} SET default_transaction_read_only = on`,
      /the database is read-only: default_transaction_read_only is on/
    ],
    [
      "it has too many connections",
      (name) => `ALTER DATABASE ${name} CONNECTION LIMIT 0`,
      /too many connections.*max_connections, or the CONNECTION LIMIT/
    ]
  ]

  it.each(closed)("because %s is told with the way out", async (_, change, wayOut) => {
    const database = await Program.database()
    await execute(database.adminUrl, ...change(database.name).split("; "))
    const said = await failure({ ...(await Program.envOf(database)), ORCHESTRATOR_DATABASE_WAIT: "0" })
    expect(said).toMatch(/^the database /)
    expect(said).toMatch(wayOut)
  })

  it("because its encoding is not UTF8 is told with the way out", async () => {
    const { name, url } = await Program.emptyDatabase()
    await execute(
      Program.administration(),
      `DROP DATABASE ${name}`,
      `CREATE DATABASE ${name} OWNER orchestrator ENCODING LATIN1 LOCALE 'C' TEMPLATE template0`
    )
    expect(await failure(await Program.envOf({ url }))).toMatch(/encoding is LATIN1, not UTF8: make another, CREATE/)
  })

  /** Starts on a database of this PostgreSQL once its pg_hba.conf begins with these lines, for as long as it takes. */
  const failureWithHba = async (env: Program.Env, adminUrl: string, lines: string): Promise<string> => {
    await using session = await Session.open(adminUrl)
    const [row] = await session.query("SELECT current_setting('hba_file') AS file")
    const file = String(row?.file)
    const before = await fs.readFile(file, "utf8")
    await fs.writeFile(file, `${lines}\n${before}`)
    await session.query("SELECT pg_reload_conf()")
    const said = await failure({ ...env, ORCHESTRATOR_DATABASE_WAIT: "0" })
    await fs.writeFile(file, before)
    return said
  }

  it("because pg_hba.conf does not let its role in is told with the way out", async () => {
    const database = await Program.database()
    const env = await Program.envOf(database)
    const said = await failureWithHba(env, Program.administration(), `local ${database.name} all reject`)
    expect(said).toMatch(/for host "\[local\]".*Give the role an entry in pg_hba.conf, for this database\n$/)
  })

  it("because pg_hba.conf may let its role in with TLS only is told with that way out too", async () => {
    // Where the folder's name is too long for a socket it listens on TCP.
    const dataDir = join(await Program.folder(), "long-".repeat(20))
    const postgres = EmbeddedPostgres.start({ dataDir, settings: { fsync: "off" } })
    const refused = Effect.flatMap(postgres, ({ adminUrl, url }) =>
      Effect.promise(async () =>
        failureWithHba(
          await Program.envOf({ url: Redacted.value(url) }),
          Redacted.value(adminUrl),
          "hostssl all all all trust\nhost all orchestrator all reject"
        )
      )
    )
    const said = await Effect.runPromise(Effect.scoped(refused))
    expect(said).toMatch(/no encryption.*Give the role an entry in pg_hba.conf.* if it has one for TLS, hostssl, ask/)
  })

  it("whose TLS is not what the URL asks for is not waited for", async () => {
    const url = new URL((await Program.emptyDatabase()).url)
    url.searchParams.set("sslmode", "verify-full")
    expect(await failure(await Program.envOf({ url: url.href }))).toMatch(/^the database cannot be used: .*TLS/)
  })

  it("that a newer server has migrated is left as it is", async () => {
    const database = await Program.database()
    await execute(
      database.url,
      "INSERT INTO orchestrator.migrations (id, name, oldest_server) VALUES (1000, 'from the future', 999)"
    )
    const said = await failure(await Program.envOf(database))
    expect(said).toMatch(/^the database's schema 1000 needs a newer server: .*\n$/)
  })

  it("is told with ORCHESTRATOR_DATA_DIR when the folder is no folder", async () => {
    const file = await Program.channelFile()
    const said = await failure({ ORCHESTRATOR_DATA_DIR: file })
    expect(said).toMatch(/^Embedded PostgreSQL: .*ORCHESTRATOR_DATA_DIR.*\n$/)
    expect(said).toContain(file)
  })
})

it("a user whom the system does not know is told which folder cannot be made", async () => {
  const preload = "process.setuid?.(4242); delete process.env.HOME; delete process.env.XDG_DATA_HOME"
  const asRoot = process.getuid?.() === 0
  const env = asRoot ? { NODE_OPTIONS: `--import data:text/javascript,${encodeURIComponent(preload)}` } : {}
  const { code, stderr } = await Program.run({ ...Program.freePorts, ...env, ...(asRoot ? {} : { HOME: "/dev/null" }) })
    .exited
  expect(code).toBe(1)
  expect(stderr).toMatch(/^Embedded PostgreSQL: .*ORCHESTRATOR_DATA_DIR/)
})

it("an address that the machine has not is told with its variable", async () => {
  const env = await Program.envOf(await Program.database())
  expect(await failure({ ...env, ORCHESTRATOR_LISTEN_ADDRESS: "192.0.2.1" })).toContain("ORCHESTRATOR_LISTEN_ADDRESS")
})

it("two servers that start at once on one empty database both serve", async () => {
  const env = await Program.envOf(await Program.emptyDatabase())
  const [one, two] = await Promise.all([Program.serve(env), Program.serve(env)])
  await one.client("MyOrg1MSP").registerOrganization()
  await two.client("MyOrg2MSP").registerOrganization()
  expect(await organizationsOf(one)).toEqual(["MyOrg1MSP", "MyOrg2MSP"])
  expect(await organizationsOf(two)).toEqual(["MyOrg1MSP", "MyOrg2MSP"])
  expect((await Promise.all([one.stop(), two.stop()])).map(({ code }) => code)).toEqual([0, 0])
})

describe("two servers with a PostgreSQL of their own each", () => {
  let one: Program.Server
  let two: Program.Server
  let folderOfTwo = ""
  beforeAll(async () => {
    // Too long for the path of a socket: this one listens on TCP, and asks for a password.
    folderOfTwo = await Program.dataFolder("x".repeat(100))
    ;[one, two] = await Promise.all([
      Program.serve({ ORCHESTRATOR_DATA_DIR: dataDir }),
      Program.serve({ ORCHESTRATOR_DATA_DIR: folderOfTwo })
    ])
  })

  it("print the free ports that they took, and answer there", async () => {
    for (const server of [one, two]) {
      expect(server.address).toMatch(/^127\.0\.0\.1:[1-9]\d+$/)
      expect(await (await fetch(`${server.http}/healthz`)).text()).toBe("ok\n")
    }
  })

  it("say where the data is and which channels there are", () => {
    expect(one.output()).toContain(`  data      ${dataDir}\n`)
    expect(one.output()).toContain("mychannel: MyOrg1MSP, MyOrg2MSP; yourchannel: MyOrg1MSP, MyOrg2MSP\n")
  })

  it("know nothing of each other", async () => {
    await one.client().registerOrganization()
    expect(await organizationsOf(one)).toEqual(["MyOrg1MSP"])
    expect(await organizationsOf(two)).toEqual([])
  })

  it("show their log to events tail beside them", async () => {
    await one.client("MyOrg2MSP").registerPlan(Build.newPlan())
    const { code, stderr, stdout } = await Program.run(
      { ORCHESTRATOR_DATA_DIR: dataDir },
      "events",
      "tail",
      "mychannel"
    ).exited
    expect([code, stderr]).toEqual([0, ""])
    expect(stdout).toMatch(/CREATED \S*COMPUTE_PLAN /)
  })

  it("a third on the same folder is refused, and the first goes on", async () => {
    const said = await failure({ ORCHESTRATOR_DATA_DIR: dataDir })
    expect(said).toContain(`${dataDir} is in use by another orchestrator, process ${one.process.pid}`)
    expect(said).toContain("ORCHESTRATOR_DATA_DIR")
    expect(await organizationsOf(one)).toEqual(["MyOrg1MSP"])
  })

  it("a wrong password for its database is told, not shown", async () => {
    const url = `postgresql://orchestrator:geheim@127.0.0.1:${Program.postgresPort(folderOfTwo)}/orchestrator`
    const said = await failure(await Program.envOf({ url }))
    expect(said).toMatch(/^the database cannot be used: .*password.*ORCHESTRATOR_DATABASE_URL.* are written %40.*\n$/)
    expect(said).not.toContain("geheim")
  })
})

describe("a server that has started names what to try next", () => {
  const suggestion = async (env: Program.Env): Promise<readonly [Program.Server, string]> => {
    const server = await Program.serve(env)
    return [server, /Try next[^:]*: (?:a client, )?(.*)/.exec(server.output())?.[1] ?? ""]
  }

  const channels = async (text: string): Promise<Program.Env> => ({
    ...(await Program.envOf(await Program.database())),
    ORCHESTRATOR_CHANNEL_CONFIG: await Program.channelFile(text)
  })

  it("the example, with the options that fit it, which then runs", async () => {
    const env = await channels("channels: { other: [MyOrg1MSP], ours: [MyOrg2MSP, MyOrg1MSP] }")
    const [server, command] = await suggestion(env)
    expect(command).toBe(`npm run example -- --address ${server.address} --channel "ours"`)
    const args = ["examples/federated.ts", "--rounds", "1", "--address", server.address, "--channel", "ours"]
    const { stdout } = await promisify(execFile)(process.execPath, args, { cwd: resolve(import.meta.dirname, "../..") })
    expect(stdout).toContain("tasks done")
  })

  it("with TLS, the CA and the clients' certificates too", async () => {
    const pki = await makePki()
    const [server, command] = await suggestion({ ...(await Program.envOf(await Program.database())), ...pki.env })
    const address = `localhost:${server.address.split(":").at(-1)}`
    const ca = JSON.stringify(pki.path("server-ca.pem"))
    expect(command).toBe(`npm run example -- --address ${address} --ca ${ca} --cert-dir <clients' certificates>`)
  })

  it("a client, where the example's organizations share no channel", async () => {
    const [, text] = await suggestion(await channels("channels: { mychannel: [MyOrg1MSP], other: [MyOrg2MSP] }"))
    expect(text).toBe("docs/client.md")
  })
})

/** A machine on which this fails, in these processes of the server. */
const broken = (where: string): Program.Env => {
  const source = `import os from "node:os"; import cluster from "node:cluster"; import { syncBuiltinESMExports } from "node:module";
    if (${where}) os.availableParallelism = () => { throw new Error("the machine is broken") };
    syncBuiltinESMExports();`
  return { NODE_OPTIONS: `--import data:text/javascript,${encodeURIComponent(source)}` }
}

describe("a defect while starting is told, with its cause,", () => {
  it.each([
    ["by a server", {}, "true"],
    ["by a primary", { ORCHESTRATOR_WORKERS: "2" }, "true"],
    ["by a worker", { ORCHESTRATOR_WORKERS: "2" }, "cluster.isWorker"]
  ])("%s", async (_, env, where) => {
    const all = { ...Program.freePorts, ...(await Program.envOf(await Program.database())), ...env, ...broken(where) }
    const { code, stderr } = await Program.run(all).exited
    expect(code).toBe(1)
    expect(stderr).toMatch(
      /^a defect of the program has ended it, please report it:\nError: the machine is broken\n +at /m
    )
  })
})
