/** Organizations on PostgreSQL. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { Organization } from "../../schema/Organization.ts"
import { OrganizationStore } from "../../services/store/OrganizationStore.ts"
import { timestamp } from "./Codecs.ts"
import { ofChannel, rowDecoder, sql } from "./Session.ts"

export const decode = rowDecoder(Organization, (row) => row)

export const layer = Layer.effect(
  OrganizationStore,
  Effect.map(sql, ({ read, write }) =>
    OrganizationStore.of({
      all: (channel) =>
        Effect.flatMap(
          read(
            `SELECT id, address, creation_date AS "creationDate" FROM organizations
              WHERE ${ofChannel()} ORDER BY creation_date, id`,
            [channel]
          ),
          decode
        ),
      insert: (channel, organization) =>
        write("INSERT INTO organizations (channel, id, address, creation_date) VALUES ($1, $2, $3, $4)", [
          channel,
          organization.id,
          organization.address,
          timestamp(organization.creationDate)
        ])
    })
  )
)
