/** Stored failure reports. */
import { expect, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import { FailureReportStore } from "../../services/store/FailureReportStore.ts"
import * as build from "./builders.ts"
import { commit, found, type Store } from "./support.ts"

export const suite = <E>(name: string, store: Layer.Layer<Store, E>) =>
  layer(store, { excludeTestServices: true })(`${name}: failure reports`, (it) => {
    it.effect("read back as they were stored, in their channel only", () =>
      Effect.gen(function* () {
        const reports = yield* FailureReportStore
        const channel = build.channel()
        const { logsAddress: _, ...bare } = build.failureReport()
        const made = [
          build.failureReport(),
          build.failureReport({ assetType: "FAILED_ASSET_FUNCTION", errorType: "ERROR_TYPE_BUILD" }),
          { ...bare, errorType: "ERROR_TYPE_INTERNAL" as const }
        ]
        for (const report of made) {
          yield* commit(channel, reports.insert(channel, report))
          expect(yield* found(reports.find(channel, report.assetKey))).toStrictEqual(report)
          expect(yield* found(reports.find(build.channel(), report.assetKey))).toBeUndefined()
        }
        expect(yield* found(reports.find(channel, build.key()))).toBeUndefined()
      })
    )

    it.effect("of a task and a function that share a key are two, and the older one is found", () =>
      Effect.gen(function* () {
        const reports = yield* FailureReportStore
        const types = ["FAILED_ASSET_COMPUTE_TASK", "FAILED_ASSET_FUNCTION"] as const
        for (const assetType of types) {
          const otherType = types.find((type) => type !== assetType) ?? assetType
          const channel = build.channel()
          const older = build.failureReport({ assetType, creationDate: build.at(1) })
          const younger = { ...older, assetType: otherType, creationDate: build.at(2) }
          yield* commit(channel, reports.insert(channel, younger))
          expect(yield* found(reports.find(channel, older.assetKey))).toEqual(younger)
          yield* commit(channel, reports.insert(channel, older))
          expect(yield* found(reports.find(channel, older.assetKey))).toEqual(older)
        }
      })
    )

    it.effect("conflict with one of the same asset", () =>
      Effect.gen(function* () {
        const reports = yield* FailureReportStore
        const channel = build.channel()
        const report = build.failureReport()
        yield* commit(channel, reports.insert(channel, report))
        const again = { ...build.failureReport({ creationDate: build.at(1) }), assetKey: report.assetKey }
        const error = yield* Effect.flip(commit(channel, reports.insert(channel, again)))
        expect(error).toMatchObject({ _tag: "Conflict", message: expect.stringContaining(report.assetKey) })
        expect(yield* found(reports.find(channel, report.assetKey))).toEqual(report)
      })
    )

    it.effect("can be of one key in two channels", () =>
      Effect.gen(function* () {
        const reports = yield* FailureReportStore
        const [channel, elsewhere] = [build.channel(), build.channel()]
        const report = build.failureReport()
        const other = build.failureReport({ assetKey: report.assetKey })
        yield* commit(channel, reports.insert(channel, report))
        yield* commit(elsewhere, reports.insert(elsewhere, other))
        expect(yield* found(reports.find(channel, report.assetKey))).toEqual(report)
        expect(yield* found(reports.find(elsewhere, report.assetKey))).toEqual(other)
      })
    )

    it.effect("cannot be read back in the transaction that put them down", () =>
      Effect.gen(function* () {
        const reports = yield* FailureReportStore
        const channel = build.channel()
        const report = build.failureReport()
        const insert = reports.insert(channel, report)
        const seen = yield* commit(channel, Effect.andThen(insert, found(reports.find(channel, report.assetKey))))
        expect(seen).toBeUndefined()
      })
    )
  })
