/**
 * Who may use an asset (behaviour.md, section 3): a small algebra on public flags and sets of organizations.
 * Permissions limit what tasks may use, never what is read.
 */
import * as Schema from "effect/Schema"
import { OrganizationId } from "./Key.ts"
import { nulProblem } from "./Text.ts"

/** Open to all organizations of the channel, or to those listed (the owner always is). */
export const Permission = Schema.Struct({ public: Schema.Boolean, authorizedIds: Schema.Array(OrganizationId) })
export interface Permission extends Schema.Schema.Type<typeof Permission> {}

/** What each use of an asset needs. This server sets both alike. */
export const Permissions = Schema.Struct({ process: Permission, download: Permission })
export interface Permissions extends Schema.Schema.Type<typeof Permissions> {}

/** Permissions that an owner asks for, where a rule of their surroundings checks the ids. */
export const UncheckedPermissions = Permission

/** Permissions that an owner asks for. */
export const NewPermissions = Schema.Struct({
  public: Schema.Boolean,
  authorizedIds: Schema.Array(OrganizationId.check(Schema.makeFilter((id: string) => nulProblem(id))))
})
export interface NewPermissions extends Schema.Schema.Type<typeof NewPermissions> {}

/** Private to its owner. */
export const privateTo = (owner: OrganizationId): Permission => ({ public: false, authorizedIds: [owner] })

/**
 * The permission that this request gives: ids keep their order and repetitions, the owner is appended when missing.
 * `undefined` when an id of a request that is not public is no organization of the channel.
 */
export const grant = (
  asked: NewPermissions,
  owner: OrganizationId,
  isOrganization: (id: OrganizationId) => boolean
): Permission | undefined => {
  if (!asked.public && !asked.authorizedIds.every(isOrganization)) return undefined
  return {
    public: asked.public,
    authorizedIds: asked.authorizedIds.includes(owner) ? asked.authorizedIds : [...asked.authorizedIds, owner]
  }
}

/** The same permission for processing and for downloading. */
export const forBoth = (permission: Permission): Permissions => ({ process: permission, download: permission })

/** Whether this organization's tasks may use what the permission guards. */
export const allows = (permission: Permission, id: OrganizationId): boolean =>
  permission.public || permission.authorizedIds.includes(id)

/** What either permission allows: public if one is, else the ids of both, each once. */
export const union = (a: Permission, b: Permission): Permission =>
  a.public || b.public
    ? { public: true, authorizedIds: [] }
    : { public: false, authorizedIds: [...new Set([...a.authorizedIds, ...b.authorizedIds])] }
