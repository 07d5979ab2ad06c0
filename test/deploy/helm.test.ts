/**
 * The Helm chart: its values are those that deployments have in their files, and its templates use no others. Where a
 * Helm is at hand (on the PATH, or named by HELM), it lints and renders the chart with each of the value files here.
 */
import { spawnSync } from "node:child_process"
import { mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
// Which x509 needs, before it.
import "reflect-metadata"
import * as x509 from "@peculiar/x509"
import * as Effect from "effect/Effect"
import { describe, expect, it } from "vitest"
import packageJson from "../../package.json" with { type: "json" }
import * as AppConfig from "../../src/layers/config/AppConfig.ts"
import * as ChannelsFile from "../../src/layers/config/ChannelsFile.ts"
import knownValues from "./helm/known-values.json" with { type: "json" }
import { chart, helm, parse, read, templates } from "./support.ts"

const values = parse(read(chart, "values.yaml"))
const schema = JSON.parse(read(chart, "values.schema.json"))

type Tree = Readonly<Record<string, unknown>>
const isTree = (value: unknown): value is Tree =>
  typeof value === "object" && value !== null && !Array.isArray(value) && Object.keys(value).length > 0

/** `orchestrator.image.tag`, of every value that has none below it. */
const leaves = (tree: Tree, prefix = ""): ReadonlyArray<string> =>
  Object.entries(tree).flatMap(([name, value]) =>
    isTree(value) ? leaves(value, `${prefix}${name}.`) : [`${prefix}${name}`]
  )

const has = (tree: unknown, path: string): boolean => path === "" || (isTree(tree) && pathIn(tree, path.split(".")))
const pathIn = (tree: Tree, [first = "", ...rest]: ReadonlyArray<string>): boolean =>
  Object.hasOwn(tree, first) && (rest.length === 0 || has(tree[first], rest.join(".")))

describe("the chart's values", () => {
  it("have every name that deployments know", () => {
    expect(knownValues.filter((path) => !has(values, path))).toEqual([])
  })

  it("are all in the schema, which knows no others", () => {
    const described = (node: { properties?: Tree }, prefix = ""): ReadonlyArray<string> =>
      Object.entries(node.properties ?? {}).flatMap(([name, below]) => {
        const inner = described(below as { properties?: Tree }, `${prefix}${name}.`)
        return inner.length > 0 ? inner : [`${prefix}${name}`]
      })
    // The parts of these are Kubernetes' own.
    const whole = /^((pod)?[sS]ecurityContext|resources|updateStrategy|(startup|liveness|readiness)Probe)\..*$/
    const named = new Set(leaves(values).map((path) => path.replace(whole, "$1")))
    expect([...new Set(described(schema))].sort()).toEqual([...named].sort())
  })

  it("have the server's own defaults", () => {
    const { settings } = AppConfig
    expect(values.orchestrator.txRetryBudget).toBe(settings.ORCHESTRATOR_TX_RETRY_BUDGET.standard)
    expect(values.orchestrator.logLevel).toBe(settings.LOG_LEVEL.standard)
    expect(String(values.orchestrator.logSQLVerbose)).toBe(settings.LOG_SQL_VERBOSE.standard)
    expect(String(values.service.port)).toBe(settings.ORCHESTRATOR_GRPC_PORT.standard)
  })

  it("leave the server time to drain", () => {
    const drain = Number.parseInt(AppConfig.settings.ORCHESTRATOR_DRAIN_TIMEOUT.standard, 10)
    expect(values.terminationGracePeriodSeconds).toBeGreaterThan(values.preStopDelay + drain)
  })

  it("are explained in the README, each of them", () => {
    const readme = read(chart, "README.md")
    const known = new Set([...readme.matchAll(/`([A-Za-z.]+)`/g)].map(([, name]) => name))
    const explained = (path: string): boolean =>
      known.has(path) || (path.includes(".") && explained(path.slice(0, path.lastIndexOf("."))))
    expect(leaves(values).filter((path) => !explained(path))).toEqual([])
  })
})

describe("the templates", () => {
  it.each(templates)("%s uses values that there are", (_file, text) => {
    const used = [...text.matchAll(/\.Values((?:\.[A-Za-z]+)+)/g)].map(([, path = ""]) => path.slice(1))
    expect(used.filter((path) => !has(values, path))).toEqual([])
  })

  it.each(templates)("%s opens as many blocks as it closes", (_file, text) => {
    const opened = text.match(/\{\{-?\s*(if|range|with|define|block)\b/g) ?? []
    const closed = text.match(/\{\{-?\s*end\b/g) ?? []
    expect(opened.length).toBe(closed.length)
  })

  it("use every value", () => {
    const all = templates.map(([, text]) => text).join("\n")
    const named = (path: string): boolean =>
      all.includes(`.Values.${path}`) || (path.includes(".") && named(path.slice(0, path.lastIndexOf("."))))
    expect(leaves(values).filter((path) => !named(path))).toEqual([])
  })

  it("are of the server's version and ports", () => {
    const { appVersion } = parse(read(chart, "Chart.yaml"))
    expect(appVersion).toBe(packageJson.version)
    const deployment = read(chart, "templates/deployment.yaml")
    for (const name of ["ORCHESTRATOR_GRPC_PORT", "ORCHESTRATOR_HTTP_PORT"] as const) {
      expect(deployment).toContain(`containerPort: ${AppConfig.settings[name].standard}`)
    }
  })
})

describe("a folder of CAs as Kubernetes lays a projected volume out", () => {
  /** Content in a hidden folder, a link to it, and links through that: so a change swaps all at once. */
  const lay = async (volume: string, files: Readonly<Record<string, string>>) => {
    for (const [path, content] of Object.entries(files)) {
      const file = join(volume, "..2026_01_01", path)
      await mkdir(dirname(file), { recursive: true })
      await writeFile(file, content)
    }
    await symlink("..2026_01_01", join(volume, "..data"))
    for (const first of new Set(Object.keys(files).map((path) => path.split("/")[0] ?? ""))) {
      await symlink(join("..data", first), join(volume, first))
    }
  }

  const authority = async (name: string): Promise<{ readonly certificate: string; readonly key: string }> => {
    const keys = await crypto.subtle.generateKey({ name: "ECDSA", namedCurve: "P-256" }, true, ["sign", "verify"])
    const certificate = await x509.X509CertificateGenerator.createSelfSigned({
      name: `O=${name}, CN=${name}`,
      keys,
      signingAlgorithm: { name: "ECDSA", hash: "SHA-256" },
      extensions: [new x509.BasicConstraintsExtension(true, undefined, true)]
    })
    const key = Buffer.from(await crypto.subtle.exportKey("pkcs8", keys.privateKey)).toString("base64")
    return {
      certificate: certificate.toString("pem"),
      key: `-----BEGIN PRIVATE KEY-----\n${key}\n-----END PRIVATE KEY-----\n`
    }
  }

  it("is a folder for each organization to the server", async () => {
    const folder = await mkdtemp(join(tmpdir(), "orc-deploy-"))
    try {
      const [server, one, root, intermediate] = await Promise.all(
        ["server", "MyOrg1MSP", "MyOrg2MSP root", "MyOrg2MSP intermediate"].map(authority)
      )
      await writeFile(join(folder, "tls.crt"), server?.certificate ?? "")
      await writeFile(join(folder, "tls.key"), server?.key ?? "")
      const cas = join(folder, "cas")
      await mkdir(cas)
      await lay(cas, {
        "MyOrg1MSP/myorg1-ca.crt": one?.certificate ?? "",
        "MyOrg2MSP/myorg2-root-ca.crt": root?.certificate ?? "",
        "MyOrg2MSP/myorg2-intermediate-ca.crt": intermediate?.certificate ?? ""
      })
      const { organizations } = await Effect.runPromise(
        AppConfig.tlsFiles({
          certificate: join(folder, "tls.crt"),
          key: join(folder, "tls.key"),
          serverCa: undefined,
          clientCaFolder: cas
        })
      )
      expect([...organizations].map(([name, found]) => [name, found.length])).toEqual([
        ["MyOrg1MSP", 1],
        ["MyOrg2MSP", 2]
      ])
    } finally {
      await rm(folder, { recursive: true })
    }
  })
})

const run = (...args: ReadonlyArray<string>) => {
  const { status, stderr, stdout } = spawnSync(helm ?? "", [...args], { encoding: "utf8" })
  return { ok: status === 0, output: stdout, errors: `${stdout}\n${stderr}` }
}

const template = (file: string, ...more: ReadonlyArray<string>) =>
  run(
    "template",
    "orc",
    chart,
    "--namespace",
    "substra",
    "--kube-version",
    "1.30.0",
    "--values",
    valuesOf(file),
    ...more
  )

const valuesOf = (file: string): string => join(import.meta.dirname, "helm", `${file}.yaml`)

interface Manifest {
  readonly kind: string
  readonly metadata: { readonly name: string; readonly annotations?: Tree }
  // biome-ignore lint/suspicious/noExplicitAny: a manifest of any kind
  readonly [part: string]: any
}

const rendered = (file: string, ...more: ReadonlyArray<string>): ReadonlyArray<Manifest> => {
  const { errors, ok, output } = template(file, ...more)
  if (!ok) throw new Error(errors)
  return output
    .split(/^---$/m)
    .map((text) => text.replaceAll(/^\s*#.*$/gm, ""))
    .filter((text) => text.trim() !== "")
    .map(parse)
}

const only = (manifests: ReadonlyArray<Manifest>, kind: string, name = /(?:)/): Manifest => {
  const found = manifests.filter((one) => one.kind === kind && name.test(one.metadata.name))
  expect(found.map(({ metadata }) => metadata.name)).toHaveLength(1)
  return found[0] as Manifest
}

describe.skipIf(helm === undefined)("helm (skipped where there is none, on the PATH or named by HELM)", () => {
  it.each(["minimal", "existing", "everything"])("lints and renders %s.yaml", (file) => {
    expect(run("lint", "--strict", chart, "--kube-version", "1.30.0", "--values", valuesOf(file))).toMatchObject({
      ok: true
    })
    expect(rendered(file).every(({ kind, metadata }) => kind !== "" && metadata.name !== "")).toBe(true)
  })

  it("keeps the password out of everything but the Secret", () => {
    for (const manifest of rendered("everything")) {
      if (manifest.kind !== "Secret") expect(JSON.stringify(manifest)).not.toContain("hunter2")
    }
    expect(only(rendered("minimal"), "Secret").stringData.DATABASE_PASSWORD).toBe("p@ss:/?#%&+ \"'")
  })

  it("names the Secret of the credentials that is given", () => {
    const manifests = rendered("existing")
    expect(manifests.filter(({ kind }) => kind === "Secret")).toEqual([])
    const { env } = only(manifests, "Deployment").spec.template.spec.containers[0]
    expect(env).toContainEqual({
      name: "DATABASE_PASSWORD",
      valueFrom: { secretKeyRef: { name: "orchestrator-database", key: "DATABASE_PASSWORD" } }
    })
  })

  it("gives the server, and the Job that migrates, what env and envFrom say, large numbers as they are", () => {
    const manifests = rendered("everything")
    for (const kind of ["Deployment", "Job"]) {
      const [container] = only(manifests, kind).spec.template.spec.containers
      expect(container.env).toEqual(
        expect.arrayContaining([
          { name: "ORCHESTRATOR_GRPC_MAX_REQUEST_SIZE", value: "134217728" },
          { name: "ORCHESTRATOR_SLOW_CALL", value: "2s" }
        ])
      )
      expect(container.envFrom).toEqual([{ secretRef: { name: "collector" } }])
    }
  })

  it("lets out what extraEgress names, beside the database and name resolution", () => {
    const { egress } = only(rendered("everything"), "NetworkPolicy").spec
    expect(egress).toHaveLength(3)
    expect(egress[2]).toEqual({ ports: [{ port: 4318 }] })
  })

  it("stops the old servers first where it is told to", () => {
    expect(only(rendered("minimal", "--set", "updateStrategy.type=Recreate"), "Deployment").spec.strategy).toEqual({
      type: "Recreate"
    })
    expect(only(rendered("minimal"), "Deployment").spec.strategy.rollingUpdate).toBeDefined()
  })

  it("writes a file of channels that the server reads", () => {
    const { data } = only(rendered("existing"), "ConfigMap")
    expect(ChannelsFile.parse(data["channels.yaml"])).toMatchObject({
      success: new Map([
        ["mychannel", ["MyOrg1MSP", "MyOrg2MSP"]],
        ["yes", ["MyOrg1MSP"]]
      ])
    })
  })

  it("mounts what the variables of TLS name", () => {
    const { containers, volumes } = only(rendered("existing"), "Deployment").spec.template.spec
    const [{ env, volumeMounts }] = containers
    const paths = env.filter(({ value }: Tree) => String(value).startsWith("/"))
    expect(paths).toHaveLength(5)
    for (const { value } of paths) {
      expect(volumeMounts.some(({ mountPath }: Tree) => String(value).startsWith(String(mountPath)))).toBe(true)
    }
    expect(volumeMounts.map(({ name }: Tree) => name)).toEqual(volumes.map(({ name }: Tree) => name))
    expect(volumeMounts.filter((mount: Tree) => "subPath" in mount)).toEqual([])
  })

  it("gives every Deployment and Job a pod that may do nothing, with a root that cannot be written", () => {
    for (const { kind, spec } of rendered("everything")) {
      if (kind !== "Deployment" && kind !== "Job") continue
      const pod = spec.template.spec
      expect(pod).toMatchObject({ automountServiceAccountToken: false, securityContext: { runAsNonRoot: true } })
      for (const container of [...pod.containers, ...(pod.initContainers ?? [])]) {
        expect(container.securityContext).toEqual({
          allowPrivilegeEscalation: false,
          readOnlyRootFilesystem: true,
          capabilities: { drop: ["ALL"] }
        })
      }
    }
  })

  it("makes hooks of all that the migration's Job needs", () => {
    const hooks = rendered("everything").filter(({ metadata }) => metadata.annotations?.["helm.sh/hook"] !== undefined)
    expect(hooks.map(({ kind }) => kind).sort()).toEqual(["ConfigMap", "Job", "Secret"])
    const names = hooks.map(({ metadata }) => metadata.name)
    const { containers, volumes } = only(hooks, "Job").spec.template.spec
    expect(containers[0].args).toEqual(["migrate"])
    expect(names).toContain(volumes[0].configMap.name)
    const { env } = containers[0]
    expect(names).toContain(env.find(({ name }: Tree) => name === "DATABASE_PASSWORD").valueFrom.secretKeyRef.name)
  })

  it("has a PodDisruptionBudget for several servers only", () => {
    expect(only(rendered("everything"), "PodDisruptionBudget").spec.maxUnavailable).toBe("50%")
    expect(rendered("minimal").map(({ kind }) => kind)).not.toContain("PodDisruptionBudget")
  })

  it.each([
    ["postgresql.enabled=true", "this chart brings no PostgreSQL"],
    ["database.host=", "database.host: it must name a PostgreSQL"],
    ["database.auth.password=", "give credentialsSecretName, or username and password"],
    ["orchestrator.verifyClientMSPID=true", "it needs orchestrator.tls.mtls.enabled"],
    ["orchestrator.tls.mtls.enabled=true", "mutual TLS needs orchestrator.tls.enabled"],
    ["orchestrator.tls.enabled=true,orchestrator.tls.createCertificates.enabled=true", "issuer"],
    ["orchestrator.txRetryBudget=soon", "txRetryBudget"],
    ["orchestrator.tls.mtlss.enabled=true", "mtlss"],
    ["service.port=0", "port"],
    ["channels[0].name=a,channels[0].organizations={}", "organizations"]
  ])("refuses %s", (setting, why) => {
    const { errors, ok } = template("minimal", "--set", setting)
    expect(ok).toBe(false)
    expect(errors).toContain(why)
  })
})
