/** The errors of calls are the inverse of the server's table, by the details of a status or, without them, its text. */
import { status as codes, Metadata } from "@grpc/grpc-js"
import { describe, expect, it } from "vitest"
import { fromStatus } from "../../src/client/Status.ts"
import * as Errors from "../../src/schema/OrchestratorError.ts"
import { statusCodes, statusOf } from "../../src/server/Status.ts"

const place = { rpc: "RegisterPlan", address: "orchestrator.example:9000", requestId: undefined }

const violations = [
  { field: "key", description: "cannot be blank" },
  { field: "name", description: "must have 1 to 100 characters" }
]

/** One of each kind. */
const all: { readonly [Tag in Errors.OrchestratorError["_tag"]]: Errors.OrchestratorError & { readonly _tag: Tag } } = {
  StoredDataInvalid: new Errors.StoredDataInvalid({ cause: "…" }),
  NotFound: new Errors.NotFound({ asset: "computeplan", key: "k" }),
  BadRequest: new Errors.BadRequest({ message: "no task to register" }),
  InvalidPageToken: new Errors.InvalidPageToken(),
  Conflict: Errors.Conflict.exists("computeplan", "k"),
  Internal: new Errors.Internal({ cause: "…" }),
  Unimplemented: new Errors.Unimplemented({ message: "no" }),
  InvalidAsset: Errors.InvalidAsset.fields("computeplan", violations),
  PermissionDenied: new Errors.PermissionDenied({ message: "only plan owner can act on it" }),
  IncompatibleStatus: new Errors.IncompatibleStatus({ transition: "transitionDone", status: "STATUS_DONE" }),
  MissingTaskOutput: new Errors.MissingTaskOutput({ taskKey: "t", identifier: "i" }),
  IncompatibleKind: new Errors.IncompatibleKind({ taskKey: "t", identifier: "i", expected: "a", received: "b" }),
  CannotDisableOutput: new Errors.CannotDisableOutput({ message: "no" }),
  TerminatedComputePlan: new Errors.TerminatedComputePlan({ key: "k" }),
  Unavailable: new Errors.Unavailable({ message: "later" }),
  ResourceExhausted: new Errors.ResourceExhausted({ message: "too large" }),
  DeadlineExceeded: new Errors.DeadlineExceeded({ message: "too long" })
}

describe("an error of the orchestrator", () => {
  it.each(Object.values(all))("arrives as what it left as: $_tag", (error) => {
    const arrived = fromStatus(place, statusOf(error))
    expect(arrived._tag).toBe(error._tag)
    expect(arrived.message).toContain(error.message)
    expect(codes[arrived.status]).toBe(statusCodes[error._tag])
    expect(arrived.rpc).toBe("RegisterPlan")
  })

  it("of any kind is known by its text alone, as older servers send it", () => {
    for (const error of Object.values(all)) {
      const { code, details } = statusOf(error)
      expect(fromStatus(place, { code, details, metadata: new Metadata() })._tag).toBe(error._tag)
    }
  })

  it("names the wrong fields", () => {
    expect(fromStatus(place, statusOf(all.InvalidAsset))).toMatchObject({ violations })
  })

  it("names the transition and the state that does not allow it", () => {
    expect(fromStatus(place, statusOf(all.IncompatibleStatus))).toMatchObject({
      transition: "transitionDone",
      current: "STATUS_DONE"
    })
  })

  it("is not taken from another domain, and bytes that are no details do no harm", () => {
    const metadata = new Metadata()
    metadata.set("grpc-status-details-bin", Buffer.from([255, 255, 255]))
    const status = { code: codes.NOT_FOUND, details: "no such host", metadata }
    expect(fromStatus(place, status)).toMatchObject({ _tag: "UnexpectedStatus", status: "NOT_FOUND" })
  })
})

describe("what to do is said", () => {
  const said = (code: codes, details: string) => fromStatus(place, { code, details, metadata: new Metadata() }).message

  it.each([
    [
      codes.FAILED_PRECONDITION,
      "OE0003: invalid permission input values",
      /authorizedIds must be an organization that is/
    ],
    [
      codes.PERMISSION_DENIED,
      'OE0102: organization "X" has not access to channel "Y"',
      /file of channels must name this/
    ],
    [
      codes.UNAVAILABLE,
      "SSL routines:tls_get_more_records:packet length too long",
      /a server without TLS leave out tls/
    ]
  ])("with status %i, of %s", (code, details, advice) => {
    expect(said(code, details)).toMatch(advice)
  })
})
