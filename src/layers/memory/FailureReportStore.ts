/** Failure reports in memory. */
import * as Effect from "effect/Effect"
import * as Iterable from "effect/Iterable"
import * as Layer from "effect/Layer"
import { FailureReportStore } from "../../services/store/FailureReportStore.ts"
import { type Access, access, type Memory } from "./Memory.ts"
import * as Table from "./Table.ts"

const make = ({ read, write }: Access): FailureReportStore["Service"] => ({
  find: (channel, assetKey) =>
    read((state) => Iterable.head(Table.list(state.failureReports, channel, { index: "asset", group: assetKey }))),
  insert: (channel, report) =>
    write((state) => ({ ...state, failureReports: Table.insert(state.failureReports, channel, report) }))
})

export const layer: Layer.Layer<FailureReportStore, never, Memory> = Layer.effect(
  FailureReportStore,
  Effect.map(access, make)
)
