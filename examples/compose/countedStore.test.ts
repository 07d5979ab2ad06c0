// Everything that every store keeps to, held against one's own; then what is its own.
import { expect, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Ref from "effect/Ref"
import { Store } from "substra-orchestrator/testing/suites"
import * as CountedStore from "./CountedStore.ts"

Store.suite("a store that counts", CountedStore.layer)

layer(CountedStore.layer)("a store that counts", (it) => {
  it.effect("begins at none", () =>
    Effect.gen(function* () {
      expect(yield* Ref.get(yield* CountedStore.Commits)).toBe(0)
    })
  )
})
