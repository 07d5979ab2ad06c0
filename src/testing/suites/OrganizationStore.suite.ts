/** Stored organizations. */
import { expect, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import type { OrganizationId } from "../../schema/Key.ts"
import { OrganizationStore } from "../../services/store/OrganizationStore.ts"
import * as build from "./builders.ts"
import { commit, type Store } from "./support.ts"

export const suite = <E>(name: string, store: Layer.Layer<Store, E>) =>
  layer(store, { excludeTestServices: true })(`${name}: organizations`, (it) => {
    it.effect("are listed by creation date, then id", () =>
      Effect.gen(function* () {
        const organizations = yield* OrganizationStore
        const channel = build.channel()
        const made = [
          build.organization({ id: "OrgC" as OrganizationId, creationDate: build.at(0) }),
          build.organization({ id: "OrgA" as OrganizationId, creationDate: build.at(1), address: "" }),
          build.organization({ id: "OrgB" as OrganizationId, creationDate: build.at(1) }),
          build.organization({ id: "OrgA2" as OrganizationId, creationDate: build.at(2) })
        ]
        for (const one of made.toReversed()) yield* commit(channel, organizations.insert(channel, one))
        expect(yield* organizations.all(channel)).toEqual(made)
      })
    )

    it.effect("are none in a channel where none was registered", () =>
      Effect.gen(function* () {
        const organizations = yield* OrganizationStore
        const elsewhere = build.channel()
        yield* commit(elsewhere, organizations.insert(elsewhere, build.organization()))
        expect(yield* organizations.all(build.channel())).toEqual([])
      })
    )

    it.effect("can be in more than one channel", () =>
      Effect.gen(function* () {
        const organizations = yield* OrganizationStore
        const [one, other] = [build.channel(), build.channel()]
        const organization = build.organization()
        const moved = { ...organization, address: "https://other.example", creationDate: build.at(5) }
        yield* commit(one, organizations.insert(one, organization))
        yield* commit(other, organizations.insert(other, moved))
        expect(yield* organizations.all(one)).toEqual([organization])
        expect(yield* organizations.all(other)).toEqual([moved])
      })
    )

    it.effect("conflict with one of the same id in their channel", () =>
      Effect.gen(function* () {
        const organizations = yield* OrganizationStore
        const channel = build.channel()
        const organization = build.organization()
        yield* commit(channel, organizations.insert(channel, organization))
        const again = organizations.insert(channel, { ...organization, creationDate: build.at(5) })
        const error = yield* Effect.flip(commit(channel, again))
        expect(error).toMatchObject({
          _tag: "Conflict",
          message: `organization with key "${organization.id}" already exists`
        })
        expect(yield* organizations.all(channel)).toEqual([organization])
      })
    )

    it.effect("are told apart by letter case", () =>
      Effect.gen(function* () {
        const organizations = yield* OrganizationStore
        const channel = build.channel()
        const upper = build.organization({ id: "ORG" as OrganizationId, creationDate: build.at(0) })
        const lower = build.organization({ id: "org" as OrganizationId, creationDate: build.at(1) })
        yield* commit(
          channel,
          Effect.andThen(organizations.insert(channel, lower), organizations.insert(channel, upper))
        )
        expect(yield* organizations.all(channel)).toEqual([upper, lower])
      })
    )

    it.effect("cannot be read back in the transaction that put them down", () =>
      Effect.gen(function* () {
        const organizations = yield* OrganizationStore
        const channel = build.channel()
        const insert = organizations.insert(channel, build.organization())
        expect(yield* commit(channel, Effect.andThen(insert, organizations.all(channel)))).toEqual([])
      })
    )
  })
