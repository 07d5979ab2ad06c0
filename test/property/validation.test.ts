/**
 * What clients write, however malformed: it is valid, or refused with the fields that are wrong, and never a defect.
 * Keys, lengths and addresses are held against what the rules say of them in words.
 */

import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { Checksum, OrganizationAddress, StorageAddress } from "../../src/schema/Addressable.ts"
import * as ComputePlan from "../../src/schema/ComputePlan.ts"
import * as ComputeTask from "../../src/schema/ComputeTask.ts"
import * as DataManager from "../../src/schema/DataManager.ts"
import * as DataSample from "../../src/schema/DataSample.ts"
import * as Event from "../../src/schema/Event.ts"
import * as FailureReport from "../../src/schema/FailureReport.ts"
import * as Function from "../../src/schema/Function.ts"
import { KeyInput, parse } from "../../src/schema/Key.ts"
import * as Model from "../../src/schema/Model.ts"
import { InvalidAsset } from "../../src/schema/OrchestratorError.ts"
import * as Organization from "../../src/schema/Organization.ts"
import { AssetCursor, tokens } from "../../src/schema/Pagination.ts"
import * as Performance from "../../src/schema/Performance.ts"
import * as ProfilingStep from "../../src/schema/ProfilingStep.ts"
import { codePoints, lengthProblem } from "../../src/schema/Text.ts"

/** Any UTF-16 units, lone surrogates included. */
const units = fc
  .array(fc.integer({ min: 0, max: 0xffff }), { maxLength: 120 })
  .map((all) => String.fromCharCode(...all))
const uuid = fc.uuid().chain((key) => fc.mixedCase(fc.constant(key)))
const url = fc.webUrl({ withFragments: true, withQueryParameters: true })

/** A text with one of its characters gone, doubled or replaced. */
const damaged = (text: fc.Arbitrary<string>) =>
  fc.tuple(text, fc.nat(), fc.constantFrom("", " ", "\0", "-", ":", "/", "ä", "\u{1f9ea}")).map(([whole, at, by]) => {
    const place = at % (whole.length + 1)
    return whole.slice(0, place) + by + whole.slice(place + 1)
  })

const text = fc.oneof(
  fc.string({ unit: "binary", maxLength: 110 }),
  fc.string({ unit: "grapheme", maxLength: 110 }),
  units,
  uuid,
  url,
  damaged(uuid),
  damaged(url),
  fc.constantFrom("", "__proto__", "constructor", "a".repeat(101), "f".repeat(64), "ASSET_MODEL", "ERROR_TYPE_BUILD")
)
const texts = fc.array(text, { maxLength: 4 })
const metadata = fc.array(fc.tuple(text, text), { maxLength: 4 }).map((pairs) => new Map(pairs))
const addressable = fc.option(fc.record({ checksum: text, storageAddress: text }), { nil: undefined })
const permissions = fc.option(fc.record({ public: fc.boolean(), authorizedIds: texts }), { nil: undefined })
const permissionsWithoutNul = permissions.map(
  (asked) => asked && { ...asked, authorizedIds: asked.authorizedIds.map((id) => id.replaceAll("\0", "")) }
)
const slots = fc
  .array(fc.tuple(text, fc.record({ kind: text, multiple: fc.boolean(), optional: fc.boolean() })), { maxLength: 3 })
  .map((pairs) => new Map(pairs))
const input = fc.record(
  { identifier: text, assetKey: text, parentTaskOutput: fc.record({ parentTaskKey: text, outputIdentifier: text }) },
  { requiredKeys: ["identifier"] }
)
const task = fc.record({
  key: text,
  functionKey: text,
  computePlanKey: text,
  worker: text,
  metadata,
  inputs: fc.array(input, { maxLength: 3 }),
  outputs: fc
    .array(fc.tuple(text, fc.record({ permissions: permissionsWithoutNul, transient: fc.boolean() })), { maxLength: 3 })
    .map((pairs) => new Map(pairs))
})
const time = fc.option(fc.record({ seconds: fc.bigInt(), nanos: fc.integer() }), { nil: undefined })

/** A validator with messages for it, their fields of the right types and no more than that. */
const validator = <M>(
  validate: (message: M) => Effect.Effect<unknown, unknown>,
  message: fc.Arbitrary<unknown>
): readonly [(message: unknown) => Effect.Effect<unknown, unknown>, fc.Arbitrary<unknown>] => [
  (given) => validate(given as M),
  message
]

const named = { key: text, name: text }
const validators = {
  organization: validator(Organization.validateNew, fc.record({ address: text })),
  function: validator(
    Function.validateNew,
    fc.record({
      ...named,
      description: addressable,
      archive: addressable,
      newPermissions: permissions,
      metadata,
      inputs: slots,
      outputs: slots
    })
  ),
  "function update": validator(Function.validateUpdate, fc.record({ ...named, image: addressable })),
  "data manager": validator(
    DataManager.validateNew,
    fc.record({
      ...named,
      newPermissions: permissions,
      description: addressable,
      opener: addressable,
      logsPermission: permissions,
      metadata
    })
  ),
  "data manager update": validator(DataManager.validateUpdate, fc.record(named)),
  "data sample": validator(
    (message: Parameters<typeof DataSample.validateNew>[0]) => DataSample.validateNew(message, 3),
    fc.record({ key: text, dataManagerKeys: texts, checksum: text })
  ),
  "data samples update": validator(DataSample.validateUpdate, fc.record({ keys: texts, dataManagerKeys: texts })),
  plan: validator(ComputePlan.validateNew, fc.record({ ...named, tag: text, metadata })),
  "plan update": validator(ComputePlan.validateUpdate, fc.record(named)),
  tasks: validator(ComputeTask.validateNew, fc.array(task, { maxLength: 3 })),
  "task's log": validator(ComputeTask.validateLog, fc.record({ log: text })),
  model: validator(
    (message: Parameters<typeof Model.validateNew>[0]) => Model.validateNew(message, 0),
    fc.record({ key: text, computeTaskKey: text, computeTaskOutputIdentifier: text, address: addressable })
  ),
  performance: validator(
    Performance.validateNew,
    fc.record({ computeTaskKey: text, computeTaskOutputIdentifier: text, performanceValue: fc.float() })
  ),
  "failure report": validator(
    FailureReport.validateNew,
    fc.record({
      assetKey: text,
      errorType: text,
      assetType: fc.constantFrom("FAILED_ASSET_UNKNOWN", "FAILED_ASSET_FUNCTION", "UNRECOGNIZED"),
      logsAddress: addressable
    })
  ),
  "profiling step": validator(
    ProfilingStep.validateNew,
    fc.record({ assetKey: text, step: text, duration: fc.maxSafeInteger() })
  ),
  "events' times": validator(Event.validateTimes, fc.record({ start: time, end: time })),
  "start of a subscription": validator(Event.parseStartEventId, text)
}

/** Field names of the contract: letters, places in lists, dots. */
const fieldName = /^[a-z_]+(\[\d+\])?(\.[a-z_]+(\[\d+\])?)*$/

describe("a message of any texts", () => {
  for (const [name, [validate, message]] of Object.entries(validators)) {
    it(`for a ${name} is valid, or refused with its wrong fields`, () => {
      fc.assert(
        fc.property(message, (given) => {
          const exit = Effect.runSyncExit(validate(given))
          if (Exit.isSuccess(exit)) return
          expect(Cause.hasDies(exit.cause)).toBe(false)
          const error = Cause.squash(exit.cause)
          if (!(error instanceof InvalidAsset)) return expect.unreachable(String(error))
          expect(error.violations).not.toEqual([])
          const fields = error.violations.map(({ field }) => field)
          for (const field of fields) expect(field).toMatch(fieldName)
          expect(new Set(fields).size).toBe(fields.length)
          for (const { description, field } of error.violations)
            expect(error.message).toContain(`${field}: ${description}`)
        }),
        { numRuns: 300 }
      )
    })
  }
})

describe("a map", () => {
  const long = "x".repeat(101)
  const key = "0a1b2c3d-0000-4000-8000-00000000000f"
  const addressable = { checksum: "0".repeat(64), storageAddress: "https://example.org" }
  const fn = {
    ...{ key, name: "f", description: addressable, archive: addressable, metadata: new Map<string, string>() },
    newPermissions: { public: true, authorizedIds: [] }
  }
  const said = (
    effect: Effect.Effect<unknown, { readonly violations: ReadonlyArray<{ readonly description: string }> }>
  ) => Effect.runSync(Effect.flip(effect)).violations.map(({ description }) => description)

  it("of metadata is told all that is wrong with its entries", () => {
    const metadata = new Map([
      ["a", long],
      [long, "b"],
      ["fine", "fine"],
      ["n", "\0"]
    ])
    const [description, ...others] = said(ComputePlan.validateNew({ key, name: "p", tag: "", metadata }))
    expect(others).toEqual([])
    expect(description?.split(", also ")).toEqual([
      'the value of "a" is wrong: the length must be no more than 100 characters',
      "a key is wrong: the length must be no more than 100 characters",
      'the value of "n" is wrong: must not contain a NUL character'
    ])
  })

  it("of a function's inputs or outputs is told all of it too", () => {
    const slot = { kind: "ASSET_MODEL", multiple: true, optional: true }
    const inputs = new Map([
      ["", slot],
      ["kind", { ...slot, kind: "ASSET_PERFORMANCE" }],
      ["m", { ...slot, kind: "ASSET_DATA_MANAGER" }]
    ])
    const outputs = new Map([
      ["s", { ...slot, kind: "ASSET_PERFORMANCE" }],
      ["d", { ...slot, kind: "ASSET_DATA_SAMPLE" }]
    ])
    const [ofInputs, ofOutputs] = said(Function.validateNew({ ...fn, inputs, outputs } as never))
    expect(ofInputs?.split(", also ")).toEqual([
      "an identifier is wrong: cannot be blank",
      expect.stringMatching(/^"kind" must be of kind /),
      '"m" is a data manager, it can be neither multiple nor optional',
      "a data manager input needs data sample inputs, and they need it"
    ])
    expect(ofOutputs?.split(", also ")).toEqual([
      '"s" is a performance, it cannot be multiple',
      expect.stringMatching(/^"d" must be of kind /)
    ])
  })
})

describe("a task's output", () => {
  it("with an id that cannot be stored is named by the map that it is in", () => {
    const outputs = new Map([["out", { permissions: { public: false, authorizedIds: ["\0"] }, transient: false }]])
    const key = "0a1b2c3d-0000-4000-8000-00000000000f"
    const task = { key, functionKey: key, computePlanKey: key, worker: "", metadata: new Map(), inputs: [], outputs }
    const error = Effect.runSync(Effect.flip(ComputeTask.validateNew([task])))
    expect(error.violations.map(({ field }) => field)).toEqual(["tasks[0].outputs"])
  })
})

const accepts = (schema: Schema.Codec<unknown, unknown>, given: string): boolean =>
  Result.isSuccess(Schema.decodeUnknownResult(schema)(given))

describe("a key", () => {
  it("is taken in any letter case, and is lower case ever after", () => {
    fc.assert(
      fc.property(uuid, (given) => {
        expect(parse(given)).toEqual(Option.some(given.toLowerCase()))
        expect(Schema.decodeUnknownResult(KeyInput)(given)).toEqual(Result.succeed(given.toLowerCase()))
      })
    )
  })

  it("is nothing but 8-4-4-4-12 hexadecimal characters", () => {
    fc.assert(
      fc.property(fc.oneof(text, damaged(uuid)), (given) => {
        const parts = given.split("-").map((part) => (/^[0-9a-fA-F]*$/.test(part) ? part.length : -1))
        const isKey = parts.join(" ") === "8 4 4 4 12"
        expect(Option.isSome(parse(given))).toBe(isKey)
        expect(accepts(KeyInput, given)).toBe(isKey)
      }),
      { numRuns: 1000 }
    )
  })

  it.each(["{}", "urn:uuid:", "undashed", "newline"])("is not taken with other forms of a UUID: %s", (form) => {
    const key = "0a1b2c3d-0000-4000-8000-00000000000f"
    const forms: Record<string, string> = {
      "{}": `{${key}}`,
      "urn:uuid:": `urn:uuid:${key}`,
      undashed: key.replaceAll("-", ""),
      newline: `${key}\n`
    }
    expect(accepts(KeyInput, forms[form] ?? "")).toBe(false)
  })
})

describe("a length", () => {
  it("counts code points", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary", maxLength: 30 }), (given) => {
        expect(codePoints(given)).toBe([...given].length)
      })
    )
  })

  it("is refused beyond its bounds, and a NUL character within them", () => {
    fc.assert(
      fc.property(
        fc.string({ unit: "binary", maxLength: 12 }),
        fc.integer({ min: 0, max: 1 }),
        fc.integer({ min: 1, max: 10 }),
        (given, min, max) => {
          const count = [...given].length
          const isFine = count >= min && count <= max && !given.includes("\0")
          expect(lengthProblem(given, min, max) === undefined).toBe(isFine)
        }
      ),
      { numRuns: 1000 }
    )
  })
})

describe("a checksum", () => {
  it("is 64 hexadecimal characters in any letter case", () => {
    const digest = fc.string({ unit: fc.constantFrom(..."0123456789abcdefABCDEF"), minLength: 62, maxLength: 66 })
    fc.assert(
      fc.property(fc.oneof(digest, text), (given) => {
        const isDigest =
          given.length === 64 && [...given].every((one) => "0123456789abcdef".includes(one.toLowerCase()))
        expect(accepts(Checksum, given)).toBe(isDigest)
      }),
      { numRuns: 500 }
    )
  })
})

describe("a storage address", () => {
  it.each([
    "https://host.example/x",
    "http://host",
    "ftp://host.example",
    "ws://host.example/x",
    "wss://host.example/x",
    "tcp://host.example:5432",
    "udp://host.example:53",
    "host.example/x",
    "localhost:80/x",
    "https://localhost",
    "https://192.0.2.1:8443/x",
    "https://[2001:db8::1]/x",
    "https://[::1]:8080",
    "https://user@host.example/x",
    "https://user:secret@host.example/x",
    "https://bücher.example/ä/🧪",
    "https://host.example/x?y=z#part",
    "https://host.example."
  ])("can be %s", (given) => expect(accepts(StorageAddress, given)).toBe(true))

  it.each([
    "",
    "file:///x",
    "s3://bucket/x",
    "HTTPS://host.example/x",
    "/a/path",
    "word",
    "https://",
    "https:///x",
    "https://host..example/x",
    "https://.example/x",
    "https://host .example/x",
    "https://host.example/a b",
    " https://host.example/x",
    "https://host.example/x\n",
    "https://host.example/\0",
    "https://[::1/x",
    "https://[nonsense]/x",
    "https://host.example:port/x",
    "https://-host.example/x"
  ])("cannot be %j", (given) => expect(accepts(StorageAddress, given)).toBe(false))

  const label = fc.stringMatching(/^[a-z0-9ä]([a-z0-9ä-]{0,6}[a-z0-9ä])?$/)
  const host = fc.oneof(
    fc.array(label, { minLength: 2, maxLength: 4 }).map((labels) => labels.join(".")),
    fc.ipV4(),
    fc.ipV6().map((address) => `[${address}]`)
  )
  const port = fc.option(fc.integer({ min: 1, max: 65535 }), { nil: undefined })
  const path = fc.webPath()
  const join = (scheme: string, name: string, number: number | undefined, rest: string) =>
    `${scheme}${name}${number === undefined ? "" : `:${number}`}${rest}`

  it("has one of seven schemes, a host, and maybe a port and a path", () => {
    const scheme = fc.constantFrom("http", "https", "ftp", "ws", "wss", "tcp", "udp")
    fc.assert(
      fc.property(scheme, host, port, path, (...parts) => {
        const [first, ...rest] = parts
        expect(accepts(StorageAddress, join(`${first}://`, ...rest))).toBe(true)
      }),
      { numRuns: 500 }
    )
  })

  it("has no other scheme", () => {
    const scheme = fc
      .stringMatching(/^[a-zA-Z][a-z0-9+.-]{0,6}$/)
      .filter((one) => !["http", "https", "ftp", "ws", "wss", "tcp", "udp"].includes(one))
    fc.assert(
      fc.property(scheme, host, path, (first, name, rest) => {
        expect(accepts(StorageAddress, `${first}://${name}${rest}`)).toBe(false)
      }),
      { numRuns: 500 }
    )
  })

  it("has no blanks, wherever they are", () => {
    fc.assert(
      fc.property(host, path, fc.nat(), fc.constantFrom(" ", "\t", "\n", "\r", "\u00a0"), (name, rest, at, blank) => {
        const whole = `https://${name}${rest}`
        const place = at % (whole.length + 1)
        expect(accepts(StorageAddress, whole.slice(0, place) + blank + whole.slice(place))).toBe(false)
      })
    )
  })

  it("has 2,082 characters at most", () => {
    const start = "https://host.example/"
    for (const character of ["a", "ä", "🧪"]) {
      expect(accepts(StorageAddress, start + character.repeat(2082 - start.length))).toBe(true)
      expect(accepts(StorageAddress, start + character.repeat(2083 - start.length))).toBe(false)
    }
  })
})

describe("an organization's address", () => {
  it("is empty, or an absolute URL with scheme and host", () => {
    for (const fine of ["", "https://backend.example", "http://localhost:8000/x", "grpc://host:7051"]) {
      expect(accepts(OrganizationAddress, fine), fine).toBe(true)
    }
    for (const wrong of [
      "backend.example",
      "/path",
      "https://",
      "https:///x",
      "mailto:a@b.example",
      "https://a b",
      "\0"
    ]) {
      expect(accepts(OrganizationAddress, wrong), wrong).toBe(false)
    }
    fc.assert(
      fc.property(url, (given) => {
        expect(accepts(OrganizationAddress, given)).toBe(true)
      })
    )
  })
})

describe("a page token", () => {
  const plans = tokens("QueryPlans", AssetCursor)
  const place = fc.tuple(fc.maxSafeInteger(), uuid)

  it("names the place that it was made of, to its own query only", () => {
    const tasks = tokens("QueryTasks", AssetCursor)
    fc.assert(
      fc.property(place, (given) => {
        expect(plans.decode(plans.encode(given))).toEqual(Option.some(given))
        expect(tasks.decode(plans.encode(given))).toEqual(Option.none())
      })
    )
  })

  it("that nobody made is none", () => {
    fc.assert(
      fc.property(text, (given) => {
        expect(plans.decode(given)).toEqual(Option.none())
      })
    )
    fc.assert(
      fc.property(damaged(place.map((given) => plans.encode(given))), (given) => {
        const found = plans.decode(given)
        if (Option.isSome(found)) expect(plans.encode(found.value)).toBe(given)
      })
    )
  })
})
