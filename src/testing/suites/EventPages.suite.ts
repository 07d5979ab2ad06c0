/** Pages of events: their order both ways, and every filter alone and with others (behaviour of `QueryEvents`). */
import { expect, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import { AssetKind } from "../../schema/AssetKind.ts"
import * as Event from "../../schema/Event.ts"
import { assetKey, type EventFilter, type LoggedEvent, type NewEvent } from "../../schema/Event.ts"
import type { ChannelName } from "../../schema/Key.ts"
import type { EventCursor } from "../../schema/Pagination.ts"
import { fromMicros, type Timestamp } from "../../schema/Timestamp.ts"
import { EventLog } from "../../services/store/EventLog.ts"
import { emitEvents } from "../../services/store/UnitOfWork.ts"
import * as build from "./builders.ts"
import { walk } from "./pages.ts"
import { plain, run, type Store } from "./support.ts"

const noFilter: EventFilter = { metadata: new Map() }

const cursorOf = (event: LoggedEvent): EventCursor => [event.timestamp, event.position]

const list = (
  channel: ChannelName,
  filter: EventFilter,
  options: { readonly descending?: boolean; readonly limit?: number } = {}
) =>
  Effect.flatMap(EventLog, (log) =>
    Effect.map(
      walk(
        (request) => log.page(channel, filter, options.descending ?? false, request),
        cursorOf,
        options.limit ?? 100
      ),
      (events) => events.map((event) => event.position)
    )
  )

interface Entry {
  readonly made: NewEvent
  readonly logged: LoggedEvent
}

/** A channel with events of all kinds, of three transactions. */
const fill = Effect.gen(function* () {
  const channel = build.channel()
  const task = build.computeTask({
    worker: build.organizationId(),
    computePlanKey: build.key(),
    functionKey: build.key()
  })
  const taskAsset = { kind: "ASSET_COMPUTE_TASK", asset: task } as const
  const model = { kind: "ASSET_MODEL", asset: build.model(task) } as const
  const score = { kind: "ASSET_PERFORMANCE", asset: build.performance(task) } as const
  const scoreKey = assetKey(score)
  const outputAsset = {
    kind: "ASSET_COMPUTE_TASK_OUTPUT_ASSET",
    asset: {
      computeTaskKey: task.key,
      computeTaskOutputIdentifier: "score",
      assetKind: "ASSET_PERFORMANCE",
      assetKey: scoreKey
    }
  } as const
  const report = { kind: "ASSET_FAILURE_REPORT", asset: build.failureReport({ assetKey: task.key }) } as const
  const transactions: ReadonlyArray<ReadonlyArray<NewEvent>> = [
    [
      Event.created({ kind: "ASSET_ORGANIZATION", asset: build.organization() }),
      Event.created({ kind: "ASSET_FUNCTION", asset: build.fn() }),
      Event.created({ kind: "ASSET_DATA_MANAGER", asset: build.dataManager() }),
      Event.created({ kind: "ASSET_DATA_SAMPLE", asset: build.dataSample() }),
      build.event(),
      Event.created(taskAsset)
    ],
    [
      Event.changed(taskAsset, { reason: "User action" }),
      Event.created(model),
      Event.created(score),
      Event.created(outputAsset),
      Event.created({ kind: "ASSET_PROFILING_STEP", asset: build.profilingStep() })
    ],
    [
      Event.changed(taskAsset, { reason: "user action" }),
      Event.changed(taskAsset, { reason: "" }),
      Event.created(report),
      Event.disabled(model),
      Event.changed(taskAsset, { reason: "User action" })
    ]
  ]
  const entries: Array<Entry> = []
  for (const events of transactions) {
    const [, committed] = yield* run(channel, emitEvents(events))
    for (const [index, made] of events.entries()) entries.push({ made, logged: committed[index] as LoggedEvent })
  }
  yield* run(build.channel(), emitEvents(transactions.flat()))
  return { channel, entries, taskKey: task.key, modelKey: model.asset.key, scoreKey }
})

const fits = ({ made, logged }: Entry, filter: EventFilter): boolean =>
  (filter.assetKey === undefined || assetKey(made.asset) === filter.assetKey) &&
  (filter.assetKind === undefined || made.asset.kind === filter.assetKind) &&
  (filter.eventKind === undefined || made.eventKind === filter.eventKind) &&
  [...filter.metadata].every(([name, value]) => name === "reason" && made.reason === value) &&
  (filter.start === undefined || logged.timestamp >= filter.start) &&
  (filter.end === undefined || logged.timestamp <= filter.end)

const positionsOf = (entries: ReadonlyArray<Entry>, filter: EventFilter): ReadonlyArray<number> =>
  entries.filter((entry) => fits(entry, filter)).map((entry) => entry.logged.position)

const shifted = (time: Timestamp, micros: number): Timestamp => fromMicros(time + micros)

export const suite = <E>(name: string, store: Layer.Layer<Store, E>) =>
  layer(store, { excludeTestServices: true })(`${name}: pages of events`, (it) => {
    it.effect("list all events by timestamp, then position, forwards and backwards, in pages of any size", () =>
      Effect.gen(function* () {
        const { channel, entries } = yield* fill
        const all = positionsOf(entries, noFilter)
        for (const limit of [1, 2, 5, 15, 16, 17]) {
          expect(yield* list(channel, noFilter, { limit })).toEqual(all)
          expect(yield* list(channel, noFilter, { limit, descending: true })).toEqual(all.toReversed())
        }
        expect(yield* list(build.channel(), noFilter)).toEqual([])
        expect(yield* list(build.channel(), noFilter, { descending: true })).toEqual([])
      })
    )

    it.effect("list all events in pages of any size in bytes, one event at least", () =>
      Effect.gen(function* () {
        const log = yield* EventLog
        const { channel, entries } = yield* fill
        for (const descending of [false, true]) {
          const expected = positionsOf(entries, noFilter)
          for (const maxBytes of [1, 300, 1_000_000]) {
            const events = yield* walk(
              (request) => log.page(channel, noFilter, descending, { ...request, maxBytes }),
              cursorOf,
              10
            )
            expect(events.map((event) => event.position)).toEqual(descending ? expected.toReversed() : expected)
          }
        }
      })
    )

    it.effect("give events as the log does, and say that more follow exactly when they do", () =>
      Effect.gen(function* () {
        const log = yield* EventLog
        const { channel, entries } = yield* fill
        for (const limit of [1, 15, 16, 17]) {
          const { hasMore, items } = yield* log.page(channel, noFilter, false, { cursor: Option.none(), limit })
          expect(items.map(plain)).toEqual(entries.slice(0, items.length).map((entry) => plain(entry.logged)))
          expect(hasMore).toBe(items.length < entries.length)
        }
      })
    )

    it.effect("find by asset key all that carries it, whatever its kind, and no more", () =>
      Effect.gen(function* () {
        const { channel, entries, modelKey, scoreKey, taskKey } = yield* fill
        expect(yield* list(channel, { ...noFilter, assetKey: taskKey })).toEqual([6, 7, 10, 12, 13, 14, 16])
        expect(yield* list(channel, { ...noFilter, assetKey: scoreKey })).toEqual([9])
        expect(yield* list(channel, { ...noFilter, assetKey: modelKey })).toEqual([8, 15])
        const organization = assetKey((entries[0] as Entry).made.asset)
        expect(yield* list(channel, { ...noFilter, assetKey: organization })).toEqual([1])
        expect(yield* list(channel, { ...noFilter, assetKey: organization.toLowerCase() })).toEqual([])
        expect(yield* list(channel, { ...noFilter, assetKey: taskKey.slice(0, -1) })).toEqual([])
        expect(yield* list(build.channel(), { ...noFilter, assetKey: taskKey })).toEqual([])
      })
    )

    it.effect("find by asset kind and by event kind", () =>
      Effect.gen(function* () {
        const { channel, entries } = yield* fill
        for (const assetKind of AssetKind.literals) {
          const filter = { ...noFilter, assetKind }
          expect(yield* list(channel, filter)).toEqual(positionsOf(entries, filter))
        }
        for (const eventKind of Event.EventKind.literals) {
          const filter = { ...noFilter, eventKind }
          expect(yield* list(channel, filter)).toEqual(positionsOf(entries, filter))
        }
      })
    )

    it.effect("find by metadata the events that contain all of the pairs, in exact case", () =>
      Effect.gen(function* () {
        const { channel } = yield* fill
        const having = (...pairs: ReadonlyArray<readonly [string, string]>) =>
          list(channel, { metadata: new Map(pairs) })
        expect(yield* having(["reason", "User action"])).toEqual([7, 16])
        expect(yield* having(["reason", "user action"])).toEqual([12])
        expect(yield* having(["reason", ""])).toEqual([13])
        expect(yield* having(["reason", "User"])).toEqual([])
        expect(yield* having(["Reason", "User action"])).toEqual([])
        expect(yield* having(["other", ""])).toEqual([])
        expect(yield* having(["reason", "User action"], ["other", ""])).toEqual([])
      })
    )

    it.effect("find by time from the start to the end, both inclusive", () =>
      Effect.gen(function* () {
        const { channel, entries } = yield* fill
        const times = [...new Set(entries.map((entry) => entry.logged.timestamp))]
        const bounds = [undefined, ...times.flatMap((time) => [shifted(time, -1), time, shifted(time, 1)])]
        for (const start of bounds) {
          for (const end of bounds) {
            const filter = {
              ...noFilter,
              ...(start === undefined ? {} : { start }),
              ...(end === undefined ? {} : { end })
            }
            expect(yield* list(channel, filter)).toEqual(positionsOf(entries, filter))
          }
        }
      })
    )

    it.effect("find by all conditions together, both ways, in pages of any size", () =>
      Effect.gen(function* () {
        const { channel, entries, taskKey } = yield* fill
        const middle = (entries[8] as Entry).logged.timestamp
        const conditions: ReadonlyArray<Partial<EventFilter>> = [
          { assetKey: taskKey },
          { assetKind: "ASSET_COMPUTE_TASK" },
          { eventKind: "EVENT_ASSET_UPDATED" },
          { metadata: new Map([["reason", "User action"]]) },
          { start: middle },
          { end: middle }
        ]
        for (let set = 0; set < 2 ** conditions.length; set++) {
          const chosen = conditions.filter((_, index) => set & (1 << index))
          const filter: EventFilter = Object.assign({}, noFilter, ...chosen)
          const fitting = positionsOf(entries, filter)
          for (const limit of [1, 3, 100]) {
            expect(yield* list(channel, filter, { limit })).toEqual(fitting)
            expect(yield* list(channel, filter, { limit, descending: true })).toEqual(fitting.toReversed())
          }
        }
      })
    )

    it.effect("neither repeat nor skip events when others are appended between two pages", () =>
      Effect.gen(function* () {
        const log = yield* EventLog
        const { channel, entries } = yield* fill
        for (const descending of [false, true]) {
          const expected = positionsOf(entries, noFilter)
          const first = yield* log.page(channel, noFilter, descending, { cursor: Option.none(), limit: 4 })
          yield* run(channel, emitEvents([build.event(), build.event()]))
          const last = first.items[first.items.length - 1] as LoggedEvent
          const cursor = Option.some(cursorOf(last))
          const second = yield* log.page(channel, noFilter, descending, { cursor, limit: 100 })
          const seen = [...first.items, ...second.items].map((event) => event.position)
          const before = seen.filter((position) => position <= expected.length)
          expect(before).toEqual(descending ? expected.toReversed() : expected)
          expect(new Set(seen).size).toBe(seen.length)
        }
      })
    )
  })
