/** The laws of permissions. Ids are a set in a union, in no promised order; in a grant they stay as they were asked. */
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import type { OrganizationId } from "../../src/schema/Key.ts"
import { allows, forBoth, grant, type Permission, privateTo, union } from "../../src/schema/Permission.ts"

const organization = fc.constantFrom("A", "B", "C", "D").map((id) => id as OrganizationId)
const permission: fc.Arbitrary<Permission> = fc.record({
  public: fc.boolean(),
  authorizedIds: fc.array(organization, { maxLength: 6 })
})

/** What a union means: ids as a set. */
const meaning = ({ authorizedIds, public: isPublic }: Permission) => ({ isPublic, ids: new Set(authorizedIds) })

const everybody: Permission = { public: true, authorizedIds: [] }

describe("the union of permissions", () => {
  it("allows what either allows", () => {
    fc.assert(
      fc.property(permission, permission, organization, (a, b, id) => {
        expect(allows(union(a, b), id)).toBe(allows(a, id) || allows(b, id))
      })
    )
  })

  it("does not depend on order or grouping", () => {
    fc.assert(
      fc.property(permission, permission, permission, (a, b, c) => {
        expect(meaning(union(a, b))).toEqual(meaning(union(b, a)))
        expect(meaning(union(union(a, b), c))).toEqual(meaning(union(a, union(b, c))))
      })
    )
  })

  it("with itself adds nothing", () => {
    fc.assert(
      fc.property(permission, permission, (a, b) => {
        const both = union(a, b)
        expect(union(both, both)).toEqual(both)
        expect(meaning(union(both, a))).toEqual(meaning(both))
      })
    )
  })

  it("names each id once, and none where it is public", () => {
    fc.assert(
      fc.property(permission, permission, (a, b) => {
        const { authorizedIds, public: isPublic } = union(a, b)
        expect(new Set(authorizedIds).size).toBe(authorizedIds.length)
        if (isPublic) expect(authorizedIds).toEqual([])
      })
    )
  })

  it("with everybody is everybody", () => {
    fc.assert(
      fc.property(permission, (a) => {
        expect(union(a, everybody)).toEqual(everybody)
        expect(union(everybody, a)).toEqual(everybody)
      })
    )
  })
})

describe("a grant", () => {
  const registered: ReadonlyArray<OrganizationId> = ["A", "B", "C"].map((id) => id as OrganizationId)
  const isOrganization = (id: OrganizationId) => registered.includes(id)

  it("lets the owner in", () => {
    fc.assert(
      fc.property(permission, organization, (asked, owner) => {
        const granted = grant(asked, owner, isOrganization)
        if (granted === undefined) return
        expect(granted.authorizedIds).toContain(owner)
        expect(allows(granted, owner)).toBe(true)
        expect(forBoth(granted)).toEqual({ process: granted, download: granted })
      })
    )
  })

  it("keeps what was asked for, ids in order with their repetitions, and appends none but the owner", () => {
    fc.assert(
      fc.property(permission, organization, (asked, owner) => {
        const granted = grant(asked, owner, isOrganization)
        if (granted === undefined) return
        const { length } = asked.authorizedIds
        expect(granted.public).toBe(asked.public)
        expect(granted.authorizedIds.slice(0, length)).toEqual(asked.authorizedIds)
        expect(granted.authorizedIds.slice(length)).toEqual(asked.authorizedIds.includes(owner) ? [] : [owner])
      })
    )
  })

  it("is refused for ids that nobody has, unless it is public", () => {
    fc.assert(
      fc.property(permission, organization, (asked, owner) => {
        const isRefused = !asked.public && asked.authorizedIds.some((id) => !isOrganization(id))
        expect(grant(asked, owner, isOrganization) === undefined).toBe(isRefused)
      })
    )
  })

  it("can be given again", () => {
    fc.assert(
      fc.property(permission, fc.constantFrom(...registered), (asked, owner) => {
        const granted = grant(asked, owner, isOrganization)
        if (granted !== undefined) expect(grant(granted, owner, isOrganization)).toEqual(granted)
      })
    )
  })
})

describe("a private permission", () => {
  it("is its owner's alone", () => {
    fc.assert(
      fc.property(organization, organization, (owner, id) => {
        expect(allows(privateTo(owner), id)).toBe(id === owner)
      })
    )
  })
})
