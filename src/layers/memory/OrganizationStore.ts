/** Organizations in memory. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { OrganizationStore } from "../../services/store/OrganizationStore.ts"
import { type Access, access, type Memory } from "./Memory.ts"
import * as Table from "./Table.ts"

const make = ({ read, write }: Access): OrganizationStore["Service"] => ({
  all: (channel) => read((state) => Array.from(Table.list(state.organizations, channel))),
  insert: (channel, organization) =>
    write((state) => ({ ...state, organizations: Table.insert(state.organizations, channel, organization) }))
})

export const layer: Layer.Layer<OrganizationStore, never, Memory> = Layer.effect(
  OrganizationStore,
  Effect.map(access, make)
)
