/**
 * What the calls of one sequence name. Keys are said in a roundabout way (a new one, the second of those registered so
 * far), so that calls meet, and any part of a sequence makes sense. Each run has keys and channels of its own.
 */
import fc from "fast-check"
import { type Caller, caller } from "../concurrency/calls.ts"

export type Pool = "function" | "manager" | "sample" | "plan" | "task" | "model"

/** `known` ones are counted in the order of their registration in the channel, round and round, `last` ones backwards. */
export interface KeyRef {
  readonly pool: Pool
  readonly form: "new" | "known" | "last" | "capitals" | "elsewhere" | "unknown" | "nonsense" | "blank"
  readonly index: number
}

export const known = (pool: Pool, index: number): KeyRef => ({ pool, form: "known", index })
export const last = (pool: Pool, index: number): KeyRef => ({ pool, form: "last", index })
export const fresh = (pool: Pool): KeyRef => ({ pool, form: "new", index: 0 })

const key = (pool: Pool, ...forms: ReadonlyArray<readonly [weight: number, form: KeyRef["form"]]>) =>
  fc.record({
    pool: fc.constant(pool),
    form: fc.oneof(...forms.map(([weight, form]) => ({ weight, arbitrary: fc.constant(form) }))),
    index: fc.nat({ max: 11 })
  })

/** A key for what is registered: mostly one that is free. */
export const newKey = (pool: Pool): fc.Arbitrary<KeyRef> =>
  key(pool, [90, "new"], [4, "known"], [1, "capitals"], [2, "elsewhere"], [1, "nonsense"], [1, "blank"])

/** A key of what is there: mostly. */
export const oldKey = (pool: Pool): fc.Arbitrary<KeyRef> =>
  key(pool, [150, "known"], [3, "capitals"], [2, "elsewhere"], [1, "unknown"], [1, "nonsense"], [1, "blank"])

/** One of the two channels, as an organization sees it. */
export interface Place {
  readonly as: Caller
  readonly key: (ref: KeyRef) => string
  /** Which of the functions' shapes the one with this key has. */
  readonly shapes: Map<string, number>
  /** What was named as new is there from now on; or it is not, the call having failed. */
  readonly end: (isRegistered: boolean) => void
}

export type World = (by: number, channel: number) => Place

const organizations = ["OrgA", "OrgB"]

const hex = (number: number, digits: number) => (number >>> 0).toString(16).padStart(digits, "0").slice(-digits)

/** `salt` decides in which order keys sort; `run` makes them, and the channels, this run's. */
export const makeWorld = (salt: number, run: string): World => {
  const registered = [0, 1].map(() => new Map<Pool, Array<string>>())
  const shapes = new Map<string, number>()
  let count = 0
  const makeKey = () => {
    count++
    return `${hex(Math.imul(count ^ salt, 0x9e3779b1), 8)}-${hex(count, 4)}-4000-8000-${run}`
  }
  return (by, channel) => {
    const pending: Array<readonly [Pool, string]> = []
    const nth = (at: number, { index, pool }: KeyRef) => {
      const all = registered[at]?.get(pool) ?? []
      return all[index % all.length] ?? makeKey()
    }
    const resolve = (ref: KeyRef): string => {
      switch (ref.form) {
        case "new": {
          const made = makeKey()
          pending.push([ref.pool, made])
          return made
        }
        case "known":
          return nth(channel, ref)
        case "last":
          return registered[channel]?.get(ref.pool)?.at(-1 - ref.index) ?? makeKey()
        case "capitals":
          return nth(channel, ref).toUpperCase()
        case "elsewhere":
          return nth(1 - channel, ref)
        case "unknown":
          return makeKey()
        case "nonsense":
          return "0a1b2c3d"
        case "blank":
          return ""
      }
    }
    return {
      as: caller(organizations[by] ?? "", `channel-${run}-${channel}`),
      key: resolve,
      shapes,
      end: (isRegistered) => {
        if (!isRegistered) return
        for (const [pool, made] of pending) {
          const all = registered[channel]
          all?.set(pool, [...(all.get(pool) ?? []), made])
        }
      }
    }
  }
}
