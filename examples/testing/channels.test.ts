// Channels of a test's own, with all of their organizations registered.
import { expect, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { Orchestrator, Requests } from "substra-orchestrator/testing"

const channels = new Map([
  ["hospitals", ["LyonMSP", "TurinMSP"]],
  ["trial", ["LyonMSP"]]
])

layer(Orchestrator.layerWith({ channels }))("my backend, in two channels", (it) => {
  it.effect("shows a plan to those of its channel only", () =>
    Effect.gen(function* () {
      const orchestrator = yield* Orchestrator
      const lyon = yield* orchestrator.client("LyonMSP", "hospitals")
      const turin = yield* orchestrator.client("TurinMSP", "hospitals")
      const { key } = yield* lyon.registerPlan(Requests.newPlan())
      expect((yield* turin.getPlan({ key })).owner).toBe("LyonMSP")

      const elsewhere = yield* orchestrator.client("LyonMSP", "trial")
      expect(yield* Effect.flip(elsewhere.getPlan({ key }))).toMatchObject({ _tag: "NotFound" })
      const stranger = yield* orchestrator.client("TurinMSP", "trial")
      expect(yield* Effect.flip(stranger.getPlan({ key }))).toMatchObject({ _tag: "PermissionDenied" })
    })
  )
})
