/**
 * A persistent table: the assets of one kind in all channels, with the indexes that their queries need. Like a table of
 * PostgreSQL it refuses a second asset of one identity; every other rule is its users'.
 */
import * as HashMap from "effect/HashMap"
import * as Option from "effect/Option"
import type { ChannelName } from "../../schema/Key.ts"
import { type AssetName, Conflict } from "../../schema/OrchestratorError.ts"
import type { Page } from "../../schema/Pagination.ts"
import * as Tree from "./Tree.ts"

/** For each index the groups that an asset is listed in. */
export type Groups<A, Index extends string> = { readonly [I in Index]: (asset: A) => ReadonlyArray<string> }

/** What is particular to the assets of one kind. */
export interface Kind<A, P, Index extends string> {
  readonly name: AssetName
  /** What no two assets share: in the channel, or in all of them. */
  readonly identity: (asset: A) => string
  readonly uniqueIn: "channel" | "store"
  /** Where an asset stands among others. It never changes, and no two of one channel are at the same place. */
  readonly place: (asset: A) => P
  readonly compare: Tree.Compare<P>
  readonly groups: Groups<A, Index>
}

interface Row<A> {
  readonly channel: ChannelName
  readonly asset: A
}

export interface Table<A, P, Index extends string> {
  readonly kind: Kind<A, P, Index>
  readonly rows: HashMap.HashMap<string, Row<A>>
  /** The identities of rows by channel, index and group. */
  readonly indexes: HashMap.HashMap<string, Tree.Tree<P, string>>
}

/** The index that lists a channel's whole table. */
const whole = ""

export const empty = <A, P, Index extends string>(kind: Kind<A, P, Index>): Table<A, P, Index> => ({
  kind,
  rows: HashMap.empty(),
  indexes: HashMap.empty()
})

const rowId = (kind: { readonly uniqueIn: "channel" | "store" }, channel: ChannelName, identity: string): string =>
  kind.uniqueIn === "store" ? identity : JSON.stringify([channel, identity])

const listName = (channel: ChannelName, index: string, group: string): string => JSON.stringify([channel, index, group])

const listsOf = <A, P, I extends string>(kind: Kind<A, P, I>, channel: ChannelName, asset: A): ReadonlySet<string> => {
  const names = new Set([listName(channel, whole, whole)])
  for (const index of Object.keys(kind.groups) as Array<I>) {
    for (const group of kind.groups[index](asset)) names.add(listName(channel, index, group))
  }
  return names
}

/** The asset of this identity, if the channel has it. */
export const find = <A, P, I extends string>(
  table: Table<A, P, I>,
  channel: ChannelName,
  identity: string
): Option.Option<A> =>
  Option.map(
    Option.filter(HashMap.get(table.rows, rowId(table.kind, channel, identity)), (row) => row.channel === channel),
    (row) => row.asset
  )

/** The assets of these identities that the channel has, each once. */
export const many = <A, P, I extends string>(
  table: Table<A, P, I>,
  channel: ChannelName,
  identities: Iterable<string>
): ReadonlyArray<A> =>
  Array.from(new Set(identities)).flatMap((identity) => Option.toArray(find(table, channel, identity)))

/** Whether an identity that is unique in the store is in use, in whatever channel. */
export const isTaken = <A, P, I extends string>(table: Table<A, P, I>, identity: string): boolean =>
  HashMap.has(table.rows, identity)

/** Adds an asset, or throws the `Conflict` that it makes. */
export const insert = <A, P, I extends string>(
  table: Table<A, P, I>,
  channel: ChannelName,
  asset: A
): Table<A, P, I> => {
  const { kind } = table
  const identity = kind.identity(asset)
  const id = rowId(kind, channel, identity)
  if (HashMap.has(table.rows, id)) throw Conflict.exists(kind.name, identity)
  return {
    kind,
    rows: HashMap.set(table.rows, id, { channel, asset }),
    indexes: listed(table, channel, listsOf(kind, channel, asset), asset)
  }
}

/** Puts an asset in the place of the one with its identity, which the channel must have. */
export const replace = <A, P, I extends string>(
  table: Table<A, P, I>,
  channel: ChannelName,
  asset: A
): Table<A, P, I> => {
  const { kind } = table
  const before = listsOf(kind, channel, get(table, channel, kind.identity(asset)))
  const after = listsOf(kind, channel, asset)
  let indexes = listed(table, channel, except(after, before), asset)
  for (const name of except(before, after)) {
    indexes = HashMap.set(indexes, name, Tree.remove(listOf(indexes, name), kind.compare, kind.place(asset)))
  }
  return {
    kind,
    rows: HashMap.set(table.rows, rowId(kind, channel, kind.identity(asset)), { channel, asset }),
    indexes
  }
}

const except = (names: ReadonlySet<string>, others: ReadonlySet<string>): Iterable<string> =>
  Array.from(names).filter((name) => !others.has(name))

/** The asset of this identity. That there is one was made sure of before: else it is a defect. */
export const get = <A, P, I extends string>(table: Table<A, P, I>, channel: ChannelName, identity: string): A =>
  Option.getOrThrowWith(
    find(table, channel, identity),
    () => new Error(`channel ${channel} has no ${table.kind.name} with key "${identity}" to refer to`)
  )

const listOf = <P>(indexes: Table<unknown, P, string>["indexes"], name: string): Tree.Tree<P, string> =>
  Option.getOrUndefined(HashMap.get(indexes, name))

const listed = <A, P, I extends string>(
  { indexes, kind }: Table<A, P, I>,
  channel: ChannelName,
  names: Iterable<string>,
  asset: A
): Table<A, P, I>["indexes"] => {
  const place = kind.place(asset)
  const id = rowId(kind, channel, kind.identity(asset))
  let grown = indexes
  for (const name of names) grown = HashMap.set(grown, name, Tree.set(listOf(grown, name), kind.compare, place, id))
  return grown
}

/** A group of an index; absent: all of the channel. */
export interface List<Index extends string> {
  readonly index: Index
  readonly group: string
}

/** The assets of a list in the order of the table, those after a place only where one is given. */
export function* list<A, P, I extends string>(
  table: Table<A, P, I>,
  channel: ChannelName,
  of?: List<I>,
  after?: P
): Generator<A, void> {
  const name = listName(channel, of?.index ?? whole, of?.group ?? whole)
  for (const id of Tree.values(listOf(table.indexes, name), table.kind.compare, after)) {
    yield (HashMap.getUnsafe(table.rows, id) as Row<A>).asset
  }
}

/** Whether a list holds anything. */
export const hasAny = <A, P, I extends string>(table: Table<A, P, I>, channel: ChannelName, of: List<I>): boolean =>
  listOf(table.indexes, listName(channel, of.index, of.group)) !== undefined

/** The first of these, `limit` at most, and whether there is another one. */
export const cut = <A>(assets: Iterable<A>, limit: number): Page<A> => {
  const items: Array<A> = []
  for (const asset of assets) {
    if (items.length === limit) return { items, hasMore: true }
    items.push(asset)
  }
  return { items, hasMore: false }
}
